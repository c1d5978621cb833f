import { randomUUID } from 'node:crypto';
import { isPep440, versionKey } from '@vivarium/pypi/version';
import { ask, type Queryable, type Tx } from './query.js';

/** One version of a package. */
export interface ReleaseRow {
  readonly id: string;
  readonly version: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
}

const COLUMNS = 'id, version, attributes, created_at AS "createdAt"';

/**
 * The release that people mean by a version: that very text, else another spelling of one that Python takes for equal.
 * By releases_version and releases_version_key.
 */
export async function findRelease(db: Queryable, packageId: string, version: string): Promise<ReleaseRow | undefined> {
  const [row] = await ask<ReleaseRow>(
    db,
    `SELECT ${COLUMNS} FROM releases
     WHERE package_id = $1 AND removed_at IS NULL AND (version = $2 OR version_key = $3)
     ORDER BY version = $2 DESC, created_at, id LIMIT 1`,
    [packageId, version, keyOf(version)],
  );
  return row;
}

/**
 * The release that a file of this kind and version belongs to, in a locked channel; added if there is none. A client may
 * have made it under its own spelling of a Python version. To conda `1.0` and `1.0.0` are two.
 */
export async function releaseFor(
  tx: Tx,
  packageId: string,
  file: { readonly kind: string; readonly version: string },
): Promise<ReleaseRow> {
  const known = await findRelease(tx, packageId, file.version);
  if (known !== undefined && (file.kind === 'pypi' || known.version === file.version)) return known;
  return addRelease(tx, packageId, file.version, {});
}

/** Adds a release to a locked channel. */
export async function addRelease(
  tx: Tx,
  packageId: string,
  version: string,
  attributes: Readonly<Record<string, unknown>>,
): Promise<ReleaseRow> {
  const [added] = await ask<ReleaseRow>(
    tx,
    `INSERT INTO releases (id, package_id, version, version_key, attributes) VALUES ($1, $2, $3, $4, $5)
     RETURNING ${COLUMNS}`,
    [randomUUID(), packageId, version, keyOf(version), JSON.stringify(attributes)],
  );
  if (added === undefined) throw new Error('an inserted release was not returned');
  return added;
}

function keyOf(version: string): string {
  return isPep440(version) ? versionKey(version) : version;
}
