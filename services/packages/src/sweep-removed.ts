import { ask } from './query.js';
import type { SweepOptions, SweepPorts, Swept } from './sweep-options.js';

// As long as a removed file answers at its address, and a removed package says who may read what caches still link to.
const KEPT = "interval '7 days'";
const BATCH = 500;

// Files first: so each statement deletes a bounded number of rows. By files_removed, releases_removed, packages_removed.
const TABLES = [
  { table: 'files', what: 'files removed more than 7 days ago', unless: 'false' },
  {
    table: 'releases',
    what: 'releases removed more than 7 days ago',
    unless: 'EXISTS (SELECT 1 FROM files f WHERE f.release_id = t.id)',
  },
  {
    table: 'packages',
    what: 'packages removed more than 7 days ago',
    unless: 'EXISTS (SELECT 1 FROM files f WHERE f.package_id = t.id)',
  },
] as const;

/** Forgets what was removed a week ago. Its bytes are nobody's then, unless the same are somewhere else too. */
export async function sweepRemoved({ pool }: SweepPorts, { dryRun, signal }: SweepOptions): Promise<readonly Swept[]> {
  const swept: Swept[] = [];
  for (const { table, what, unless } of TABLES) {
    const gone = `FROM ${table} t WHERE t.removed_at < now() - ${KEPT}`;
    if (dryRun) {
      const [row] = await ask<{ count: string }>(pool, `SELECT count(*) ${gone}`);
      swept.push({ what, count: Number(row?.count), sizeBytes: 0 });
      continue;
    }
    let count = 0;
    while (signal?.aborted !== true) {
      const [row] = await ask<{ count: string }>(
        pool,
        `WITH gone AS (DELETE FROM ${table} WHERE id IN (SELECT t.id ${gone} AND NOT ${unless} LIMIT ${BATCH}) RETURNING 1)
         SELECT count(*) FROM gone`,
      );
      const deleted = Number(row?.count);
      count += deleted;
      if (deleted < BATCH) break;
    }
    swept.push({ what, count, sizeBytes: 0 });
  }
  return swept;
}
