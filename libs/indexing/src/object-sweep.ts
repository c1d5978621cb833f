import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey, PREFIXES } from '@vivarium/blobs/keys';
import type { inTransaction } from '@vivarium/db/open';
import { isFault } from '@vivarium/fault/fault';
import { whileNobodyClaims } from './doomed.js';
import type { IndexingLog } from './loop.js';

type Pool = Parameters<typeof inTransaction>[0];
type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];
export type ObjectPrefix = 'index' | 'heads';

export interface ObjectSweepOptions {
  readonly pool: Pool;
  readonly blobs: Blobs;
  readonly log: IndexingLog;
  readonly clock: () => number;
  /** SQL that gives, as `hash`, those of the hashes `$1::text[]` that a row of this service names. */
  readonly named: string;
  /** Whether this service may have put an object that begins so: what the rows of another service name is not known here. */
  readonly isOwn: (prefix: ObjectPrefix, start: Uint8Array) => boolean;
}

/** What was removed of one sort, or would be. */
export interface Swept {
  readonly what: string;
  readonly count: number;
  /** 0 for rows. */
  readonly sizeBytes: number;
}

export interface SweepOptions {
  /** How long objects stay that no row names any more: whoever holds an older head may still be reading them. */
  readonly graceMs: number;
  readonly dryRun: boolean;
  /** Look for unnamed objects under these, by listing them. */
  readonly listing: readonly ObjectPrefix[];
  readonly signal?: AbortSignal | undefined;
}

const LISTED_AT_ONCE = 5_000;
// They are held in memory while they are deleted, to be put back if they are wanted again.
const DELETED_AT_ONCE = 20;
const LARGEST_BYTES = 512 * 2 ** 20;
const START_BYTES = 24;
const AT_ONCE = 8;
// Longer than any fold: one that began before a delete must be able to see that there was one.
const REMEMBERED = "interval '1 day'";

/**
 * Removes the objects of one service that no row of it names. They are found by listing the store, and *doomed*; once they
 * have been so for the grace, they are deleted. Each step decides while nobody claims objects. A delete that came late,
 * after somebody began to name the object again, is made good: the bytes are put back.
 */
export async function sweepObjects(options: ObjectSweepOptions, asked: SweepOptions): Promise<readonly Swept[]> {
  const found = await doomUnnamed(options, asked);
  const deleted = asked.dryRun ? await countDue(options, asked) : await deleteDue(options, asked);
  if (!asked.dryRun) {
    // By doomed_since.
    await options.pool.query(`DELETE FROM doomed WHERE state = 'gone' AND since < clock_timestamp() - ${REMEMBERED}`);
  }
  return [
    { what: 'objects found that no index names', ...found },
    { what: 'objects that no index named', ...deleted },
  ].filter(({ count }) => count > 0);
}

/** True if an object begins as a page of a Python project, or the manifest of a label, does. Conda's objects do not. */
export function startsLikePypi(prefix: ObjectPrefix, start: Uint8Array): boolean {
  const text = Buffer.from(start).toString('latin1');
  if (prefix === 'heads') return text.startsWith('{"version":1,"parts"');
  const isGzip = start[0] === 0x1f && start[1] === 0x8b;
  return isGzip || text.startsWith('{') || text.startsWith('<');
}

type Tally = Pick<Swept, 'count' | 'sizeBytes'>;

interface Found {
  readonly prefix: ObjectPrefix;
  readonly hash: string;
  readonly sizeBytes: number;
}

async function doomUnnamed(
  options: ObjectSweepOptions,
  { graceMs, dryRun, listing, signal }: SweepOptions,
): Promise<Tally> {
  const { blobs, clock } = options;
  let count = 0;
  let sizeBytes = 0;
  const look = async (page: readonly Found[]): Promise<void> => {
    const unnamed = await unnamedOf(options, page);
    const doomed = dryRun ? unnamed : await doom(options, unnamed);
    count += doomed.length;
    sizeBytes += doomed.reduce((sum, each) => sum + each.sizeBytes, 0);
  };
  for (const prefix of listing) {
    let page: Found[] = [];
    for await (const { key, sizeBytes: size, modifiedAtMs } of blobs.list(PREFIXES[prefix])) {
      if (signal?.aborted === true) break;
      const hash = key.slice(PREFIXES[prefix].length);
      if (modifiedAtMs > clock() - graceMs || !/^[0-9a-f]{64}$/.test(hash)) continue;
      page.push({ prefix, hash, sizeBytes: size });
      if (page.length < LISTED_AT_ONCE) continue;
      await look(page);
      page = [];
    }
    await look(page);
  }
  return { count, sizeBytes };
}

