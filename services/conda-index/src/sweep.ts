import { IndexSweep } from '@vivarium/indexing/index-sweep';
import { startsLikePypi } from '@vivarium/indexing/object-sweep';
import type { CondaIndexPorts } from './ports.js';
import { forgetRetired, RETIRED_FOR_MS } from './retired-shard.js';

/** The sweep of conda's indexes: superseded shards after seven days, then objects that no row names. */
export function condaSweep(ports: CondaIndexPorts): IndexSweep {
  return new IndexSweep({
    ...ports,
    graceMs: ports.config?.sweepGraceMs,
    named: NAMED,
    isOwn: (prefix, start) => !startsLikePypi(prefix, start),
    sweepRows: async ({ dryRun }) => {
      const count = dryRun ? await countForgettable(ports) : await forgetRetired(ports);
      return [{ what: 'shards superseded more than 7 days ago', count, sizeBytes: 0 }];
    },
  });
}

// By shards_shard_hash_idx and retired_shards_hash; heads and chunks as a whole.
export const NAMED = `SELECT shard_hash AS hash FROM shards WHERE shard_hash = ANY($1)
UNION SELECT hash FROM retired_shards WHERE hash = ANY($1)
UNION SELECT manifest_hash FROM heads WHERE manifest_hash = ANY($1)
UNION SELECT chunk.hash FROM chunks, unnest(tar_bz2 || conda) AS chunk (hash) WHERE chunk.hash = ANY($1)`;

/** By retired_shards_retired_at_idx. */
async function countForgettable({ pool, clock }: CondaIndexPorts): Promise<number> {
  const before = [new Date(clock() - RETIRED_FOR_MS)];
  const { rows } = await pool.query<{ count: string }>(
    'SELECT count(*) FROM retired_shards WHERE retired_at < $1',
    before,
  );
  return Number(rows[0]?.count);
}
