import { Fault, isFault } from '@vivarium/fault/fault';
import type { Invalidations } from './invalidations.js';

/**
 * Waits, after the commit of a change, until no gateway remembers anything older. `done` says what is changed, as the begin
 * of a sentence. Throws Fault('unavailable') while a gateway may still remember: then the change stands, and the answer
 * must not promise that it holds everywhere.
 */
export async function untilForgotten(invalidations: Pick<Invalidations, 'barrier'>, done: string): Promise<void> {
  if (await invalidations.barrier().catch((error: unknown) => onlyLate(error, done))) return;
  throw late(done);
}

/** Who is told only that a service is away asks again, and is refused what is done already. */
function onlyLate(error: unknown, done: string): never {
  throw isFault(error) && error.code === 'unavailable' ? late(done, error) : error;
}

function late(done: string, cause?: unknown): Fault {
  return new Fault('unavailable', `${done}, but a gateway may not have heard of it for some seconds.`, { cause });
}
