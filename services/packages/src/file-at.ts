import type { Audience } from '@vivarium/access/audience';
import { sees, type View } from '@vivarium/access/view';
import { ask, type Queryable } from './query.js';

export interface AtQuestion {
  readonly channelId: string;
  /** Empty: any. */
  readonly label: string;
  readonly kind: 'conda' | 'pypi';
  readonly basename: string;
  /** pypi: the digest in the URL; empty: any. */
  readonly sha256: string;
  /** pypi: METADATA beside the wheel is meant. */
  readonly metadata: boolean;
}

export interface FileAt {
  readonly id: string;
  readonly blobKey: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly uploadedAtMs: number;
  readonly audience: Audience;
  readonly name: string;
}

/** What was found, and the fact with its version that the answer depends on. */
export interface AtAnswer {
  readonly file: FileAt | undefined;
  readonly version: { readonly tag: string; readonly version: number };
}

interface Row {
  readonly generation: string;
  readonly id: string;
  readonly packageId: string | null;
  readonly name: string;
  readonly pypiName: string | null;
  readonly audience: Audience;
  readonly touched: string;
  readonly fileSha256: string;
  readonly isRemoved: boolean;
  readonly labels: readonly string[];
  readonly uploadedAt: Date;
  readonly blobKey: string | null;
  readonly sha256: string;
  readonly sizeBytes: string;
}

// By files_basename: the file that exists, else the one removed last, for seven days. Who has the name has the address: a
// removed file is gone once its name is retaken, whatever label or digest was asked for.
const AT = `
SELECT c.generation, f.id, f.package_id AS "packageId", p.name, p.pypi_name AS "pypiName", p.audience, p.touched,
  f.sha256 AS "fileSha256", f.removed_at IS NOT NULL AS "isRemoved", f.uploaded_at AS "uploadedAt", b.object_key AS "blobKey", b.sha256, b.size_bytes AS "sizeBytes",
  coalesce((SELECT jsonb_agg(l.label) FROM file_labels l WHERE l.file_id = f.id), '[]') AS labels
FROM channels c
LEFT JOIN LATERAL (
  SELECT * FROM files WHERE channel_id = c.id AND basename = $2 ORDER BY removed_at DESC NULLS FIRST LIMIT 1
) f ON f.kind = $3 AND (f.removed_at IS NULL OR f.removed_at > now() - interval '7 days')
LEFT JOIN packages p ON p.id = f.package_id
LEFT JOIN blobs b ON b.sha256 = CASE WHEN $4 THEN f.metadata_sha256 ELSE f.sha256 END
WHERE c.id = $1`;

/**
 * Where the bytes of an artifact are, if the view shows it. Hidden and missing are one answer, made by the same work: one
 * statement that does not know the view.
 */
export async function findFileAt(db: Queryable, question: AtQuestion, view: View): Promise<AtAnswer> {
  const { channelId, kind, basename, metadata } = question;
  const [row] = await ask<Row>(db, AT, [channelId, basename, kind, metadata]);
  const absent = { file: undefined, version: { tag: `channel:${channelId}`, version: Number(row?.generation ?? 0) } };
  if (row === undefined || row.packageId === null || row.blobKey === null) return absent;
  const name = kind === 'pypi' ? (row.pypiName ?? row.name) : row.name;
  const subdir = kind === 'conda' ? { subdir: basename.slice(0, basename.indexOf('/')) } : {};
  const isShown =
    sees(view, { audience: row.audience, name, ...subdir }) &&
    (question.label === '' || row.labels.includes(question.label)) &&
    (question.sha256 === '' || row.fileSha256 === question.sha256);
  if (!isShown) return absent;
  const { id, blobKey, sha256, audience } = row;
  const file = {
    id,
    blobKey,
    sha256,
    sizeBytes: Number(row.sizeBytes),
    uploadedAtMs: row.uploadedAt.getTime(),
    audience,
    name,
  };
  // Its name may be retaken in another package, made anew under the same name: any change of the channel may be that.
  const version = row.isRemoved ? absent.version : { tag: `package:${row.packageId}`, version: Number(row.touched) };
  return { file, version };
}