/** Those that this service put, that no row of it names and that are not doomed yet, as far as one can see in passing. */
async function unnamedOf(options: ObjectSweepOptions, page: readonly Found[]): Promise<readonly Found[]> {
  const { pool } = options;
  const hashes = page.map(({ hash }) => hash);
  const [named, doomed] = await Promise.all([
    hashesOf(pool, options.named, hashes),
    hashesOf(pool, 'SELECT hash FROM doomed WHERE hash = ANY($1)', hashes),
  ]);
  const unnamed = page.filter(({ hash }) => !named.has(hash) && !doomed.has(hash));
  const own: Found[] = [];
  for (let at = 0; at < unnamed.length; at += AT_ONCE) {
    const some = unnamed.slice(at, at + AT_ONCE);
    const are = await Promise.all(some.map((each) => isOwn(options, each)));
    own.push(...some.filter((_, index) => are[index]));
  }
  return own;
}

async function isOwn({ blobs, isOwn }: ObjectSweepOptions, { prefix, hash, sizeBytes }: Found): Promise<boolean> {
  if (sizeBytes === 0) return isOwn(prefix, new Uint8Array());
  try {
    const body = await blobs.get(keyOf(prefix, hash), { start: 0, end: START_BYTES });
    return isOwn(prefix, await body.bytes(START_BYTES));
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return false;
    throw error;
  }
}

function doom(options: ObjectSweepOptions, found: readonly Found[]): Promise<readonly Found[]> {
  if (found.length === 0) return Promise.resolve([]);
  return whileNobodyClaims(options.pool, async (tx) => {
    const named = await hashesOf(
      tx,
      options.named,
      found.map(({ hash }) => hash),
    );
    const doomed = found.filter(({ hash }) => !named.has(hash));
    await tx.query(
      'INSERT INTO doomed (hash, prefix) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING',
      [doomed.map(({ hash }) => hash), doomed.map(({ prefix }) => prefix)],
    );
    return doomed;
  });
}

interface Due {
  readonly hash: string;
  readonly prefix: ObjectPrefix;
  readonly state: string;
}

// Doomed for long enough, or left by a sweep that ended in the middle. By doomed_since.
const DUE = `(state = 'doomed' AND since <= clock_timestamp() - $1::float8 * interval '1 ms' OR state IN ('deleting', 'wanted'))`;

async function countDue({ pool, blobs }: ObjectSweepOptions, { graceMs }: SweepOptions): Promise<Tally> {
  const { rows } = await pool.query<Due>(`SELECT hash, prefix, state FROM doomed WHERE ${DUE}`, [graceMs]);
  let sizeBytes = 0;
  for (const { hash, prefix } of rows) sizeBytes += (await blobs.head(keyOf(prefix, hash)))?.sizeBytes ?? 0;
  return { count: rows.length, sizeBytes };
}

async function deleteDue(options: ObjectSweepOptions, { graceMs, signal }: SweepOptions): Promise<Tally> {
  let count = 0;
  let sizeBytes = 0;
  for (let after = ''; signal?.aborted !== true; ) {
    const { due, deleting, unsettled } = await takeDue(options, graceMs, after);
    for (const each of unsettled) await settle(options, each);
    const deleted = await deleteAll(options, deleting);
    count += deleted.count;
    sizeBytes += deleted.sizeBytes;
    if (due.length < DELETED_AT_ONCE) break;
    after = due.at(-1)?.hash ?? after;
  }
  return { count, sizeBytes };
}

