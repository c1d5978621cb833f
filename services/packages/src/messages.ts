import type { MessageInitShape } from '@bufbuild/protobuf';
import { compareVersions as compareCondaVersions, isCondaVersion } from '@vivarium/conda/version';
import type { FileSchema, ReleaseSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { compareVersions as comparePythonVersions, isPep440 } from '@vivarium/pypi/version';
import type { PackageRow } from './package-row.js';
import { ask, type Queryable } from './query.js';
import type { ReleaseRow } from './release-row.js';

export type FileMessage = MessageInitShape<typeof FileSchema>;
export type PackageMessage = ReturnType<typeof packageMessage>;
export type ReleaseMessage = MessageInitShape<typeof ReleaseSchema>;

/** What a package holds, in short. */
interface Contents {
  readonly packageId: string;
  readonly versions: readonly string[];
  readonly holds: readonly { readonly kind: string; readonly version: string; readonly subdir: string }[];
}

/** Packages as people see them, in the order given, without their files. By releases_version and files_package. */
export async function packageMessages(
  db: Queryable,
  login: string,
  rows: readonly PackageRow[],
): Promise<readonly PackageMessage[]> {
  const contents = await ask<Contents>(
    db,
    `SELECT p.id AS "packageId",
       coalesce((SELECT jsonb_agg(r.version) FROM releases r WHERE r.package_id = p.id AND r.removed_at IS NULL), '[]') AS versions,
       coalesce((SELECT jsonb_agg(DISTINCT jsonb_build_object('kind', f.kind, 'version', r.version, 'subdir',
                   CASE f.kind WHEN 'conda' THEN split_part(f.basename, '/', 1) ELSE '' END))
                 FROM files f JOIN releases r ON r.id = f.release_id
                 WHERE f.package_id = p.id AND f.removed_at IS NULL), '[]') AS holds
     FROM unnest($1::text[]) AS p (id)`,
    [rows.map(({ id }) => id)],
  );
  const byPackage = new Map(contents.map((each) => [each.packageId, each]));
  return rows.map((row) => packageMessage(login, row, byPackage.get(row.id)));
}

/** One package as people see it, without its files. */
export async function packageMessageOf(db: Queryable, login: string, row: PackageRow): Promise<PackageMessage> {
  const [message = packageMessage(login, row, undefined)] = await packageMessages(db, login, [row]);
  return message;
}

/** A release as people see it. */
export function releaseMessage(row: ReleaseRow, files: readonly FileMessage[]): ReleaseMessage {
  const { id, version, attributes, createdAt } = row;
  return {
    id,
    version,
    attributesJson: JSON.stringify(attributes),
    createdAtMs: BigInt(createdAt.getTime()),
    files: [...files],
  };
}

/**
 * Versions in ascending order: of conda if that can read all of them, else of Python, else by their letters and numbers.
 * One order for the whole list, since two orders mixed are none.
 */
export function inVersionOrder(versions: readonly string[], kinds: readonly string[]): string[] {
  const isPython = kinds.length > 0 && kinds.every((kind) => kind === 'pypi') && versions.every(isPep440);
  const compare = isPython
    ? comparePythonVersions
    : versions.every(isCondaVersion)
      ? compareCondaVersions
      : versions.every(isPep440)
        ? comparePythonVersions
        : byLettersAndNumbers.compare;
  return [...new Set(versions)].sort((a, b) => compare(a, b) || (a < b ? -1 : 1));
}

const byLettersAndNumbers = new Intl.Collator('en', { numeric: true });

function packageMessage(login: string, row: PackageRow, contents: Contents | undefined) {
  const holds = contents?.holds ?? [];
  const kinds = [...new Set(holds.map(({ kind }) => kind))].sort();
  const versions = inVersionOrder(contents?.versions ?? [], kinds);
  const bySubdir = Map.groupBy(
    holds.filter(({ subdir }) => subdir !== ''),
    ({ subdir }) => subdir,
  );
  const newest = [...bySubdir].map(([subdir, all]): [string, string] => {
    const held = new Set(all.map(({ version }) => version));
    return [subdir, versions.findLast((version) => held.has(version)) ?? ''];
  });
  return {
    id: row.id,
    channel: login,
    name: row.name,
    visibility: row.visibility,
    kinds,
    summary: row.summary,
    attributesJson: JSON.stringify(row.attributes),
    versions,
    latestVersion: versions.at(-1) ?? '',
    platforms: Object.fromEntries(newest.sort(([a], [b]) => (a < b ? -1 : 1))),
    createdAtMs: BigInt(row.createdAt.getTime()),
    modifiedAtMs: BigInt(row.modifiedAt.getTime()),
  };
}
