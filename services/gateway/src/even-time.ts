import type { Fault, FaultCode } from '@vivarium/fault/fault';

// Longer than what a look-up of something hidden takes beyond one of something missing, even with another service asked on
// the way; shorter than anybody notices.
const STEP_MS = 5;
const SECRETIVE: ReadonlySet<FaultCode> = new Set(['not_found', 'forbidden', 'unauthenticated']);

/**
 * Answers now, or, if it is a refusal behind which something may be hidden, at the next whole step since the request came:
 * a row that is found and not shown takes a little longer than none, and over many questions the difference would tell.
 * `begunMs` as of performance.now().
 */
export function inEvenTime({ code }: Fault, begunMs: number, answer: () => void): void {
  if (SECRETIVE.has(code)) setTimeout(answer, untilStepMs(performance.now() - begunMs));
  else answer();
}

/** How long it is until the next step. */
export function untilStepMs(elapsedMs: number, stepMs = STEP_MS): number {
  return stepMs - (elapsedMs % stepMs);
}
