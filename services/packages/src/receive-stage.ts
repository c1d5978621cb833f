import { checkKey } from '@vivarium/blobs/blobs';
import { PREFIXES } from '@vivarium/blobs/keys';
import { reached } from '@vivarium/boot/step';
import { Fault } from '@vivarium/fault/fault';
import { ask, type Queryable } from './query.js';

/** What the gateway took in and measured. */
export interface ReceivedBytes {
  readonly stagingKey: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
}

/** What an open stage waits for. Throws Fault('forbidden') for one that is unknown, used or expired. */
export async function expectBytes(
  db: Queryable,
  stageId: string,
  nowMs: number,
): Promise<{ readonly sha256: string; readonly basename: string }> {
  const [row] = await ask<{ sha256: string; basename: string }>(
    db,
    "SELECT sha256, basename FROM stages WHERE id = $1 AND state = 'open' AND expires_at > $2",
    [stageId, new Date(nowMs)],
  );
  if (row === undefined) throw noSuchUpload();
  return row;
}

/**
 * Notes that the bytes of an open stage have arrived: once, however many send them at the same time.
 * Throws Fault('conflict') for all but the first, Fault('forbidden') for a stage that is unknown or expired.
 */
export async function receiveBytes(db: Queryable, stageId: string, bytes: ReceivedBytes, nowMs: number): Promise<void> {
  const { stagingKey, sha256, md5, sizeBytes } = checkReceived(bytes);
  const now = new Date(nowMs);
  const received = await ask(
    db,
    `UPDATE stages SET state = 'received', staging_key = $2, received_sha256 = $3, received_md5 = $4, size_bytes = $5
     WHERE id = $1 AND state = 'open' AND expires_at > $6 RETURNING 1`,
    [stageId, stagingKey, sha256, md5, sizeBytes, now],
  );
  if (received.length > 0) {
    await reached('receive-row');
    return;
  }
  const known = await ask(db, "SELECT 1 FROM stages WHERE id = $1 AND state <> 'open' AND expires_at > $2", [
    stageId,
    now,
  ]);
  if (known.length === 0) throw noSuchUpload();
  throw new Fault('conflict', 'The bytes of this upload have arrived before: start the upload again to send others.');
}

/** The measures of received bytes. Throws Fault('invalid') for any that could not be. */
export function checkReceived(bytes: {
  readonly stagingKey: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number | bigint;
}): ReceivedBytes {
  const { stagingKey, sha256, md5 } = bytes;
  const sizeBytes = Number(bytes.sizeBytes);
  checkKey(stagingKey);
  const isSound =
    stagingKey.startsWith(PREFIXES.staging) &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    /^[0-9a-f]{32}$/.test(md5) &&
    Number.isSafeInteger(sizeBytes) &&
    sizeBytes >= 0;
  if (!isSound) throw new Fault('invalid', 'The measures of the received bytes are not complete.');
  return { stagingKey, sha256, md5, sizeBytes };
}

function noSuchUpload(): Fault {
  return new Fault('forbidden', 'This upload address is unknown, used or expired: start the upload again.');
}
