import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Role } from './config.js';

const INDEXERS = ['conda-index', 'pypi-index'] as const;

/**
 * Where a process may die between two lines of which each changes something, right after what the name says, and the roles
 * in which it may die there: in the order of an upload, then of a fold of an index, then what is neither.
 */
export const STEPS = {
  'receive-bytes': ['gateway'],
  'receive-row': ['packages'],
  inspect: ['packages'],
  judge: ['packages'],
  pin: ['packages'],
  blob: ['packages'],
  'blob-row': ['packages'],
  'enter-before-commit': ['packages'],
  'enter-after-commit': ['packages'],
  announce: ['packages'],
  await: ['packages'],
  'objects-before': INDEXERS,
  'objects-after': INDEXERS,
  'swap-before-commit': INDEXERS,
  'swap-after-commit': INDEXERS,
  readable: INDEXERS,
  'revoke-after-commit': ['identity'],
  'transfer-before-commit': ['packages'],
  'transfer-after-commit': ['packages'],
} as const satisfies Readonly<Record<string, readonly Role[]>>;

export type StepName = keyof typeof STEPS;

const HALT_AT = process.env.VIVARIUM_HALT_AT;
const LOOK_AGAIN_MS = 20;

/**
 * Gives nothing, and costs nothing, unless the environment variable VIVARIUM_HALT_AT names this step, or is the absolute
 * path of a file in which a line names it. Then it writes one line to stderr, and whoever awaits it stands still exactly
 * there, for a test that kills the process: for ever, or until the file does not name the step any more.
 */
export function reached(step: StepName): Promise<void> | undefined {
  if (HALT_AT === undefined || !isNamed(HALT_AT, step)) return undefined;
  process.stderr.write(`halted at ${step}\n`);
  return untilUnnamed(HALT_AT, step);
}

function isNamed(haltAt: string, step: StepName): boolean {
  return isAbsolute(haltAt) ? linesOf(haltAt).includes(step) : haltAt === step;
}

async function untilUnnamed(haltAt: string, step: StepName): Promise<void> {
  if (!isAbsolute(haltAt)) return new Promise(() => undefined);
  while (isNamed(haltAt, step)) await pause(LOOK_AGAIN_MS);
}

function linesOf(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}
