import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import type { inTransaction } from '@vivarium/db/open';
import { isFault } from '@vivarium/fault/fault';
import { Feed, type FeedOptions } from './feed.js';
import type { ObjectPrefix } from './object-sweep.js';

type Pool = Parameters<typeof inTransaction>[0];

/** Two places that should say the same and do not. */
export interface Difference {
  /** A sentence with the values. */
  readonly what: string;
  readonly remedy: string;
  /** Making the index anew mends it. */
  readonly rebuild?: boolean;
  readonly repaired?: boolean;
}

export interface IndexChecked {
  readonly differences: readonly Difference[];
  readonly lookedAt: Readonly<Record<string, number>>;
}

/** Name → place (as text) → what is shown there, as a text that is the same for equal things. */
export type Shown = ReadonlyMap<string, ReadonlyMap<string, string>>;

export interface IndexCheckOptions extends FeedOptions {
  readonly pool: Pool;
  readonly blobs: Blobs;
  /** SQL that gives, as `hash`, those of the hashes `$1::text[]` that a row of this service names. */
  readonly named: string;
  readonly readGenerations: (channelIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** How long the index may stay behind its channel. */
  readonly settleMs: number;
  /** What the rows show of some names, or of all, and at which generation: of one moment. */
  readonly readShown: (
    channelId: string,
    names: readonly string[] | undefined,
  ) => Promise<{ readonly generation: number; readonly shown: Shown }>;
  /** What should be shown of these files, and what cannot be. */
  readonly shownOf: (records: readonly FileRecord[]) => {
    readonly shown: Shown;
    /** Name → sentences. */
    readonly complaints: ReadonlyMap<string, readonly string[]>;
  };
  /** Rows against each other and against their objects: of one moment. */
  readonly checkObjects: (channelId: string, objects: CheckedObjects) => Promise<readonly Difference[]>;
}

export const REBUILD = 'vivarium fsck --repair, or vivarium rebuild, makes the index anew';
/** How long an index may stay behind its channel without being wrong. */
export const SETTLE_MS = 10_000;
const ROUNDS = 4;
const EVERYTHING = Number.MAX_SAFE_INTEGER;

/**
 * Compares the index of a channel with what the packages service tells, with itself and with its objects, while the channel
 * goes on changing. Names that change meanwhile are looked at again, and what they were is no difference.
 * With `repair`, objects with wrong bytes are removed, so that making the index anew puts them again.
 */
export async function checkIndex(
  options: IndexCheckOptions,
  channelId: string,
  repair: boolean,
): Promise<IndexChecked> {
  const feed = new Feed(options);
  const generations = await checkGeneration(options, feed, channelId);
  const truth = await checkTruth(options, feed, channelId);
  const objects = new CheckedObjects(options, repair);
  const stored = await options.checkObjects(channelId, objects);
  return {
    differences: [...generations, ...truth.differences, ...stored, ...(await objects.differences())],
    lookedAt: {
      [`${options.kind} names`]: truth.names,
      [`${options.kind} objects`]: objects.count,
      ...(truth.restless === 0 ? {} : { [`${options.kind} names that kept changing`]: truth.restless }),
    },
  };
}

async function checkGeneration(
  { readGenerations, kind, settleMs }: IndexCheckOptions,
  feed: Feed,
  channelId: string,
): Promise<readonly Difference[]> {
  const generation = () => feed.readChanges(channelId, EVERYTHING, async () => undefined);
  const shown = async () => (await readGenerations([channelId])).get(channelId) ?? 0;
  const wanted = await generation();
  const end = performance.now() + settleMs;
  let has = await shown();
  // An index is a little behind its channel while that changes.
  while (has < wanted && performance.now() < end) {
    await sleep(50);
    has = await shown();
  }
  const what = `the ${kind} index shows generation ${has}, and the channel has ${wanted}`;
  if (has < wanted) return [{ what, remedy: REBUILD, rebuild: true }];
  if (has > (await generation())) return [{ what, remedy: 'restore packages and indexes from one backup' }];
  return [];
}

/**
 * The rows of a moment, then the truth of a later one, then which names changed since the rows' moment: all others must
 * agree exactly.
 */
async function checkTruth(options: IndexCheckOptions, feed: Feed, channelId: string) {
  const differences: Difference[] = [];
  let names: readonly string[] | undefined;
  let since = 0;
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(200 * round);
    const { generation, shown } = await options.readShown(channelId, names);
    const truth = await readTruth(options, feed, channelId, since, names);
    const changed = new Set<string>();
    await feed.readChanges(channelId, generation, async (given) => {
      for (const name of given) changed.add(name);
    });
    for (const name of new Set([...shown.keys(), ...truth.keys()])) {
      if (changed.has(name)) continue;
      count++;
      const should = truth.get(name);
      differences.push(...differencesOf(options.kind, name, shown.get(name), should?.places));
      for (const what of should?.complaints ?? []) {
        differences.push({ what, remedy: 'delete the file and upload one that can be indexed' });
      }
    }
    names = [...(names ?? changed)].filter((name) => changed.has(name));
    if (names.length === 0) break;
    since = generation;
  }
  return { differences, names: count, restless: names?.length ?? 0 };
}

