import { ask } from './query.js';
import type { SweepOptions, SweepPorts, Swept } from './sweep-options.js';

const BATCH = 100;
// A commit that began just before the end has an hour to finish.
const SLACK_MS = 60 * 60 * 1000;

/** Forgets uploads that have expired: their bytes first, so that none is left without a row that tells of it. */
export async function sweepStages(ports: SweepPorts, { dryRun, signal }: SweepOptions): Promise<Swept> {
  const { pool, blobs, clock } = ports;
  const before = new Date(clock() - SLACK_MS);
  const what = 'uploads that have expired';
  if (dryRun) {
    const [row] = await ask<{ count: string }>(pool, 'SELECT count(*) FROM stages WHERE expires_at < $1', [before]);
    return { what, count: Number(row?.count), sizeBytes: 0 };
  }
  let count = 0;
  while (signal?.aborted !== true) {
    // By stages_expiry.
    const expired = await ask<{ id: string; key: string | null }>(
      pool,
      `SELECT id, staging_key AS key FROM stages WHERE expires_at < $1 ORDER BY expires_at LIMIT ${BATCH}`,
      [before],
    );
    for (const { id, key } of expired) {
      if (key !== null) await blobs.delete(key);
      await ask(pool, 'WITH unpinned AS (DELETE FROM pins WHERE stage_id = $1) DELETE FROM stages WHERE id = $1', [id]);
    }
    count += expired.length;
    if (expired.length < BATCH) break;
  }
  // A pin that was made when its stage was already forgotten. By pins_until.
  await ask(
    pool,
    'DELETE FROM pins WHERE until < $1 AND NOT EXISTS (SELECT 1 FROM stages WHERE stages.id = pins.stage_id)',
    [before],
  );
  return { what, count, sizeBytes: 0 };
}
