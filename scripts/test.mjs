// `npm test`: installs and builds what is missing, then runs the suites and says what could not be run.
//
// --suites=A,B       which (or VIVARIUM_SUITES): unit (libs, services, scripts), e2e (the product in one process),
//                    e2e:services (the same files against separate services on real servers), long (what takes an hour).
//                    Default: unit,e2e.
// VIVARIUM_RESULTS   folder for the results in JSON, one file a suite. Default: .cache/results.
// VIVARIUM_SKIPS     file to which suites append a line for what they could not run. Default: skips.txt in that folder.
// Arguments go to Jest: a path, -t NAME, …
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from './build.mjs';
import { ensureInstalled } from './install.mjs';
import { launch } from './launch.mjs';
import { Complaint, repositoryRoot, runScript } from './node24.mjs';

const JEST = ['--disable-warning=ExperimentalWarning', '--experimental-vm-modules', 'node_modules/jest/bin/jest.js'];
const SUITES_FLAG = '--suites=';
// What a driver may still hold open must not keep a finished run from ending; each product and server has its own watchdog.
const FORCE_EXIT = ['--forceExit'];
// A cluster of PostgreSQL is made once a run, by the first test that needs one, and copied by all others.
const POSTGRES_TEMPLATE = join(tmpdir(), `vivarium-postgres-template-${process.pid}`);
// Left alone, Jest would use one of two cores. A product starts in seven processes, and much of a test is waiting.
const TWO_WORKERS = ['--maxWorkers=2', ...FORCE_EXIT];
const SUITES = {
  unit: {
    folder: 'libs',
    select: 'unit',
    target: 'all',
    flags: TWO_WORKERS,
    timeoutMs: 16 * 60_000,
  },
  e2e: { ...endToEnd('all'), timeoutMs: 15 * 60_000 },
  'e2e:services': { ...endToEnd('services'), timeoutMs: 24 * 60_000 },
  long: {
    folder: 'services/platform/long',
    select: 'long',
    target: 'services',
    flags: ['--runInBand'],
    timeoutMs: 120 * 60_000,
  },
};

function endToEnd(target) {
  return { folder: 'services/platform/e2e', select: 'e2e', target, flags: TWO_WORKERS, last: 'whole-run' };
}

await runScript(async () => {
  const suites = suiteNames()
    .split(',')
    .map((name) => [name, suiteNamed(name)]);
  const results = resolve(repositoryRoot, process.env.VIVARIUM_RESULTS || join('.cache', 'results'));
  const skips = process.env.VIVARIUM_SKIPS || join(results, 'skips.txt');
  mkdirSync(results, { recursive: true });
  if (!process.env.VIVARIUM_SKIPS) rmSync(skips, { force: true });

  await ensureInstalled(repositoryRoot, 'dev');
  await build(repositoryRoot);
  let exitCode = 0;
  try {
    for (const [name, suite] of suites) exitCode = Math.max(exitCode, await runSuite(name, suite, results, skips));
  } finally {
    rmSync(POSTGRES_TEMPLATE, { recursive: true, force: true });
  }
  reportSkips(skips);
  return exitCode;
});

function suiteNames() {
  const given = process.argv.find((arg) => arg.startsWith(SUITES_FLAG));
  return given?.slice(SUITES_FLAG.length) || process.env.VIVARIUM_SUITES || 'unit,e2e';
}

function suiteNamed(name) {
  const suite = SUITES[name];
  if (suite === undefined) {
    throw new Complaint(`${SUITES_FLAG} names "${name}", which is none of ${Object.keys(SUITES).join(', ')}.`);
  }
  return suite;
}

async function runSuite(name, suite, results, skips) {
  if (!hasSpecs(join(repositoryRoot, suite.folder))) {
    console.log(`${name}: no tests in ${suite.folder}.`);
    return 0;
  }
  const args = process.argv.slice(2).filter((arg) => !arg.startsWith(SUITES_FLAG));
  const output = join(results, name.replace(':', '-'));
  const { last } = suite;
  if (last === undefined) return runJest(suite, `${output}.json`, skips, args);
  // What looks at all that the others left comes when they have ended, to the same record.
  const record = mkdtempSync(join(tmpdir(), 'vivarium-record-'));
  try {
    const others = args.filter((arg) => !arg.includes(last));
    const onlyLast = args.length > 0 && others.length === 0;
    let exitCode = 0;
    if (!onlyLast) exitCode = await runJest(suite, `${output}.json`, skips, others, { record, leaveOut: last });
    if (onlyLast || args.length === 0 || others.length < args.length) {
      const lastCode = await runJest(suite, `${output}-${last}.json`, skips, [last], { record });
      exitCode = Math.max(exitCode, lastCode);
    }
    return exitCode;
  } finally {
    rmSync(record, { recursive: true, force: true });
  }
}

function runJest({ select, target, flags, timeoutMs }, output, skips, args, { record = '', leaveOut = '' } = {}) {
  rmSync(output, { force: true });
  // With arguments, one suite may well hold nothing of what was asked for.
  const optional = args.length > 0 ? ['--passWithNoTests'] : [];
  return launch(repositoryRoot, [...JEST, ...flags, ...optional, '--json', `--outputFile=${output}`, ...args], {
    env: {
      VIVARIUM_SUITE: select,
      VIVARIUM_TARGET: target,
      VIVARIUM_LEAVE_OUT: leaveOut,
      VIVARIUM_RECORD: record,
      VIVARIUM_SKIPS: skips,
      VIVARIUM_POSTGRES_TEMPLATE: POSTGRES_TEMPLATE,
    },
    timeoutMs,
  });
}

function hasSpecs(folder) {
  return (
    existsSync(folder) && readdirSync(folder, { recursive: true }).some((name) => String(name).endsWith('.spec.ts'))
  );
}

function reportSkips(file) {
  if (!existsSync(file)) return;
  const lines = new Set(
    readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== ''),
  );
  if (lines.size === 0) return;
  console.log('\nNot run here:');
  for (const line of lines) console.log(`  - ${line}`);
}
