// Proves that the boundary check can fail: lint-fixtures/ breaks each rule once, and exactly that must be found.
import ruleFile from '../.dependency-cruiser.mjs';
import { violationsIn } from './boundaries.mjs';
import { isMain, runScript } from './node24.mjs';

const PLANTED = [
  'access-is-pure: lint-fixtures/libs/access/src/dials-out.ts → http',
  'domain-has-no-framework: lint-fixtures/libs/token/src/uses-nest.ts → node_modules/@nestjs/common/index.js',
  'domain-is-pure: lint-fixtures/libs/conda/src/reads-files.ts → fs',
  'domain-knows-domain-only: lint-fixtures/libs/conda/src/asks-platform.ts → lint-fixtures/libs/db/src/open.ts',
  'library-knows-no-service: lint-fixtures/libs/db/src/asks-service.ts → lint-fixtures/services/identity/src/tokens.ts',
  'no-barrels: lint-fixtures/libs/db/src/index.ts',
  'no-cycles: lint-fixtures/libs/db/src/egg.ts → lint-fixtures/libs/db/src/hen.ts',
  'no-junk-rooms: lint-fixtures/libs/db/src/utils',
  'product-without-test-kit: lint-fixtures/services/authz/src/uses-test-kit.ts → lint-fixtures/libs/testkit/src/platform.ts',
  'resolvable: lint-fixtures/libs/rpc/src/missing.ts → ./no-such-file.js',
  'service-knows-no-other-service: lint-fixtures/services/authz/src/asks-neighbour.ts → lint-fixtures/services/identity/src/tokens.ts',
];

/** What differs between the violations planted and those found, a line each; empty when the check works. */
export function disagreements() {
  const found = violationsIn('lint-fixtures');
  const unplanted = ruleFile.forbidden.filter(({ name }) => !PLANTED.some((line) => line.startsWith(`${name}: `)));
  return [
    ...PLANTED.filter((line) => !found.includes(line)).map((line) => `planted and not found: ${line}`),
    ...found.filter((line) => !PLANTED.includes(line)).map((line) => `found and not planted: ${line}`),
    ...unplanted.map(({ name }) => `no violation of ${name} is planted`),
  ];
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const lines = disagreements();
    for (const line of lines) console.error(line);
    return lines.length === 0 ? 0 : 1;
  });
}
