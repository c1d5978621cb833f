import { createHash } from 'node:crypto';
import { isFault } from '@vivarium/fault/fault';
import type { Checked, CheckOptions, CheckPorts, Difference } from './fsck-options.js';
import { ask } from './query.js';

interface BlobRow {
  readonly sha256: string;
  readonly key: string;
  readonly sizeBytes: string;
}

const PAGE = 500;
// Whole files are read: each answer must come in a client's patience.
const PAGE_WITH_BYTES = 20;
const AT_ONCE = 8;
const FILES_NAMED = 3;

const COLUMNS = 'b.sha256, b.object_key AS key, b.size_bytes AS "sizeBytes"';
// A dying blob that nothing names may lose its object at any moment. By files_sha256 and files_metadata.
const COUNTS = `(b.state = 'live' OR EXISTS (SELECT 1 FROM files f WHERE f.sha256 = b.sha256)
  OR EXISTS (SELECT 1 FROM files f WHERE f.metadata_sha256 = b.sha256))`;

/** All blobs against their objects. By blobs_pkey. */
export async function checkBlobs(ports: CheckPorts, { after, bytes }: CheckOptions): Promise<Checked> {
  const limit = bytes ? PAGE_WITH_BYTES : PAGE;
  const page = await ask<{ sha256: string }>(
    ports.pool,
    `SELECT sha256 FROM blobs WHERE sha256 > $1 ORDER BY sha256 LIMIT ${limit}`,
    [after],
  );
  const sha256s = page.map(({ sha256 }) => sha256);
  return {
    differences: await checkObjects(ports, sha256s, bytes),
    lookedAt: { blobs: sha256s.length },
    next: page.length < limit ? '' : (sha256s.at(-1) ?? ''),
  };
}

/** These blobs against their objects: there, of the size that the row says and, if asked, with the right bytes. */
export async function checkObjects(
  ports: CheckPorts,
  sha256s: readonly string[],
  bytes: boolean,
): Promise<readonly Difference[]> {
  const suspects = await complaintsOf(ports, await rowsOf(ports, sha256s), bytes);
  if (suspects.length === 0) return [];
  // Since the row was read the blob may have been swept, or have got another object.
  const again = await rowsOf(
    ports,
    suspects.map(({ sha256 }) => sha256),
  );
  const differences: Difference[] = [];
  for (const { sha256, what } of await complaintsOf(ports, again, bytes)) {
    differences.push({ what: `${what} (${await filesWith(ports, sha256)})`, remedy: REMEDY });
  }
  return differences;
}

const REMEDY = 'put the object back from a backup, or delete the file and upload it again';

interface Complaint {
  readonly sha256: string;
  readonly what: string;
}

async function complaintsOf(
  ports: CheckPorts,
  rows: readonly BlobRow[],
  bytes: boolean,
): Promise<readonly Complaint[]> {
  const complaints: Complaint[] = [];
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    const some = rows.slice(at, at + AT_ONCE);
    const found = await Promise.all(some.map(async (row) => ({ row, what: await complaintOf(ports, row, bytes) })));
    for (const { row, what } of found) if (what !== undefined) complaints.push({ sha256: row.sha256, what });
  }
  return complaints;
}

async function complaintOf({ blobs }: CheckPorts, row: BlobRow, bytes: boolean): Promise<string | undefined> {
  const { sha256, key, sizeBytes } = row;
  const facts = await blobs.head(key);
  if (facts === undefined) return `the object ${key} of the blob ${sha256} is missing`;
  if (facts.sizeBytes !== Number(sizeBytes)) {
    return `the object ${key} has ${facts.sizeBytes} bytes, and the row of its blob says ${sizeBytes}`;
  }
  if (!bytes) return undefined;
  const got = await hashOf(blobs, key);
  if (got === undefined) return `the object ${key} of the blob ${sha256} is missing`;
  return got === sha256 ? undefined : `the object ${key} has the SHA-256 ${got} instead of ${sha256}`;
}

async function hashOf(blobs: CheckPorts['blobs'], key: string): Promise<string | undefined> {
  try {
    const hash = createHash('sha256');
    for await (const chunk of (await blobs.get(key)).stream()) hash.update(chunk);
    return hash.digest('hex');
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}

function rowsOf({ pool }: CheckPorts, sha256s: readonly string[]): Promise<readonly BlobRow[]> {
  return ask<BlobRow>(pool, `SELECT ${COLUMNS} FROM blobs b WHERE b.sha256 = ANY($1) AND ${COUNTS}`, [sha256s]);
}

async function filesWith({ pool }: CheckPorts, sha256: string): Promise<string> {
  const files = await ask<{ login: string; basename: string }>(
    pool,
    `SELECT c.login, f.basename FROM files f JOIN channels c ON c.id = f.channel_id
     WHERE (f.sha256 = $1 OR f.metadata_sha256 = $1) AND f.removed_at IS NULL ORDER BY f.id LIMIT ${FILES_NAMED + 1}`,
    [sha256],
  );
  if (files.length === 0) return 'of no file that exists';
  const named = files.slice(0, FILES_NAMED).map(({ login, basename }) => `${login}/${basename}`);
  return `of ${named.join(', ')}${files.length > FILES_NAMED ? ' and others' : ''}`;
}
