import { belongs, type View } from '@vivarium/access/view';
import { Fault } from '@vivarium/fault/fault';
import { isReadable, type Reader, viewOfReader } from './actor.js';
import { PACKAGE_COLUMNS, type PackageRow } from './package-row.js';
import { ask, type Queryable } from './query.js';

const LIMIT = 200;

// A token's globs cut what is not public.
const ADMITTED = `($4::text[] IS NULL OR p.visibility = 'public' OR p.name LIKE ANY($4) OR p.pypi_name LIKE ANY($4))`;

// By packages_name.
const OF_ALL = `SELECT p.id, p.name FROM packages p
  WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.name > $2 AND ${ADMITTED} ORDER BY p.name LIMIT $3`;

// By packages_shown: a page of each audience, then the first of those. What the reader does not see is not gone through.
const OF_AUDIENCES = `SELECT shown.id, shown.name FROM unnest($5::text[]) AS mine (id) CROSS JOIN LATERAL (
    SELECT p.id, p.name FROM packages p
    WHERE p.channel_id = $1 AND p.audience_id = mine.id AND p.removed_at IS NULL AND p.name > $2 AND ${ADMITTED}
    ORDER BY p.name LIMIT $3) shown
  ORDER BY shown.name LIMIT $3`;

const WHOLE = (page: string) => `WITH page AS (${page})
  SELECT ${PACKAGE_COLUMNS} FROM page JOIN packages p ON p.id = page.id ORDER BY p.name`;

export interface ListedPackages {
  readonly rows: readonly PackageRow[];
  readonly more: boolean;
}

/**
 * The packages that the reader sees, by name, after one of them: at most 200. One statement, whose cost is in the page and in
 * the audiences that the reader belongs to.
 */
export async function listPackages(
  db: Queryable,
  reader: Reader,
  page: { readonly after: string; readonly limit: number },
): Promise<ListedPackages> {
  const { admission } = reader;
  if (admission.kind === 'deny') throw new Fault(admission.code, admission.reason);
  const limit = page.limit > 0 ? Math.min(page.limit, LIMIT) : LIMIT;
  const { text, values } = listingOf(reader, { after: page.after, limit: limit + 1 });
  const rows = await ask<PackageRow>(db, text, values);
  // The statement only saves the reading of what this would refuse.
  return { rows: rows.slice(0, limit).filter((row) => isReadable(reader, row)), more: rows.length > limit };
}

/** The statement of a page, with its values. */
export function listingOf(
  reader: Reader,
  page: { readonly after: string; readonly limit: number },
): { readonly text: string; readonly values: readonly unknown[] } {
  const view = viewOfReader(reader);
  const values = [reader.channel.id, page.after, page.limit, patternsOf(view)];
  if (view.everything) return { text: WHOLE(OF_ALL), values };
  return { text: WHOLE(OF_AUDIENCES), values: [...values, audiencesOf(reader, view)] };
}

function audiencesOf({ channel }: Reader, view: View): readonly string[] {
  return channel.audiences.filter((audience) => belongs(view, audience)).map(({ id }) => id);
}

/** The globs as LIKE has them: `*` is `%`, `?` is `_`, and what LIKE would take for a wildcard is itself. */
function patternsOf({ globs }: View): readonly string[] | null {
  if (globs === undefined) return null;
  return globs.map((glob) =>
    glob
      .replace(/[\\%_]/g, '\\$&')
      .replaceAll('*', '%')
      .replaceAll('?', '_'),
  );
}
