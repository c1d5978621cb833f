import { inTransaction } from '@vivarium/db/open';
import { type Actor, actorToday, type Reader } from './actor.js';
import { lockChannel } from './next-generation.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';

/**
 * Changes something in a channel: in one transaction, under the channel's lock, for the reader as identity and authz know
 * it now. Gives what `change` gives.
 */
export function changeChannel<T>(
  ports: PackagesPorts,
  reader: Reader,
  change: (tx: Tx, actor: Actor) => Promise<T>,
): Promise<T> {
  return inTransaction(ports.pool, async (tx) => {
    const channel = await lockChannel(tx, reader.channel.id);
    return change(tx, await actorToday(ports, reader.message, channel));
  });
}
