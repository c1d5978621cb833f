import { checkObjects } from './fsck-blobs.js';
import type { Checked, CheckOptions, CheckPorts, Difference } from './fsck-options.js';
import { ask } from './query.js';

interface FileFacts {
  readonly id: string;
  readonly basename: string;
  readonly sha256: string;
  readonly sizeBytes: string;
  readonly blobSizeBytes: string;
  readonly metadataSha256: string | null;
  /** What its line in an index says; null for kinds without one. */
  readonly toldSha256: string | null;
  readonly isIndexed: boolean;
}

const PAGE = 500;
const PAGE_WITH_BYTES = 20;

/** Files of a channel against their blobs and what their lines in indexes say of them. By files_basename. */
export async function checkFiles(ports: CheckPorts, options: CheckOptions): Promise<Checked> {
  const { channelId, after, bytes, objects } = options;
  const limit = bytes && objects ? PAGE_WITH_BYTES : PAGE;
  const files = await ask<FileFacts>(
    ports.pool,
    `SELECT f.id, f.basename, f.sha256, f.size_bytes AS "sizeBytes", b.size_bytes AS "blobSizeBytes",
       f.metadata_sha256 AS "metadataSha256", f.record->>'sha256' AS "toldSha256", f.kind IN ('conda', 'pypi') AS "isIndexed"
     FROM files f JOIN blobs b ON b.sha256 = f.sha256
     WHERE f.channel_id = $1 AND f.removed_at IS NULL AND (f.basename, f.id) > ($2, $3)
     ORDER BY f.basename, f.id LIMIT ${limit}`,
    [channelId, ...cursorOf(after)],
  );
  const sha256s = files.flatMap(({ sha256, metadataSha256 }) => [sha256, ...(metadataSha256 ? [metadataSha256] : [])]);
  const last = files.at(-1);
  return {
    // Rows of files are written once: what one statement saw needs no second look.
    differences: [
      ...files.flatMap(complaintsOf),
      ...(objects ? await checkObjects(ports, [...new Set(sha256s)], bytes) : []),
    ],
    lookedAt: { files: files.length },
    next: last === undefined || files.length < limit ? '' : `${last.id}/${last.basename}`,
  };
}

function complaintsOf({ basename, sha256, sizeBytes, blobSizeBytes, toldSha256, isIndexed }: FileFacts): Difference[] {
  const remedy = 'delete the file and upload it again';
  const differences: Difference[] = [];
  if (sizeBytes !== blobSizeBytes) {
    differences.push({ what: `${basename} has ${sizeBytes} bytes, and its blob ${blobSizeBytes}`, remedy });
  }
  if (isIndexed && toldSha256 !== sha256) {
    differences.push({
      what: `${basename} has the SHA-256 ${sha256}, and its line in the index says ${toldSha256 ?? 'nothing'}`,
      remedy,
    });
  }
  return differences;
}

function cursorOf(after: string): readonly [basename: string, id: string] {
  const slash = after.indexOf('/');
  return [after.slice(slash + 1), after.slice(0, Math.max(0, slash))];
}
