import { inTransaction } from '@vivarium/db/open';
import { ask } from './query.js';
import type { SweepOptions, SweepPorts, Swept } from './sweep-options.js';

const PAGE = 5_000;
const BATCH = 100;

// A file names a blob, or an upload that is under way has pinned it. By files_sha256, files_metadata and pins_pkey.
const NEEDED = `EXISTS (SELECT 1 FROM files f WHERE f.sha256 = b.sha256)
  OR EXISTS (SELECT 1 FROM files f WHERE f.metadata_sha256 = b.sha256)
  OR EXISTS (SELECT 1 FROM pins p WHERE p.sha256 = b.sha256)`;

interface BlobRow {
  readonly sha256: string;
  readonly sizeBytes: string;
  readonly key: string;
}

/**
 * Removes blobs that nothing needs, in two steps with the grace between them: a blob becomes *dying*, later its row and then
 * its object go. An upload pins its bytes before it looks for them, and both steps decide under the lock of the blob's row:
 * either the pin is seen here, or the upload sees what was decided. Bytes that come back while the blob is dying, or gone,
 * get an object under a new key, so a delete that comes late hits only the old one.
 */
export async function sweepBlobs(ports: SweepPorts, options: SweepOptions): Promise<readonly Swept[]> {
  const marked = options.dryRun ? await countUnneeded(ports) : await markAll(ports, options);
  const deleted = options.dryRun ? await countDying(ports, options) : await deleteDying(ports, options);
  return [
    { what: 'blobs found that nothing needs', ...marked },
    { what: 'blobs that nothing needed', ...deleted },
  ];
}

type Tally = Pick<Swept, 'count' | 'sizeBytes'>;

async function markAll(ports: SweepPorts, { signal }: SweepOptions): Promise<Tally> {
  const marked: BlobRow[] = [];
  for await (const unneeded of unneededBlobs(ports)) {
    for (let at = 0; at < unneeded.length && signal?.aborted !== true; at += BATCH) {
      marked.push(...(await mark(ports, unneeded.slice(at, at + BATCH))));
    }
  }
  return tallyOf(marked);
}

function mark({ pool }: SweepPorts, sha256s: readonly string[]): Promise<readonly BlobRow[]> {
  return inTransaction(pool, async (tx) => {
    // Sorted, so that two sweeps cannot wait for each other.
    await ask(tx, 'SELECT 1 FROM blobs WHERE sha256 = ANY($1) ORDER BY sha256 FOR UPDATE', [sha256s]);
    // A statement of its own: it sees what was committed before the locks were had.
    return ask<BlobRow>(
      tx,
      `UPDATE blobs b SET state = 'dying', dying_at = clock_timestamp()
       WHERE b.sha256 = ANY($1) AND b.state = 'live' AND NOT (${NEEDED})
       RETURNING b.sha256, b.size_bytes AS "sizeBytes", b.object_key AS key`,
      [sha256s],
    );
  });
}

async function deleteDying(ports: SweepPorts, { graceMs, signal }: SweepOptions): Promise<Tally> {
  const deleted: BlobRow[] = [];
  let after = '';
  while (signal?.aborted !== true) {
    // By blobs_dying.
    const dying = await ask<{ sha256: string }>(
      ports.pool,
      `SELECT sha256 FROM blobs WHERE state = 'dying' AND dying_at <= clock_timestamp() - $1::float8 * interval '1 ms'
         AND sha256 > $2 ORDER BY sha256 LIMIT ${BATCH}`,
      [graceMs, after],
    );
    const gone = await forget(
      ports,
      dying.map(({ sha256 }) => sha256),
      graceMs,
    );
    // The row before the object: a crash leaves an object that no row names, never a row without bytes.
    for (const { key } of gone) await ports.blobs.delete(key);
    deleted.push(...gone);
    if (dying.length < BATCH) break;
    after = dying.at(-1)?.sha256 ?? after;
  }
  return tallyOf(deleted);
}

function forget({ pool }: SweepPorts, sha256s: readonly string[], graceMs: number): Promise<readonly BlobRow[]> {
  return inTransaction(pool, async (tx) => {
    await ask(tx, 'SELECT 1 FROM blobs WHERE sha256 = ANY($1) ORDER BY sha256 FOR UPDATE', [sha256s]);
    // Entered by an upload whose pin had ended. Its object is still there.
    await ask(
      tx,
      `UPDATE blobs b SET state = 'live', dying_at = NULL WHERE b.sha256 = ANY($1) AND b.state = 'dying' AND (${NEEDED})`,
      [sha256s],
    );
    return ask<BlobRow>(
      tx,
      `DELETE FROM blobs b WHERE b.sha256 = ANY($1) AND b.state = 'dying'
         AND b.dying_at <= clock_timestamp() - $2::float8 * interval '1 ms'
       RETURNING b.sha256, b.size_bytes AS "sizeBytes", b.object_key AS key`,
      [sha256s, graceMs],
    );
  });
}

async function countUnneeded(ports: SweepPorts): Promise<Tally> {
  let count = 0;
  let sizeBytes = 0;
  for await (const sha256s of unneededBlobs(ports)) {
    const [row] = await ask<{ bytes: string | null }>(
      ports.pool,
      'SELECT sum(size_bytes) AS bytes FROM blobs WHERE sha256 = ANY($1)',
      [sha256s],
    );
    count += sha256s.length;
    sizeBytes += Number(row?.bytes ?? 0);
  }
  return { count, sizeBytes };
}

async function countDying({ pool }: SweepPorts, { graceMs }: SweepOptions): Promise<Tally> {
  const dying = await ask<BlobRow>(
    pool,
    `SELECT b.sha256, b.size_bytes AS "sizeBytes", b.object_key AS key FROM blobs b
     WHERE b.state = 'dying' AND b.dying_at <= clock_timestamp() - $1::float8 * interval '1 ms' AND NOT (${NEEDED})`,
    [graceMs],
  );
  return tallyOf(dying);
}

/** Live blobs that nothing seems to need, in pages by blobs_pkey, so that no statement looks at all of them. */
async function* unneededBlobs({ pool }: SweepPorts): AsyncIterable<readonly string[]> {
  for (let after = ''; ; ) {
    const [page] = await ask<{ last: string | null; unneeded: string[] }>(
      pool,
      `WITH page AS (SELECT sha256, state FROM blobs WHERE sha256 > $1 ORDER BY sha256 LIMIT ${PAGE})
       SELECT max(b.sha256) AS last,
         coalesce(array_agg(b.sha256 ORDER BY b.sha256) FILTER (WHERE b.state = 'live' AND NOT (${NEEDED})), '{}') AS unneeded
       FROM page b`,
      [after],
    );
    if (page === undefined || page.last === null) return;
    if (page.unneeded.length > 0) yield page.unneeded;
    after = page.last;
  }
}

function tallyOf(rows: readonly BlobRow[]): Tally {
  return { count: rows.length, sizeBytes: rows.reduce((sum, { sizeBytes }) => sum + Number(sizeBytes), 0) };
}
