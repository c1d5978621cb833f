import { reached } from '@vivarium/boot/step';
import { encodeManifest } from '@vivarium/conda/manifest';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { IndexingLog } from '@vivarium/indexing/loop';
import type { Recent } from '@vivarium/indexing/recent';
import { type Filed, filedOf } from './filed.js';
import type { Moves } from './move-heads.js';
import type { Objects } from './objects.js';
import { type Place, placeKey } from './place.js';
import type { CondaIndexPorts } from './ports.js';
import { readHeads, readShards, readSubdir, type ShardRow } from './stored.js';
import { SubdirIndex } from './subdir-index.js';

/** A directory as it was folded last, and the hash of the manifest that it then had. */
export interface Remembered {
  readonly index: SubdirIndex;
  readonly hash: string | undefined;
}

export interface FoldOptions {
  readonly channelId: string;
  readonly from: State;
  readonly pool: CondaIndexPorts['pool'];
  readonly objects: Objects;
  /** `channel place` → the directory. Taken out while it is changed, so that a fold that fails leaves nothing half-done. */
  readonly memory: Recent<Remembered>;
  readonly log: IndexingLog;
  /** True: what is stored counts for nothing, everything is made anew. */
  readonly fromNothing: boolean;
}

interface Change {
  readonly place: Place;
  readonly old: ShardRow | undefined;
  next: ShardRow | undefined;
}

/** One fold of a channel: takes names with their files, then says what to store. */
export class Fold {
  readonly #options: FoldOptions;
  /** Name → place → what it was and is. */
  readonly #changes = new Map<string, Map<string, Change>>();
  readonly #indexes = new Map<string, Promise<SubdirIndex>>();
  readonly #places = new Map<string, Place>();
  #heads: ReturnType<typeof readHeads> | undefined;

  constructor(options: FoldOptions) {
    this.#options = options;
  }

