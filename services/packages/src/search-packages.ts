import { admitsName } from '@vivarium/access/restriction';
import { FILE_KINDS } from '@vivarium/access/scope';
import { isKnownSubdir } from '@vivarium/conda/subdir';
import { Fault } from '@vivarium/fault/fault';
import { namesOf, PACKAGE_COLUMNS, type PackageRow } from './package-row.js';
import { ask, type Queryable } from './query.js';
import type { Seeker } from './seeker.js';

export interface SearchAsk {
  /** A part of the name or summary; `*` stands for anything. */
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** `<name>/<channel>` */
  readonly after: string;
  readonly limit: number;
}

export type FoundPackage = PackageRow & { readonly login: string };

const LIMIT = 200;
const TEXT_MAX = 200;

// One question for all channels: what is open, what the seeker's groups and grants open, and what is the seeker's own.
const VISIBLE = `(p.visibility = 'public'
  OR (p.visibility = 'authenticated' AND $1)
  OR p.channel_id = ANY($2)
  OR p.audience->'principals' ?| $3)`;

/**
 * Packages of all channels that the seeker may read, by name and channel. `next` is where to go on, or empty. Throws
 * Fault('invalid') for a kind or platform that does not exist. By packages_sought.
 */
export async function searchPackages(
  db: Queryable,
  seeker: Seeker,
  asked: SearchAsk,
): Promise<{ readonly rows: readonly FoundPackage[]; readonly next: string }> {
  check(asked);
  const limit = asked.limit > 0 ? Math.min(asked.limit, LIMIT) : LIMIT;
  const slash = asked.after.lastIndexOf('/');
  const rows = await ask<FoundPackage & { channelId: string }>(
    db,
    `SELECT ${PACKAGE_COLUMNS}, c.login, p.channel_id AS "channelId"
     FROM packages p JOIN channels c ON c.id = p.channel_id
     WHERE p.removed_at IS NULL AND ${VISIBLE}
       AND ($4 = '' OR p.name ILIKE $4 OR p.summary ILIKE $4)
       AND (($5 = '' AND $6 = '') OR EXISTS (
         SELECT 1 FROM files f WHERE f.package_id = p.id AND f.removed_at IS NULL AND ($5 = '' OR f.kind = $5)
           AND ($6 = '' OR (f.kind = 'conda' AND f.basename LIKE $6 || '/%'))))
       AND (p.name, c.login) > ($7, $8)
       AND (p.visibility = 'public' OR $9::text[] IS NULL OR p.channel_id = ANY($9))
     ORDER BY p.name, c.login LIMIT ${limit + 1}`,
    [
      seeker.signedIn,
      seeker.whole,
      seeker.principals,
      patternOf(asked.name),
      asked.kind,
      asked.platform,
      slash < 0 ? '' : asked.after.slice(0, slash),
      slash < 0 ? '' : asked.after.slice(slash + 1),
      seeker.restrictions.channels ?? null,
    ],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const next = rows.length > limit && last !== undefined ? `${last.name}/${last.login}` : '';
  return { rows: page.filter((row) => isAdmitted(seeker, row)), next };
}

/** Globs of a token cut what is not public. A token that is limited to labels finds what is public only: a search has none. */
function isAdmitted({ restrictions }: Seeker, row: PackageRow): boolean {
  if (row.visibility === 'public') return true;
  if (restrictions.labels !== undefined) return false;
  const { packages: globs } = restrictions;
  return globs === undefined || namesOf(row).some((name) => admitsName(globs, name));
}

function patternOf(text: string): string {
  if (text === '') return '';
  const escaped = text.replace(/[\\%_]/g, (letter) => `\\${letter}`).replaceAll('*', '%');
  return `%${escaped}%`;
}

function check({ name, kind, platform }: SearchAsk): void {
  if (name.length > TEXT_MAX) throw new Fault('invalid', `Search for at most ${TEXT_MAX} characters.`);
  if (kind !== '' && !FILE_KINDS.some((each) => each === kind)) {
    throw new Fault('invalid', `"${kind.slice(0, 40)}" is not a kind of file; there are ${FILE_KINDS.join(', ')}.`);
  }
  if (platform === '' || isKnownSubdir(platform)) return;
  throw new Fault('invalid', `"${platform.slice(0, 40)}" is not a platform; write it like linux-64 or noarch.`);
}
