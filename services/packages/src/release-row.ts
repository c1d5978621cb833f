import { randomUUID } from 'node:crypto';
import { isPep440, versionsEqual } from '@vivarium/pypi/version';
import { ask, type Queryable, type Tx } from './query.js';

/** One version of a package. */
export interface ReleaseRow {
  readonly id: string;
  readonly version: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
}

const COLUMNS = 'id, version, attributes, created_at AS "createdAt"';

/** The release that people mean by a version: that very text, else another spelling of an equal one. By releases_version. */
export async function findRelease(db: Queryable, packageId: string, version: string): Promise<ReleaseRow | undefined> {
  const rows = await readReleases(db, packageId);
  return (
    rows.find((row) => row.version === version) ??
    rows.find((row) => isPep440(version) && isPep440(row.version) && versionsEqual(row.version, version))
  );
}

/** The release of this version in a locked channel, added if there is none that is the same. */
export async function addRelease(
  tx: Tx,
  packageId: string,
  version: string,
  options: { readonly isSame: (version: string) => boolean; readonly attributes?: Readonly<Record<string, unknown>> },
): Promise<ReleaseRow> {
  const rows = (await readReleases(tx, packageId)).filter((row) => options.isSame(row.version));
  const known = rows.find((row) => row.version === version) ?? rows[0];
  if (known !== undefined) return known;
  const [added] = await ask<ReleaseRow>(
    tx,
    `INSERT INTO releases (id, package_id, version, attributes) VALUES ($1, $2, $3, $4) RETURNING ${COLUMNS}`,
    [randomUUID(), packageId, version, JSON.stringify(options.attributes ?? {})],
  );
  if (added === undefined) throw new Error('an inserted release was not returned');
  return added;
}

async function readReleases(db: Queryable, packageId: string): Promise<readonly ReleaseRow[]> {
  return ask<ReleaseRow>(db, `SELECT ${COLUMNS} FROM releases WHERE package_id = $1 AND removed_at IS NULL`, [
    packageId,
  ]);
}
