/** Where a process may die between two lines of which each changes something: right after what the name says. */
export type StepName = UploadStep | IndexStep | 'revoke-after-commit';

/** In the order of one upload. */
export type UploadStep =
  | 'receive-bytes'
  | 'receive-row'
  | 'inspect'
  | 'judge'
  | 'pin'
  | 'blob'
  | 'blob-row'
  | 'enter-before-commit'
  | 'enter-after-commit'
  | 'announce'
  | 'await';

/** In the order of one fold of an index. */
export type IndexStep = 'objects-before' | 'objects-after' | 'swap-before-commit' | 'swap-after-commit' | 'readable';

const HALT_AT = process.env.VIVARIUM_HALT_AT;

/**
 * Gives nothing, and costs nothing, unless the environment variable VIVARIUM_HALT_AT names this step. Then it writes one
 * line to stderr and never resolves: whoever awaits it stands still exactly there, for a test that kills the process.
 */
export function reached(step: StepName): Promise<never> | undefined {
  if (HALT_AT !== step) return undefined;
  process.stderr.write(`halted at ${step}\n`);
  return new Promise<never>(() => undefined);
}
