// `npm run lint`: style, types, boundaries, words. Each check is one line; what failed shows its output.
// Writes its counts beside those of the tests (VIVARIUM_RESULTS, default .cache/results).
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { repositoryRoot, runScript } from './node24.mjs';
import { runTool } from './tools.mjs';

const CHECKS = [
  ['style and format', 'biome', ['check', '--error-on-warnings']],
  ['types', 'tsc', ['-p', '.']],
  ['who imports whom', 'node', ['scripts/boundaries.mjs']],
  ['planted violations are found', 'node', ['scripts/planted-violations.mjs']],
  ['words that must not appear', 'node', ['scripts/check-words.mjs']],
];

await runScript(async () => {
  await ensureInstalled(repositoryRoot, 'dev');
  const failed = [];
  for (const [name, command, args] of CHECKS) {
    const started = Date.now();
    const { code, output } = runTool(command, args);
    console.log(`${code === 0 ? '✓' : '✗'} ${name} (${Date.now() - started} ms)`);
    if (code === 0) continue;
    console.log(output.trimEnd().replace(/^/gm, '    '));
    failed.push(name);
  }
  const results = resolve(repositoryRoot, process.env.VIVARIUM_RESULTS || join('.cache', 'results'));
  mkdirSync(results, { recursive: true });
  const counts = { numPassedTests: CHECKS.length - failed.length, numFailedTests: failed.length, numPendingTests: 0 };
  writeFileSync(join(results, 'lint.json'), JSON.stringify(counts));
  return failed.length === 0 ? 0 : 1;
});
