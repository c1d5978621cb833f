import type { Audience } from '@vivarium/access/audience';
import { Fault } from '@vivarium/fault/fault';
import { pageOf } from './file-row.js';
import { ask, type Queryable } from './query.js';
import type { IndexedKind } from './readability.js';

const CHANNELS_PAGE = 2_000;
const NAMES_PAGE = 2_000;
const RECORDS_PAGE = 500;
// A change is dated inside its transaction and seen after it: whoever asks again begins this much earlier, longer than a
// transaction may stay open.
const OVERLAP_MS = 60_000;

interface ChangedChannel {
  readonly channelId: string;
  readonly login: string;
  readonly generation: string;
}

/** Channels that changed after a time, by id; some again that changed shortly before. By channels_changed, channels_pkey. */
export async function readChangedChannels(db: Queryable, sinceMs: number, after: string) {
  const since = sinceMs === 0 ? new Date(0) : new Date(sinceMs - OVERLAP_MS);
  const [now] = await ask<{ ms: number }>(
    db,
    'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
  );
  const rows = await ask<ChangedChannel>(
    db,
    `SELECT id AS "channelId", login, generation FROM channels WHERE changed_at > $1 AND id > $2
     ORDER BY id LIMIT ${CHANNELS_PAGE + 1}`,
    [since, after],
  );
  return { channels: rows.slice(0, CHANNELS_PAGE), more: rows.length > CHANNELS_PAGE, nowMs: now?.ms ?? 0 };
}

/**
 * Names that changed after a generation, sorted, and the channel's generation in the same snapshot: one statement.
 * By changes_generation. Throws Fault('not_found').
 */
export async function readChanges(
  db: Queryable,
  from: {
    readonly channelId: string;
    readonly kind: IndexedKind;
    readonly afterGeneration: number;
    readonly after: string;
  },
) {
  const rows = await ask<{ generation: string; name: string | null }>(
    db,
    `SELECT c.generation, changed.name FROM channels c LEFT JOIN LATERAL (
       SELECT name FROM changes WHERE channel_id = c.id AND kind = $2 AND generation > $3 AND name > $4
       ORDER BY name LIMIT ${NAMES_PAGE + 1}) changed ON true
     WHERE c.id = $1 ORDER BY changed.name`,
    [from.channelId, from.kind, from.afterGeneration, from.after],
  );
  const generation = generationOf(rows[0], from.channelId);
  const names = rows.flatMap(({ name }) => (name === null ? [] : [name]));
  return { generation, names: names.slice(0, NAMES_PAGE), more: names.length > NAMES_PAGE };
}

export interface RecordRow {
  readonly packageId: string;
  readonly name: string;
  readonly audience: Audience;
  readonly subdir: string;
  readonly filename: string;
  readonly labels: readonly string[];
  readonly recordJson: string;
  readonly version: string;
}

interface Stored extends Omit<RecordRow, 'packageId'> {
  readonly generation: string;
  readonly packageId: string | null;
  readonly fileId: string;
  readonly basename: string;
}

/**
 * All files of these names, in every label, by package and id; as many as fit into a message. `next` is the cursor of the
 * page after. By packages_name or packages_pypi_name, then files_package. Throws Fault('not_found').
 */
export async function readRecords(
  db: Queryable,
  from: {
    readonly channelId: string;
    readonly kind: IndexedKind;
    readonly names: readonly string[];
    readonly after: string;
  },
) {
  const { channelId, kind, names, after } = from;
  const [afterPackage = '', afterFile = ''] = after.split('/');
  const name = kind === 'conda' ? 'p.name' : 'p.pypi_name';
  const rows = await ask<Stored>(
    db,
    `SELECT c.generation, r.* FROM channels c LEFT JOIN LATERAL (
       SELECT p.id AS "packageId", f.id AS "fileId", ${name} AS name, p.audience, f.basename, f.record::text AS "recordJson",
         v.version, coalesce((SELECT jsonb_agg(l.label ORDER BY l.label) FROM file_labels l WHERE l.file_id = f.id), '[]') AS labels
       FROM packages p JOIN files f ON f.package_id = p.id JOIN releases v ON v.id = f.release_id
       WHERE p.channel_id = c.id AND p.removed_at IS NULL AND ${name} = ANY($2)
         AND f.removed_at IS NULL AND f.kind = $3 AND (f.package_id, f.id) > ($4, $5)
       ORDER BY f.package_id, f.id LIMIT ${RECORDS_PAGE}) r ON true
     WHERE c.id = $1 ORDER BY r."packageId", r."fileId"`,
    [channelId, names, kind, afterPackage, afterFile],
  );
  const generation = generationOf(rows[0], channelId);
  const found = rows.flatMap((row) => (row.packageId === null ? [] : [{ ...row, packageId: row.packageId }]));
  const { page, more } = pageOf(found, bytesOf);
  const last = page.at(-1);
  return {
    records: page.map((row) => recordOf(row, kind)),
    more: more || rows.length === RECORDS_PAGE,
    next: last === undefined ? '' : `${last.packageId}/${last.fileId}`,
    generation,
  };
}

/** Who may read a package now. One that was removed answers for seven days, for what caches still link to. By packages_pkey. */
export async function readAudience(db: Queryable, packageId: string): Promise<Audience | undefined> {
  const [row] = await ask<{ audience: Audience }>(
    db,
    "SELECT audience FROM packages WHERE id = $1 AND (removed_at IS NULL OR removed_at > now() - interval '7 days')",
    [packageId],
  );
  return row?.audience;
}

function recordOf(row: Stored & { readonly packageId: string }, kind: IndexedKind): RecordRow {
  const { packageId, name, audience, labels, recordJson, version, basename } = row;
  const slash = kind === 'conda' ? basename.indexOf('/') : -1;
  const subdir = slash < 0 ? '' : basename.slice(0, slash);
  return { packageId, name, audience, labels, recordJson, version, subdir, filename: basename.slice(slash + 1) };
}

function bytesOf({ recordJson, basename, labels, audience }: Stored): number {
  const texts = [recordJson, basename, ...labels, ...audience.principals];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 4, 200);
}

function generationOf(row: { readonly generation: string } | undefined, channelId: string): number {
  if (row !== undefined) return Number(row.generation);
  throw new Fault('not_found', `channel "${channelId.slice(0, 70)}" does not exist`);
}
