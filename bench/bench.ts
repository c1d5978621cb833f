// `npm run bench`: measures the product as its users have it, in one process, beside nginx and bare node:http on the same
// machine; then how fast two gateways forget, as separate services on real servers. Figures of one run may be compared with
// each other; the machine says what else went on.
import { writeFile } from 'node:fs/promises';
import { measureBigUpload } from './big-upload.js';
import { measureForget } from './forget.js';
import { measureHide } from './hide.js';
import { measureLargeFile } from './large-file.js';
import { measureList } from './list.js';
import { describeMachine, measureNoise, printedMachine } from './machine.js';
import {
  type Options,
  PAIR_PARTS,
  type PairPart,
  parseOptions,
  SINGLE_PARTS,
  type SinglePart,
  USAGE,
} from './options.js';
import { openPair, type Pair } from './pair.js';
import { printed, type Report } from './report.js';
import { measureRevoke } from './revoke.js';
import { measureSmallFiles } from './small-files.js';
import { openStand, type Stand } from './stand.js';
import { measureStartup } from './startup.js';
import { measureVisible } from './visible.js';

const SINGLE: Readonly<Record<SinglePart, (stand: Stand) => Promise<Report>>> = {
  startup: measureStartup,
  small: measureSmallFiles,
  large: measureLargeFile,
  visible: measureVisible,
  revoke: measureRevoke,
  upload: measureBigUpload,
};

const PAIRED: Readonly<Record<PairPart, (pair: Pair) => Promise<Report>>> = {
  forget: measureForget,
  hide: measureHide,
  list: measureList,
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
  const reports = { ...(await onSingle(options)), ...(await onPair(options)) };
  say(`\nafterwards: ${printedMachine(describeMachine())}`);
  if (options.jsonFile === undefined) return;
  await writeFile(options.jsonFile, `${JSON.stringify({ machine, noise, options, ...reports }, undefined, 2)}\n`);
}

/** Figures of what is measured on one process, by part. */
async function onSingle(options: Options): Promise<Readonly<Record<string, unknown>>> {
  const parts = SINGLE_PARTS.filter((name) => options.parts.includes(name));
  if (parts.length === 0) return {};
  const stand = await openStand(options);
  const figures: Record<string, unknown> = {};
  try {
    for (const name of parts) figures[name] = tell(await SINGLE[name](stand));
    await stand.memory.note('at rest after everything', 3_000);
    figures.memory = tell(stand.memory.report());
    return figures;
  } finally {
    await stand.close();
  }
}

/** Figures of what is measured on two gateways, by part. */
async function onPair(options: Options): Promise<Readonly<Record<string, unknown>>> {
  const parts = PAIR_PARTS.filter((name) => options.parts.includes(name));
  if (parts.length === 0) return {};
  const pair = await openPair(options);
  if (pair === undefined) {
    say(`\nLeft out: ${parts.join(', ')}. nats-server is not installed (.ci/install.sh does).`);
    return {};
  }
  const figures: Record<string, unknown> = {};
  try {
    for (const name of parts) figures[name] = tell(await PAIRED[name](pair));
    return figures;
  } finally {
    await pair.close();
  }
}

/** Prints a report and gives its figures. */
function tell(report: Report): unknown {
  say(printed(report));
  return report.figures;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