interface Truth {
  readonly places: ReadonlyMap<string, string> | undefined;
  readonly complaints: readonly string[];
}

/** What should be shown now of the names that changed after a generation, or of those among them that are asked for. */
async function readTruth(
  { shownOf }: IndexCheckOptions,
  feed: Feed,
  channelId: string,
  since: number,
  names: readonly string[] | undefined,
): Promise<ReadonlyMap<string, Truth>> {
  const wanted = names === undefined ? undefined : new Set(names);
  const truth = new Map<string, Truth>();
  await feed.readChanges(channelId, since, async (given, records) => {
    const { shown, complaints } = shownOf(records);
    for (const name of given) {
      if (wanted?.has(name) === false) continue;
      truth.set(name, { places: shown.get(name), complaints: complaints.get(name) ?? [] });
    }
  });
  return truth;
}

function differencesOf(
  kind: string,
  name: string,
  shown: ReadonlyMap<string, string> = new Map(),
  truth: ReadonlyMap<string, string> = new Map(),
): Difference[] {
  return [...new Set([...shown.keys(), ...truth.keys()])].flatMap((place) => {
    const [has, should] = [shown.get(place) ?? 'nothing', truth.get(place) ?? 'nothing'];
    if (has === should) return [];
    const what = `the ${kind} index shows of ${name} in ${place}: ${has}; its files make: ${should}`;
    return [{ what, remedy: REBUILD, rebuild: true }];
  });
}

interface Wrong {
  readonly prefix: ObjectPrefix;
  readonly hash: string;
  readonly what: string;
}

/** Objects that rows name: read, and remembered if they are not what their name says. */
export class CheckedObjects {
  readonly #options: IndexCheckOptions;
  readonly #repair: boolean;
  readonly #wrong: Wrong[] = [];
  #count = 0;

  constructor(options: IndexCheckOptions, repair: boolean) {
    this.#options = options;
    this.#repair = repair;
  }

  get count(): number {
    return this.#count;
  }

  /** The bytes of an object; nothing, and a difference, if it is missing or has others. `whose` says who names it. */
  async read(prefix: ObjectPrefix, hash: string, whose: string): Promise<Uint8Array | undefined> {
    this.#count++;
    const bytes = await this.#bytesOf(prefix, hash);
    const got = bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
    if (got === hash) return bytes;
    const state = got === undefined ? 'is missing' : `has the SHA-256 ${got}`;
    this.#wrong.push({ prefix, hash, what: `the object ${keyOf(prefix, hash)}, ${whose}, ${state}` });
    return undefined;
  }

  /** What is still wrong, and still named: what was superseded meanwhile may have been swept. */
  async differences(): Promise<readonly Difference[]> {
    const { pool, named: sql, blobs } = this.#options;
    const wrong = this.#wrong.splice(0);
    if (wrong.length === 0) return [];
    const hashes = wrong.map(({ hash }) => hash);
    const { rows } = await pool.query<{ hash: string }>(sql, [hashes]);
    const named = new Set(rows.map(({ hash }) => hash));
    const differences: Difference[] = [];
    for (const { prefix, hash, what } of wrong) {
      if (!named.has(hash)) continue;
      const bytes = await this.#bytesOf(prefix, hash);
      if (bytes !== undefined && createHash('sha256').update(bytes).digest('hex') === hash) continue;
      // An object is put only where there is none: wrong bytes would stay for ever.
      if (this.#repair && bytes !== undefined) await blobs.delete(keyOf(prefix, hash));
      differences.push({ what, remedy: REBUILD, rebuild: true });
    }
    return differences;
  }

  async #bytesOf(prefix: ObjectPrefix, hash: string): Promise<Uint8Array | undefined> {
    if (!/^[0-9a-f]{64}$/.test(hash)) return undefined;
    try {
      return await (await this.#options.blobs.get(keyOf(prefix, hash))).bytes(LARGEST_BYTES);
    } catch (error) {
      if (isFault(error) && error.code === 'not_found') return undefined;
      throw error;
    }
  }
}

const LARGEST_BYTES = 512 * 2 ** 20;

function keyOf(prefix: ObjectPrefix, hash: string): string {
  if (!/^[0-9a-f]{64}$/.test(hash)) return `${prefix}/${hash.slice(0, 100)}`;
  return prefix === 'heads' ? headKey(hash) : indexKey(hash);
}

const DIFFERENCES_TOLD = 500;

/** As the contract has it: as many differences as a message holds. */
export function checkMessage({ differences, lookedAt }: IndexChecked) {
  return {
    differences: differences.slice(0, DIFFERENCES_TOLD).map((each) => ({ ...each, what: each.what.slice(0, 1_000) })),
    moreDifferences: differences.length > DIFFERENCES_TOLD,
    next: '',
    lookedAt: Object.fromEntries(Object.entries(lookedAt).map(([sort, count]) => [sort, BigInt(count)])),
  };
}