function takeDue({ pool, named: sql }: ObjectSweepOptions, graceMs: number, after: string) {
  return whileNobodyClaims(pool, async (tx) => {
    const { rows: due } = await tx.query<Due>(
      `SELECT hash, prefix, state FROM doomed WHERE ${DUE} AND hash > $2 ORDER BY hash LIMIT ${DELETED_AT_ONCE}`,
      [graceMs, after],
    );
    const named = await hashesOf(
      tx,
      sql,
      due.map(({ hash }) => hash),
    );
    const isUnsettled = ({ state, hash }: Due) => state === 'wanted' || (state === 'deleting' && named.has(hash));
    const deleting = due.filter((each) => !named.has(each.hash) && !isUnsettled(each));
    await tx.query("DELETE FROM doomed WHERE hash = ANY($1) AND state = 'doomed'", [[...named]]);
    await tx.query("UPDATE doomed SET state = 'deleting', since = clock_timestamp() WHERE hash = ANY($1)", [
      deleting.map(({ hash }) => hash),
    ]);
    return { due, deleting, unsettled: due.filter(isUnsettled) };
  });
}

/** What a sweep that ended in the middle was about to delete, and somebody names again. */
async function settle({ pool, blobs, log }: ObjectSweepOptions, { hash, prefix }: Due): Promise<void> {
  if ((await blobs.head(keyOf(prefix, hash))) === undefined) {
    log.error({ key: keyOf(prefix, hash) }, 'An object of an index is missing: run vivarium fsck --repair.');
  }
  await pool.query('DELETE FROM doomed WHERE hash = ANY($1)', [[hash]]);
}

async function deleteAll(options: ObjectSweepOptions, due: readonly Due[]): Promise<Tally> {
  const { pool, blobs } = options;
  const held = new Map<string, { readonly key: string; readonly bytes: Uint8Array }>();
  for (const { hash, prefix } of due) {
    const key = keyOf(prefix, hash);
    const bytes = await bytesOf(blobs, key);
    if (bytes !== undefined) held.set(hash, { key, bytes });
  }
  const still = await hashesOf(pool, "SELECT hash FROM doomed WHERE hash = ANY($1) AND state = 'deleting'", [
    ...held.keys(),
  ]);
  const deleted = [...held].filter(([hash]) => still.has(hash));
  for (const [, { key }] of deleted) await blobs.delete(key);
  const gone = await markGone(
    options,
    due.map(({ hash }) => hash),
  );
  // Wanted again, or taken over by another sweep, while it was deleted: after this it is there, whoever deleted it.
  const wanted = due.map(({ hash }) => hash).filter((hash) => !gone.has(hash));
  for (const hash of wanted) {
    const back = held.get(hash);
    if (back !== undefined) await blobs.put(back.key, back.bytes, { ifAbsent: true });
  }
  await pool.query("DELETE FROM doomed WHERE hash = ANY($1) AND state <> 'gone'", [wanted]);
  const removed = deleted.filter(([hash]) => gone.has(hash));
  return { count: removed.length, sizeBytes: removed.reduce((sum, [, { bytes }]) => sum + bytes.byteLength, 0) };
}

function markGone({ pool, named: sql }: ObjectSweepOptions, hashes: readonly string[]): Promise<ReadonlySet<string>> {
  return whileNobodyClaims(pool, async (tx) => {
    const named = await hashesOf(tx, sql, hashes);
    const unnamed = hashes.filter((hash) => !named.has(hash));
    return hashesOf(
      tx,
      `UPDATE doomed SET state = 'gone', since = clock_timestamp() WHERE hash = ANY($1) AND state = 'deleting' RETURNING hash`,
      unnamed,
    );
  });
}

async function hashesOf(db: Pick<Pool | Tx, 'query'>, sql: string, hashes: readonly string[]): Promise<Set<string>> {
  if (hashes.length === 0) return new Set();
  const { rows } = await (db as Pool).query<{ hash: string }>(sql, [hashes]);
  return new Set(rows.map(({ hash }) => hash));
}

async function bytesOf(blobs: Blobs, key: string): Promise<Uint8Array | undefined> {
  try {
    return await (await blobs.get(key)).bytes(LARGEST_BYTES);
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}

function keyOf(prefix: ObjectPrefix, hash: string): string {
  return prefix === 'heads' ? headKey(hash) : indexKey(hash);
}
