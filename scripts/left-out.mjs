// `node scripts/left-out.mjs FILE`: the test files of which a run left tests out because something was not installed, a path a
// line. FILE holds the results of that run in Jest's JSON.
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Complaint, isMain, repositoryRoot, runScript } from './node24.mjs';

// A test that needs something says so by one of these (libs/testkit/src/missing.ts).
const MAY_LEAVE_OUT = /\b(skipUnless|skipSuiteUnless|noteMissing)\(/;

/** Paths, relative to the root, of the files of a run that left tests out and may have had to. */
export function leftOut({ testResults }, root) {
  return testResults
    .filter(({ assertionResults }) => assertionResults.some(({ status }) => status === 'pending'))
    .map(({ name }) => relative(root, name))
    .filter((path) => MAY_LEAVE_OUT.test(readFileSync(join(root, path), 'utf8')))
    .sort();
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const file = process.argv[2];
    if (file === undefined) throw new Complaint('usage: node scripts/left-out.mjs FILE');
    if (!existsSync(file))
      throw new Complaint(`${file} does not exist: that run was stopped, so its tests come first.`);
    for (const path of leftOut(JSON.parse(readFileSync(file, 'utf8')), repositoryRoot)) console.log(path);
    return 0;
  });
}
