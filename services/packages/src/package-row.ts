import type { Audience, Grant, Visibility } from '@vivarium/access/audience';
import { isProjectName, normalizeProjectName } from '@vivarium/pypi/name';
import { ask, type Queryable } from './query.js';

/** A package as it is, with its grants. */
export interface PackageRow {
  readonly id: string;
  readonly name: string;
  /** The PEP 503 name, once it holds a Python file. */
  readonly pypiName: string | null;
  readonly visibility: Visibility;
  readonly audience: Audience;
  readonly grants: readonly Grant[];
  readonly summary: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
  readonly modifiedAt: Date;
}

export const PACKAGE_COLUMNS = `p.id, p.name, p.pypi_name AS "pypiName", p.visibility, p.audience, p.summary, p.attributes,
  p.created_at AS "createdAt", p.modified_at AS "modifiedAt",
  coalesce((SELECT jsonb_agg(jsonb_build_object('kind', g.kind, 'id', g.principal_id, 'permission', g.permission))
            FROM grants g WHERE g.package_id = p.id), '[]') AS grants`;

/**
 * The package that people mean by a name: its own name in any case, or any spelling of the project that it holds.
 * By packages_name and packages_pypi_name.
 */
export async function findPackage(db: Queryable, channelId: string, name: string): Promise<PackageRow | undefined> {
  const [row] = await ask<PackageRow>(
    db,
    `SELECT ${PACKAGE_COLUMNS} FROM packages p
     WHERE p.channel_id = $1 AND p.removed_at IS NULL AND (p.name = $2 OR p.pypi_name = $3)
     ORDER BY p.name = $2 DESC LIMIT 1`,
    [channelId, name.toLowerCase(), projectOf(name)],
  );
  return row;
}

/**
 * The packages that people mean by many names, found at once: what is given tells which one a name means, as `findPackage`
 * does. By packages_name and packages_pypi_name.
 */
export async function findPackages(
  db: Queryable,
  channelId: string,
  names: readonly string[],
): Promise<(name: string) => PackageRow | undefined> {
  const rows = await ask<PackageRow>(
    db,
    `SELECT ${PACKAGE_COLUMNS} FROM packages p
     WHERE p.channel_id = $1 AND p.removed_at IS NULL AND (p.name = ANY($2) OR p.pypi_name = ANY($3))`,
    [channelId, names.map((name) => name.toLowerCase()), names.map(projectOf)],
  );
  const byName = new Map(rows.map((row) => [row.name, row]));
  const byProject = new Map(rows.map((row) => [row.pypiName, row]));
  return (name) => byName.get(name.toLowerCase()) ?? byProject.get(projectOf(name));
}

/**
 * The package that a file of this kind and name belongs to. A Python file joins the one package that holds its project,
 * whatever spelling was asked; while none does, the package of that very name, else the oldest whose name is a spelling
 * of it. By packages_name, packages_pypi_name and packages_project.
 */
export async function findPackageFor(
  db: Queryable,
  channelId: string,
  file: { readonly kind: string; readonly name: string },
): Promise<PackageRow | undefined> {
  const name = file.name.toLowerCase();
  const [row] =
    file.kind === 'pypi'
      ? await ask<PackageRow>(
          db,
          `SELECT ${PACKAGE_COLUMNS} FROM packages p
           WHERE p.channel_id = $1 AND p.removed_at IS NULL
             AND (p.pypi_name = $2 OR regexp_replace(p.name, '[-_.]+', '-', 'g') = $2)
           ORDER BY p.pypi_name IS NOT NULL DESC, p.name = $3 DESC, p.created_at, p.id LIMIT 1`,
          [channelId, normalizeProjectName(name), name],
        )
      : await ask<PackageRow>(
          db,
          `SELECT ${PACKAGE_COLUMNS} FROM packages p WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.name = $2`,
          [channelId, name],
        );
  return row;
}

/** The package of this id. By packages_pkey. */
export async function readPackageById(db: Queryable, id: string): Promise<PackageRow | undefined> {
  const [row] = await ask<PackageRow>(
    db,
    `SELECT ${PACKAGE_COLUMNS} FROM packages p WHERE p.id = $1 AND p.removed_at IS NULL`,
    [id],
  );
  return row;
}

/** Those packages of these ids that exist. By packages_pkey. */
export function readPackagesById(db: Queryable, ids: readonly string[]): Promise<readonly PackageRow[]> {
  return ask<PackageRow>(
    db,
    `SELECT ${PACKAGE_COLUMNS} FROM packages p WHERE p.id = ANY($1) AND p.removed_at IS NULL ORDER BY p.name`,
    [ids],
  );
}

/** Every package of a channel. By packages_name. */
export function readPackages(db: Queryable, channelId: string): Promise<readonly PackageRow[]> {
  return ask<PackageRow>(
    db,
    `SELECT ${PACKAGE_COLUMNS} FROM packages p WHERE p.channel_id = $1 AND p.removed_at IS NULL ORDER BY p.name`,
    [channelId],
  );
}

/** The names by which a token's globs may know the package. */
export function namesOf(row: Pick<PackageRow, 'name' | 'pypiName'>): readonly string[] {
  return row.pypiName === null || row.pypiName === row.name ? [row.name] : [row.name, row.pypiName];
}

function projectOf(name: string): string {
  return isProjectName(name) ? normalizeProjectName(name) : '';
}
