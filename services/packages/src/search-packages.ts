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

// $1 signed in, $2 channels of which the seeker reads everything, $3 groups and the user.
const MATCHES = `p.removed_at IS NULL AND ($4 = '' OR p.name ILIKE $4 OR p.summary ILIKE $4)
  AND (($5 = '' AND $6 = '') OR EXISTS (
    SELECT 1 FROM files f WHERE f.package_id = p.id AND f.removed_at IS NULL AND ($5 = '' OR f.kind = $5)
      AND ($6 = '' OR (f.kind = 'conda' AND f.basename LIKE $6 || '/%'))))
  AND p.name >= $7 AND (p.name, c.login) > ($7, $8)
  AND (p.visibility = 'public' OR $9::text[] IS NULL OR p.channel_id = ANY($9))`;

const inAll = (where: string, limit: number) => `SELECT p.id, p.name, c.login
  FROM packages p JOIN channels c ON c.id = p.channel_id
  WHERE ${where} AND ${MATCHES} ORDER BY p.name, c.login LIMIT ${limit}`;

// By packages_name, channel by channel.
const inEach = (ids: string, where: string, limit: number) => `SELECT found.id, found.name, c.login
  FROM channels c CROSS JOIN LATERAL (
    SELECT p.id, p.name FROM packages p WHERE p.channel_id = c.id AND ${where} AND ${MATCHES} ORDER BY p.name LIMIT ${limit}) found
  WHERE c.id = ANY(${ids})`;

// By grants_principal. The audience has the last word.
const GRANTED = `p.visibility = 'private' AND p.audience->'principals' ?| $3 AND NOT p.channel_id = ANY($2) AND p.id IN (
  SELECT g.package_id FROM grants g JOIN unnest($3::text[]) AS mine (principal)
    ON g.kind = split_part(principal, ':', 1) AND g.principal_id = substr(principal, strpos(principal, ':') + 1))`;

/**
 * A page of what is open to everybody, to everybody signed in, to owners, and by grants, then the first of those. Each package
 * is in one of these at most, and no index that is read holds what the seeker may not see.
 */
function pageSql(limit: number): string {
  const ways = [
    // By packages_open.
    inAll("p.visibility = 'public'", limit),
    inAll("p.visibility = 'authenticated' AND $1", limit),
    inEach('$2', "(p.visibility = 'private' OR (p.visibility = 'authenticated' AND NOT $1))", limit),
    inAll(GRANTED, limit),
  ];
  return `SELECT * FROM (${ways.map((way) => `(${way})`).join(' UNION ALL ')}) AS found
    ORDER BY name, login LIMIT ${limit}`;
}

/**
 * Packages of all channels that the seeker may read, by name and channel. `next` is where to go on, or empty. Throws
 * Fault('invalid') for a kind or platform that does not exist.
 */
export async function searchPackages(
  db: Queryable,
  seeker: Seeker,
  asked: SearchAsk,
): Promise<{ readonly rows: readonly FoundPackage[]; readonly next: string }> {
  check(asked);
  const limit = asked.limit > 0 ? Math.min(asked.limit, LIMIT) : LIMIT;
  const slash = asked.after.lastIndexOf('/');
  const rows = await ask<FoundPackage>(
    db,
    `WITH page AS (${pageSql(limit + 1)})
     SELECT ${PACKAGE_COLUMNS}, page.login FROM page JOIN packages p ON p.id = page.id ORDER BY p.name, page.login`,
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
