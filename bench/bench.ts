// `npm run bench`: measures the product as its users have it, in one process, beside nginx and bare node:http on the same
// machine. Figures of one run may be compared with each other; the machine says what else went on.
import { writeFile } from 'node:fs/promises';
import { measureBigUpload } from './big-upload.js';
import { measureLargeFile } from './large-file.js';
import { describeMachine, measureNoise, printedMachine } from './machine.js';
import { type Options, type PartName, parseOptions, USAGE } from './options.js';
import { printed, type Report } from './report.js';
import { measureRevoke } from './revoke.js';
import { measureSmallFiles } from './small-files.js';
import { openStand, type Stand } from './stand.js';
import { measureStartup } from './startup.js';
import { measureVisible } from './visible.js';

const PARTS: Readonly<Record<PartName, (stand: Stand) => Promise<Report>>> = {
  startup: measureStartup,
  small: measureSmallFiles,
  large: measureLargeFile,
  visible: measureVisible,
  revoke: measureRevoke,
  upload: measureBigUpload,
};

const NOISE_MS = 2_000;

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(`${USAGE}\n`);
  else await bench(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n\n${USAGE}\n`);
  process.exitCode = 1;
}

async function bench(options: Options): Promise<void> {
  if (process.platform !== 'linux')
    throw new Error('The benchmark reads processor time and memory from /proc: Linux only.');
  const machine = describeMachine();
  const noise = await measureNoise(NOISE_MS);
  say(`machine: ${printedMachine(machine)}`);
  say(
    `noise: before we began, others kept ${percent(noise.busy)} of the processors busy and ${percent(noise.stolen)} was stolen by other machines.\n` +
      'Trust ratios within a run before figures, processor time before time, and look at min–max.',
  );
  const stand = await openStand(options);
  const reports: Record<string, unknown> = {};
  try {
    for (const name of options.parts) {
      const report = await PARTS[name](stand);
      reports[name] = report.figures;
      say(printed(report));
    }
    await stand.memory.note('at rest after everything', 3_000);
    const memory = stand.memory.report();
    reports.memory = memory.figures;
    say(printed(memory));
  } finally {
    await stand.close();
  }
  say(`\nafterwards: ${printedMachine(describeMachine())}`);
  if (options.jsonFile === undefined) return;
  await writeFile(options.jsonFile, `${JSON.stringify({ machine, noise, options, ...reports }, undefined, 2)}\n`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
