import { belongs } from '@vivarium/access/view';
import { Fault } from '@vivarium/fault/fault';
import { isReadable, type Reader, viewOfReader } from './actor.js';
import { PACKAGE_COLUMNS, type PackageRow } from './package-row.js';
import { ask, type Queryable } from './query.js';

const LIMIT = 200;
const SCAN = 500;

/** The packages that the reader sees, by name, after one of them. By packages_name. */
export async function listPackages(
  db: Queryable,
  reader: Reader,
  page: { readonly after: string; readonly limit: number },
): Promise<{ readonly rows: readonly PackageRow[]; readonly more: boolean }> {
  const { channel, admission } = reader;
  if (admission.kind === 'deny') throw new Fault(admission.code, admission.reason);
  const view = viewOfReader(reader);
  const audiences = channel.audiences.filter((audience) => belongs(view, audience)).map(({ id }) => id);
  const limit = page.limit > 0 ? Math.min(page.limit, LIMIT) : LIMIT;
  const found: PackageRow[] = [];
  let { after } = page;
  for (;;) {
    const rows = await ask<PackageRow>(
      db,
      `SELECT ${PACKAGE_COLUMNS} FROM packages p
       WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.audience_id = ANY($2) AND p.name > $3
       ORDER BY p.name LIMIT ${SCAN}`,
      [channel.id, audiences, after],
    );
    // A token's globs are no matter of audiences.
    found.push(...rows.filter((row) => isReadable(reader, row)));
    if (found.length > limit) return { rows: found.slice(0, limit), more: true };
    if (rows.length < SCAN) return { rows: found, more: false };
    after = rows.at(-1)?.name ?? after;
  }
}
