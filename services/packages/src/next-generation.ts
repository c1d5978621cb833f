import { floorKey } from '@vivarium/blobs/keys';
import { Fault } from '@vivarium/fault/fault';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import { type ChannelRow, readChannel } from './channel-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';

// A message of this many is still small; the news of one generation may be several.
const FACTS_PER_MESSAGE = 500;

/** What changed in a channel, as far as indexes and memories of it care. */
export interface Change {
  readonly packageIds: readonly string[];
  /** Names that the indexes shall fold again. */
  readonly names: readonly { readonly kind: 'conda' | 'pypi'; readonly name: string }[];
}

/**
 * Locks a channel until the transaction ends, and gives it as it is then. Whoever changes anything in a channel begins with
 * this, so its packages, files and labels stand still too.
 */
export async function lockChannel(tx: Tx, channelId: string): Promise<ChannelRow> {
  await ask(tx, 'SELECT 1 FROM channels WHERE id = $1 FOR UPDATE', [channelId]);
  // A statement of its own: it sees what whoever held the lock before has committed.
  const channel = await readChannel(tx, 'id', channelId);
  if (channel === undefined) throw new Fault('not_found', 'This channel does not exist any more.');
  return channel;
}

/**
 * Locks several channels, each as `lockChannel` does, always in the same order: two changes that want the same two never wait
 * for each other. Those that exist, by id.
 */
export async function lockChannels(tx: Tx, channelIds: readonly string[]): Promise<ReadonlyMap<string, ChannelRow>> {
  const locked = new Map<string, ChannelRow>();
  for (const id of [...new Set(channelIds)].sort()) locked.set(id, await lockChannel(tx, id));
  return locked;
}

/**
 * Makes the next generation of a locked channel and says what is new in it. The news leave after the commit, with
 * `invalidations.wake` or `barrier`.
 */
export async function nextGeneration(
  tx: Tx,
  invalidations: Pick<Invalidations, 'add'>,
  channelId: string,
  change: Change,
): Promise<number> {
  const [row] = await ask<{ generation: string }>(
    tx,
    'UPDATE channels SET generation = generation + 1, changed_at = clock_timestamp() WHERE id = $1 RETURNING generation',
    [channelId],
  );
  const generation = Number(row?.generation);
  const { packageIds, names } = change;
  await ask(tx, 'UPDATE packages SET touched = $2, modified_at = clock_timestamp() WHERE id = ANY($1)', [
    packageIds,
    generation,
  ]);
  await ask(
    tx,
    `INSERT INTO changes (channel_id, kind, name, generation)
     SELECT $1, kind, name, $4 FROM unnest($2::text[], $3::text[]) AS changed (kind, name)
     ON CONFLICT (channel_id, kind, name) DO UPDATE SET generation = excluded.generation`,
    [channelId, names.map(({ kind }) => kind), names.map(({ name }) => name), generation],
  );
  const facts = [`channel:${channelId}`, ...packageIds.map((id) => `package:${id}`)];
  for (let at = 0; at < facts.length; at += FACTS_PER_MESSAGE) {
    const part = facts.slice(at, at + FACTS_PER_MESSAGE);
    await invalidations.add(
      tx,
      part.map((tag) => ({ tag, version: generation })),
    );
  }
  return generation;
}

/**
 * Forbids that anything older than this generation of a locked channel is served again. The blob store is told before the
 * commit: should that fail, the floor there is one too high until the next change, where the other order could leave it too
 * low, and show what was just hidden.
 */
export async function raiseFloor(
  tx: Tx,
  blobs: PackagesPorts['blobs'],
  channelId: string,
  generation: number,
): Promise<void> {
  await ask(tx, 'UPDATE channels SET floor = $2 WHERE id = $1', [channelId, generation]);
  await blobs.put(floorKey(channelId), Buffer.from(JSON.stringify({ floor: generation })));
}
