import { createHash } from 'node:crypto';
import type { Blobs } from '@vivarium/blobs/blobs';
import { blobKey } from '@vivarium/blobs/keys';
import { reached } from '@vivarium/boot/step';
import type { Pool } from 'pg';
import type { JudgedFile } from './judge-upload.js';
import { ask } from './query.js';
import { readReceived } from './received-bytes.js';
import type { StageRow } from './stage-row.js';
import { filenameOf } from './upload-path.js';

interface Bytes {
  readonly sha256: string;
  readonly sizeBytes: number;
  put(key: string): Promise<unknown>;
}

/** SHA-256 of METADATA, for a wheel. */
export interface StoredBytes {
  readonly metadataSha256: string | null;
}

/**
 * Stores the bytes of a judged file as blobs, each once: a server-side copy of what was received, and a wheel's METADATA.
 * Blob before row: a crash may leave an object that no row names, never a row without bytes.
 * Throws Fault('conflict') if what was received is not there any more.
 */
export async function store(db: Pool, blobs: Blobs, stage: StageRow, file: JudgedFile): Promise<StoredBytes> {
  const { received, metadata } = file;
  const { sha256, sizeBytes, stagingKey } = received;
  const copy = (key: string) => readReceived(filenameOf(stage.basename), () => blobs.copy(stagingKey, key));
  const all: Bytes[] = [{ sha256, sizeBytes, put: copy }];
  let metadataSha256: string | null = null;
  if (metadata !== undefined) {
    metadataSha256 = createHash('sha256').update(metadata).digest('hex');
    all.push({ sha256: metadataSha256, sizeBytes: metadata.byteLength, put: (key) => blobs.put(key, metadata) });
  }
  await pin(db, stage, [...new Set(all.map((each) => each.sha256))]);
  await reached('pin');
  for (const bytes of all) await storeOnce(db, blobs, stage, bytes);
  return { metadataSha256 };
}

// Committed before anybody looks: whoever sweeps decides under the blob row's lock, and sees this or is seen.
async function pin(db: Pool, stage: StageRow, sha256s: readonly string[]): Promise<void> {
  await ask(
    db,
    `INSERT INTO pins (sha256, stage_id, until) SELECT sha256, $2, $3 FROM unnest($1::text[]) AS needed (sha256)
     ON CONFLICT (sha256, stage_id) DO UPDATE SET until = excluded.until`,
    [sha256s, stage.id, stage.expiresAt],
  );
}

async function storeOnce(db: Pool, blobs: Blobs, stage: StageRow, bytes: Bytes): Promise<void> {
  const { sha256, sizeBytes, put } = bytes;
  // FOR SHARE waits for a sweep that is deciding about this very row.
  const live = await ask(db, "SELECT 1 FROM blobs WHERE sha256 = $1 AND state = 'live' FOR SHARE", [sha256]);
  if (live.length > 0) return;
  const [next] = await ask<{ object: string }>(db, "SELECT nextval('blob_objects') AS object");
  const key = blobKey(sha256, Number(next?.object));
  await put(key);
  await reached('blob');
  // The pin must still be there, and stays until the row is: without it the object may have been swept away already.
  const taken = await ask(
    db,
    `INSERT INTO blobs (sha256, object_key, size_bytes)
     SELECT $1::text, $2::text, $3::bigint FROM (SELECT 1 FROM pins WHERE sha256 = $1 AND stage_id = $4 FOR KEY SHARE) AS pinned
     ON CONFLICT (sha256) DO UPDATE
       SET object_key = excluded.object_key, state = 'live', dying_at = NULL, created_at = now()
     WHERE blobs.state = 'dying' RETURNING 1`,
    [sha256, key, sizeBytes, stage.id],
  );
  // Somebody else stored the same bytes meanwhile, or ended this stage: nothing names our object.
  if (taken.length === 0) await blobs.delete(key);
  await reached('blob-row');
}
