import { inTransaction } from '@vivarium/db/open';
import { type Actor, actorToday } from './actor.js';
import { lockChannel } from './next-generation.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';

/**
 * Changes something in a channel: in one transaction, under the channel's lock, for the asker as identity and authz know
 * it now. Gives what `change` gives.
 */
export function changeChannel<T>(
  ports: PackagesPorts,
  asker: Pick<Actor, 'message' | 'channel'>,
  change: (tx: Tx, actor: Actor) => Promise<T>,
): Promise<T> {
  return inTransaction(ports.pool, async (tx) => {
    const channel = await lockChannel(tx, asker.channel.id);
    return change(tx, await actorToday(ports, asker.message, channel));
  });
}
