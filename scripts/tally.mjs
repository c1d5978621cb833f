// `node scripts/tally.mjs FOLDER`: adds up the results of the sections that .ci/run wrote there, one folder each,
// and prints the closing line. A section that failed without naming a failed test counts as one failure.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, runScript } from './node24.mjs';

const TESTS_TOLD = 20;

/** Sums one section: its result files in Jest's JSON, its exit code, and the lines about what it could not run. */
export function sectionOf(folder) {
  const sums = { passed: 0, failed: 0, skipped: 0 };
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
    const result = JSON.parse(readFileSync(join(folder, file), 'utf8'));
    sums.passed += result.numPassedTests;
    // A test file that does not even load has no failed test in it.
    sums.failed += result.numFailedTests + (result.numRuntimeErrorTestSuites ?? 0);
    sums.skipped += result.numPendingTests + (result.numTodoTests ?? 0);
  }
  const exitCode = Number(readFileSync(join(folder, 'exit-code'), 'utf8'));
  if (exitCode !== 0 && sums.failed === 0) sums.failed = 1;
  // Sections that only do something (install, generate) are one passed check.
  if (exitCode === 0 && sums.passed + sums.failed + sums.skipped === 0) sums.passed = 1;
  const skips = join(folder, 'skips.txt');
  return {
    ...sums,
    notRun: existsSync(skips) ? new Set(readFileSync(skips, 'utf8').split('\n').filter(Boolean)) : new Set(),
  };
}

/** Names of the tests that no section ran: `file › test`, of all result files below the folder. */
export function neverRun(root) {
  const ran = new Map();
  const files = readdirSync(root, { recursive: true }).map(String);
  for (const file of files.filter((name) => name.endsWith('.json'))) {
    for (const { name, assertionResults } of JSON.parse(readFileSync(join(root, file), 'utf8')).testResults ?? []) {
      for (const { fullName, status } of assertionResults) {
        const test = `${name.split(/[\\/]/).at(-1)} › ${fullName}`;
        ran.set(test, ran.get(test) === true || status === 'passed' || status === 'failed');
      }
    }
  }
  return [...ran].filter(([, hasRun]) => !hasRun).map(([test]) => test);
}

if (isMain(import.meta.url)) {
  await runScript(() => {
    const total = { passed: 0, failed: 0, skipped: 0 };
    const root = process.argv[2];
    const names = readdirSync(root).filter((name) => existsSync(join(root, name, 'exit-code')));
    console.log('\nAll sections:');
    for (const name of names) {
      const { notRun, ...sums } = sectionOf(join(root, name));
      console.log(`  ${name}: ${sums.passed} passed, ${sums.failed} failed, ${sums.skipped} skipped`);
      for (const line of notRun) console.log(`    not run: ${line}`);
      for (const key of Object.keys(total)) total[key] += sums[key];
    }
    const never = neverRun(root);
    if (never.length > 0) console.log('  in none of them:');
    for (const test of never.slice(0, TESTS_TOLD)) console.log(`    ${test}`);
    if (never.length > TESTS_TOLD) console.log(`    and ${never.length - TESTS_TOLD} more`);
    const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
    console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
    return total.failed === 0 && total.passed > 0 ? 0 : 1;
  });
}
