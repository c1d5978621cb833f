import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RetiredShardResponseSchema } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { databaseFaultOf } from '@vivarium/db/database-fault';
import { Feed } from '@vivarium/indexing/feed';
import type { Place } from './place.js';
import type { CondaIndexPorts } from './ports.js';

/** How long a superseded shard is found: as long as clients may go on with an old index. */
export const RETIRED_FOR_MS = 7 * 24 * 60 * 60 * 1000;

/**
 * Whose shard it is, superseded or not, and who may read that package today: what the shard's own time allowed counts for
 * nothing. Not found if the package is gone.
 */
export async function retiredShard(
  ports: Pick<CondaIndexPorts, 'pool' | 'bus' | 'clock'> & {
    readonly trust: Pick<CondaIndexPorts['trust'], 'assertionFor'>;
  },
  channelId: string,
  place: Place,
  hash: string,
): Promise<MessageInitShape<typeof RetiredShardResponseSchema>> {
  const row = await ownerOf(ports, channelId, place, hash);
  if (row === undefined) return { found: false };
  const { bus, trust } = ports;
  const audience = await new Feed({ bus, trust, kind: 'conda' }).audienceOf(row.package_id);
  return audience === undefined ? { found: false } : { found: true, audience, name: row.name };
}

/** Deletes the rows of shards that nobody needs any more, and gives how many. By retired_shards_retired_at_idx. */
export async function forgetRetired({ pool, clock }: Pick<CondaIndexPorts, 'pool' | 'clock'>): Promise<number> {
  const { rowCount } = await pool.query('DELETE FROM retired_shards WHERE retired_at < $1', [
    new Date(clock() - RETIRED_FOR_MS),
  ]);
  return rowCount ?? 0;
}

async function ownerOf(
  { pool, clock }: Pick<CondaIndexPorts, 'pool' | 'clock'>,
  channelId: string,
  { label, subdir }: Place,
  hash: string,
): Promise<{ readonly package_id: string; readonly name: string } | undefined> {
  try {
    // By shards_shard_hash_idx and retired_shards_pkey. The current ones too: who asks may hold an older manifest than the
    // client that asks it.
    const { rows } = await pool.query<{ package_id: string; name: string }>(
      `SELECT package_id, name FROM shards WHERE shard_hash = $4 AND channel_id = $1 AND label = $2 AND subdir = $3
       UNION ALL
       SELECT package_id, name FROM retired_shards
       WHERE channel_id = $1 AND label = $2 AND subdir = $3 AND hash = $4 AND retired_at >= $5
       LIMIT 1`,
      [channelId, label, subdir, hash, new Date(clock() - RETIRED_FOR_MS)],
    );
    return rows[0];
  } catch (error) {
    throw databaseFaultOf(error);
  }
}
