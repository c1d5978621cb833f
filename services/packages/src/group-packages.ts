import { isReadable, type Reader } from './actor.js';
import type { Group } from './group.js';
import { listPackages } from './list-packages.js';
import { PACKAGE_COLUMNS, type PackageRow } from './package-row.js';
import { ask, type Queryable } from './query.js';

const LIMIT = 200;
const SCAN = 500;

/**
 * The packages that a group covers, as far as the reader sees them, by name, after one of them. Grants on packages that are
 * gone, or in another channel now, count for nothing. By grants_principal.
 */
export async function listGroupPackages(
  db: Queryable,
  reader: Reader,
  group: Group,
  page: { readonly after: string; readonly limit: number },
): Promise<{ readonly rows: readonly PackageRow[]; readonly more: boolean }> {
  if (group.all) return listPackages(db, reader, page);
  const limit = page.limit > 0 ? Math.min(page.limit, LIMIT) : LIMIT;
  const found: PackageRow[] = [];
  let { after } = page;
  for (;;) {
    const rows = await ask<PackageRow>(
      db,
      `SELECT ${PACKAGE_COLUMNS} FROM grants mine JOIN packages p ON p.id = mine.package_id
       WHERE mine.kind = 'group' AND mine.principal_id = $2
         AND p.channel_id = $1 AND p.removed_at IS NULL AND p.name > $3
       ORDER BY p.name LIMIT ${SCAN}`,
      [reader.channel.id, group.id, after],
    );
    found.push(...rows.filter((row) => isReadable(reader, row)));
    if (found.length > limit) return { rows: found.slice(0, limit), more: true };
    if (rows.length < SCAN) return { rows: found, more: false };
    after = rows.at(-1)?.name ?? after;
  }
}