  /** Reads what is stored of all names: they are gone unless they are taken. For a fold from nothing. */
  async expectAll(): Promise<void> {
    for (const row of await readShards(this.#options.pool, this.#options.channelId)) this.#expect(row);
  }

  /** What some names are now. A name may be taken again: the last word counts. */
  async take(names: readonly string[], records: readonly FileRecord[]): Promise<void> {
    await this.#readOld(names);
    const filed = filedOf(records, this.#options.log);
    const byPlace = new Map<string, Map<string, Filed | undefined>>();
    for (const name of names) {
      const now = filed.get(name);
      const changes = this.#changes.get(name) ?? new Map<string, Change>();
      for (const [key, there] of now ?? []) {
        this.#places.set(key, there.place);
        if (!changes.has(key)) changes.set(key, { place: there.place, old: undefined, next: undefined });
      }
      for (const [key, change] of changes) {
        const there = now?.get(key);
        change.next = there === undefined ? undefined : rowOf(there);
        byPlace.set(key, (byPlace.get(key) ?? new Map()).set(name, there));
      }
      this.#changes.set(name, changes);
    }
    await Promise.all([...byPlace].map(([key, there]) => this.#apply(key, there)));
  }

  /** Puts the manifests and what else is still under way, and gives what to store for it. */
  async finish(generation: number): Promise<{ readonly moves: Moves; readonly keep: () => void }> {
    const { channelId, from, objects, memory, fromNothing } = this.#options;
    await reached('objects-before');
    const heads = await this.#readHeads();
    const moved: { place: Place; hash: string | undefined }[] = [];
    const chunks: Moves['chunks'][number][] = [];
    const remembered: [string, Remembered][] = [];
    for (const [key, opening] of this.#indexes) {
      const place = this.#placeOf(key);
      const index = await opening;
      let hash = heads.get(key)?.hash;
      if (index.isChanged || fromNothing) {
        hash = index.size === 0 ? undefined : objects.putManifest(encodeManifest(index.manifest(place.subdir)));
        if (hash !== heads.get(key)?.hash) moved.push({ place, hash });
        chunks.push(...index.takeTouched().map((row) => ({ ...row, place })));
      }
      remembered.push([key, { index, hash }]);
    }
    if (fromNothing) {
      for (const [key, { place }] of heads) if (!this.#indexes.has(key)) moved.push({ place, hash: undefined });
    }
    await objects.settled();
    await reached('objects-after');
    const changes = [...this.#changes.values()].flatMap((places) => [...places.values()]);
    const moves = {
      channelId,
      from,
      to: { generation, rebuilds: from.rebuilds + (fromNothing ? 1 : 0) },
      shards: changes.flatMap(({ old, next }) => (next === undefined || isSame(old, next) ? [] : [next])),
      goneShards: changes.flatMap(({ old, next }) => (old === undefined || next !== undefined ? [] : [old])),
      retiredShards: changes.flatMap(({ old, next }) => (old === undefined || old.hash === next?.hash ? [] : [old])),
      chunks,
      replacesChunks: fromNothing,
      heads: moved,
    };
    const keep = (): void => {
      for (const [key, each] of remembered) {
        if (each.index.size > 0) memory.set(`${channelId} ${key}`, each, each.index.size);
      }
    };
    return { moves, keep };
  }

  /** Names that have files. */
  get names(): number {
    return [...this.#changes.values()].filter((places) => [...places.values()].some(({ next }) => next !== undefined))
      .length;
  }

  async #apply(key: string, there: Map<string, Filed | undefined>): Promise<void> {
    const { objects } = this.#options;
    const index = await this.#indexAt(key);
    for (const [name, filed] of there) if (index.shows(name, filed)) there.delete(name);
    if (there.size === 0) return;
    for (const filed of there.values()) if (filed !== undefined) objects.putShard(filed.bytes, filed.hash);
    await index.apply(there, objects);
  }

  #indexAt(key: string): Promise<SubdirIndex> {
    const known = this.#indexes.get(key) ?? this.#open(key);
    this.#indexes.set(key, known);
    return known;
  }

  async #open(key: string): Promise<SubdirIndex> {
    const { channelId, pool, memory, fromNothing } = this.#options;
    const remembered = memory.take(`${channelId} ${key}`);
    if (fromNothing) return new SubdirIndex();
    const head = (await this.#readHeads()).get(key);
    if (head === undefined) return new SubdirIndex();
    // Another replica may have moved the head.
    return remembered?.hash === head.hash ? remembered.index : readSubdir(pool, channelId, head.place);
  }

  async #readOld(names: readonly string[]): Promise<void> {
    const { pool, channelId, fromNothing } = this.#options;
    const unknown = fromNothing ? [] : names.filter((name) => !this.#changes.has(name));
    if (unknown.length === 0) return;
    const [rows] = await Promise.all([readShards(pool, channelId, unknown), this.#readHeads()]);
    for (const row of rows) this.#expect(row);
  }

  #expect(row: ShardRow): void {
    const key = placeKey(row.place);
    const changes = this.#changes.get(row.name) ?? new Map<string, Change>();
    changes.set(key, { place: row.place, old: row, next: undefined });
    this.#changes.set(row.name, changes);
    this.#places.set(key, row.place);
  }

  #readHeads(): ReturnType<typeof readHeads> {
    this.#heads ??= readHeads(this.#options.pool, this.#options.channelId);
    return this.#heads;
  }

  #placeOf(key: string): Place {
    const place = this.#places.get(key);
    if (place === undefined) throw new Error(`No place ${key} was touched.`);
    return place;
  }
}

function rowOf({ place, name, packageId, audience, hash, textBytes, newestMs }: Filed): ShardRow {
  return { place, name, packageId, audience, hash, textBytes, newestMs };
}

function isSame(old: ShardRow | undefined, next: ShardRow): boolean {
  return old?.packageId === next.packageId && old.audience.id === next.audience.id && old.hash === next.hash;
}
