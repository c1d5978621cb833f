import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { awaitReadable, indexedKinds } from './await-readable.js';
import type { PackagesPorts } from './ports.js';
import type { Readability } from './readability.js';
import type { Removal } from './remove.js';

/**
 * Waits after a change of who may do what: until no gateway remembers what was before, and until every index has it. True
 * if they have. `done` says what is changed, as the begin of a sentence. Also waits if nothing changed: who asks again may
 * have been told that it was not known to all. Throws Fault('unavailable') while a gateway may remember.
 */
export async function settleAccess(
  ports: PackagesPorts,
  readability: Readability,
  channelId: string,
  change: Removal | undefined,
  done: string,
): Promise<boolean> {
  const [readable] = await Promise.all([
    change === undefined ||
      awaitReadable(ports, readability, {
        channelId,
        generation: change.generation,
        kinds: indexedKinds(change.kinds),
      }),
    untilForgotten(ports.invalidations, done),
  ]);
  return readable;
}
