import { Fault } from '@vivarium/fault/fault';
import type { FileMessage } from './messages.js';
import { ask, type Queryable } from './query.js';

/** A file that exists, as people see it. */
export interface FileRow {
  readonly id: string;
  readonly packageId: string;
  readonly package: string;
  readonly pypiName: string | null;
  readonly version: string;
  readonly basename: string;
  readonly kind: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: string;
  readonly labels: readonly string[];
  readonly attributesJson: string;
  readonly dependenciesJson: string;
  readonly description: string;
  readonly uploadedAt: Date;
  readonly downloads: string;
  readonly blobKey: string;
}

const PAGE_BYTES = 512 * 1024;

const SELECT = `SELECT f.id, f.package_id AS "packageId", p.name AS package, p.pypi_name AS "pypiName", r.version, f.basename,
    f.kind, f.sha256, f.md5, f.size_bytes AS "sizeBytes", f.attributes::text AS "attributesJson",
    f.dependencies::text AS "dependenciesJson", f.description, f.uploaded_at AS "uploadedAt", f.downloads,
    b.object_key AS "blobKey",
    coalesce((SELECT jsonb_agg(l.label ORDER BY l.label) FROM file_labels l WHERE l.file_id = f.id), '[]') AS labels
  FROM files f JOIN packages p ON p.id = f.package_id JOIN releases r ON r.id = f.release_id
    JOIN blobs b ON b.sha256 = f.sha256
  WHERE f.removed_at IS NULL AND `;

/** Files of a package after one of them, by id and so in the order of upload. By files_package. */
export async function readFiles(
  db: Queryable,
  packageId: string,
  after: string,
): Promise<{ readonly files: readonly FileRow[]; readonly more: boolean }> {
  const limit = 1_000;
  const rows = await ask<FileRow>(db, `${SELECT} f.package_id = $1 AND f.id > $2 ORDER BY f.id LIMIT ${limit}`, [
    packageId,
    after,
  ]);
  const { page, more } = pageOf(rows, sizeOf);
  return { files: page, more: more || rows.length === limit };
}

/** Files of a release, in the order of upload: as many as fit into one answer. By files_release. */
export async function readReleaseFiles(db: Queryable, releaseId: string): Promise<readonly FileRow[]> {
  return pageOf(await ask<FileRow>(db, `${SELECT} f.release_id = $1 ORDER BY f.id LIMIT 1000`, [releaseId]), sizeOf)
    .page;
}

/** Files under a label, of packages with these audiences (and among these, if given), after one of them. By file_labels_label. */
export async function readLabelledFiles(
  db: Queryable,
  asked: {
    readonly channelId: string;
    readonly label: string;
    readonly audiences: readonly string[];
    readonly packageIds: readonly string[] | null;
    readonly after: string;
  },
): Promise<{ readonly files: readonly FileRow[]; readonly more: boolean }> {
  const limit = 1_000;
  const { channelId, label, audiences, packageIds, after } = asked;
  const rows = await ask<FileRow>(
    db,
    `${SELECT} f.id > $5 AND p.removed_at IS NULL AND p.audience_id = ANY($3) AND ($4::text[] IS NULL OR p.id = ANY($4))
       AND EXISTS (SELECT 1 FROM file_labels fl WHERE fl.file_id = f.id AND fl.channel_id = $1 AND fl.label = $2)
     ORDER BY f.id LIMIT ${limit}`,
    [channelId, label, audiences, packageIds, after],
  );
  const { page, more } = pageOf(rows, sizeOf);
  return { files: page, more: more || rows.length === limit };
}

/**
 * Files of a release that carry a label, or the one of this basename among them. Throws Fault('too_large') for more than a
 * thousand: some of them would be no answer. By files_release.
 */
export async function readLabelledOfRelease(
  db: Queryable,
  releaseId: string,
  label: string,
  basename: string,
): Promise<readonly FileRow[]> {
  const limit = 1_000;
  const rows = await ask<FileRow>(
    db,
    `${SELECT} f.release_id = $1 AND ($3 = '' OR f.basename = $3)
       AND EXISTS (SELECT 1 FROM file_labels fl WHERE fl.file_id = f.id AND fl.label = $2)
     ORDER BY f.id LIMIT ${limit + 1}`,
    [releaseId, label, basename],
  );
  if (rows.length <= limit) return rows;
  throw new Fault(
    'too_large',
    `The release has more than ${limit} files with the label ${label}: name one file at a time.`,
  );
}

/** Those files of these ids that exist, as many as fit into one answer. By files_pkey. */
export async function readFilesById(db: Queryable, ids: readonly string[]): Promise<readonly FileRow[]> {
  return pageOf(await ask<FileRow>(db, `${SELECT} f.id = ANY($1) ORDER BY f.id`, [ids]), sizeOf).page;
}

/** The file of this name in a package. Of several releases, as only kinds without an index have, of this one. */
export async function findFile(
  db: Queryable,
  packageId: string,
  releaseId: string,
  basename: string,
): Promise<FileRow | undefined> {
  const [row] = await ask<FileRow>(db, `${SELECT} f.package_id = $1 AND f.release_id = $2 AND f.basename = $3`, [
    packageId,
    releaseId,
    basename,
  ]);
  return row;
}

/** The file of this id. By files_pkey. */
export async function readFile(db: Queryable, id: string): Promise<FileRow | undefined> {
  const [row] = await ask<FileRow>(db, `${SELECT} f.id = $1`, [id]);
  return row;
}

/** A file as people see it. */
export function fileMessage(row: FileRow): FileMessage {
  const { id, version, basename, kind, sha256, md5, labels, attributesJson, dependenciesJson, description } = row;
  return {
    id,
    package: row.package,
    version,
    basename,
    kind,
    sha256,
    md5,
    sizeBytes: BigInt(row.sizeBytes),
    labels: [...labels],
    attributesJson,
    dependenciesJson,
    description,
    uploadedAtMs: BigInt(row.uploadedAt.getTime()),
    downloads: BigInt(row.downloads),
  };
}

/** As many of the first ones as fit into a message, at least one. */
export function pageOf<T>(
  rows: readonly T[],
  bytesOf: (row: T) => number,
): { readonly page: readonly T[]; readonly more: boolean } {
  let total = 0;
  const end = rows.findIndex((row, at) => {
    total += bytesOf(row);
    return at > 0 && total > PAGE_BYTES;
  });
  return end < 0 ? { page: rows, more: false } : { page: rows.slice(0, end), more: true };
}

function sizeOf(row: FileRow): number {
  const texts = [row.attributesJson, row.dependenciesJson, row.description, row.basename, ...row.labels];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 4, 400);
}
