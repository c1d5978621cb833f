import { reached } from '@vivarium/boot/step';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { IndexingLog } from '@vivarium/indexing/loop';
import type { Recent } from '@vivarium/indexing/recent';
import { encodePypiManifest } from '@vivarium/pypi/manifest';
import { type Filed, filedOf } from './filed.js';
import { isSame, LabelIndex } from './label-index.js';
import type { Moves } from './move-heads.js';
import type { Objects } from './objects.js';
import type { PypiIndexPorts } from './ports.js';
import { type ProjectRow, readHeads, readLabel, readProjects } from './stored.js';

/** A label as it was folded last, and the hash of the manifest that it then had. */
export interface Remembered {
  readonly index: LabelIndex;
  readonly hash: string | undefined;
}

export interface FoldOptions {
  readonly channelId: string;
  readonly from: State;
  readonly pool: PypiIndexPorts['pool'];
  readonly objects: Objects;
  /** `channel label` → the label. Taken out while it is changed, so that a fold that fails leaves nothing half-done. */
  readonly memory: Recent<Remembered>;
  readonly log: IndexingLog;
  /** True: what is stored counts for nothing, everything is made anew. */
  readonly fromNothing: boolean;
}

interface Change {
  readonly old: ProjectRow | undefined;
  next: ProjectRow | undefined;
}

/** One fold of a channel: takes projects with their files, then says what to store. */
export class Fold {
  readonly #options: FoldOptions;
  /** Name → label → what it was and is. */
  readonly #changes = new Map<string, Map<string, Change>>();
  readonly #indexes = new Map<string, Promise<LabelIndex>>();
  #heads: ReturnType<typeof readHeads> | undefined;

  constructor(options: FoldOptions) {
    this.#options = options;
  }

  /** Reads what is stored of all projects: they are gone unless they are taken. For a fold from nothing. */
  async expectAll(): Promise<void> {
    for (const row of await readProjects(this.#options.pool, this.#options.channelId)) this.#expect(row);
  }

  /** What some projects are now. A project may be taken again: the last word counts. */
  async take(names: readonly string[], records: readonly FileRecord[]): Promise<void> {
    await this.#readOld(names);
    const filed = filedOf(records, this.#options.log);
    for (const name of names) {
      const now = filed.get(name);
      const changes = this.#changes.get(name) ?? new Map<string, Change>();
      for (const label of now?.keys() ?? []) {
        if (!changes.has(label)) changes.set(label, { old: undefined, next: undefined });
      }
      for (const [label, change] of changes) {
        const there = now?.get(label);
        change.next = there === undefined ? undefined : rowOf(there);
        this.#apply(await this.#indexAt(label), name, there);
      }
      this.#changes.set(name, changes);
    }
  }

  /** Puts the manifests and what else is still under way, and gives what to store for it. */
  async finish(generation: number): Promise<{ readonly moves: Moves; readonly keep: () => void }> {
    const { channelId, from, objects, memory, fromNothing } = this.#options;
    await reached('objects-before');
    const heads = await this.#readHeads();
    const moved: { label: string; hash: string | undefined }[] = [];
    const remembered: [string, Remembered][] = [];
    for (const [label, opening] of this.#indexes) {
      const index = await opening;
      let hash = heads.get(label);
      if (index.isChanged || fromNothing) {
        hash = index.size === 0 ? undefined : objects.putManifest(encodePypiManifest(index.manifest()));
        if (hash !== heads.get(label)) moved.push({ label, hash });
        index.settle();
      }
      remembered.push([label, { index, hash }]);
    }
    if (fromNothing) {
      for (const label of heads.keys()) if (!this.#indexes.has(label)) moved.push({ label, hash: undefined });
    }
    await objects.settled();
    await reached('objects-after');
    const changes = [...this.#changes.values()].flatMap((labels) => [...labels.values()]);
    const moves = {
      channelId,
      from,
      to: { generation, rebuilds: from.rebuilds + (fromNothing ? 1 : 0) },
      projects: changes.flatMap(({ old, next }) => (next === undefined || isSameRow(old, next) ? [] : [next])),
      goneProjects: changes.flatMap(({ old, next }) => (old === undefined || next !== undefined ? [] : [old])),
      heads: moved,
    };
    const keep = (): void => {
      for (const [label, each] of remembered) {
        if (each.index.size > 0) memory.set(`${channelId} ${label}`, each, each.index.size);
      }
    };
    return { moves, keep };
  }

  /** Projects that have files. */
  get names(): number {
    return [...this.#changes.values()].filter((labels) => [...labels.values()].some(({ next }) => next !== undefined))
      .length;
  }

  #apply(index: LabelIndex, name: string, filed: Filed | undefined): void {
    if (index.shows(name, filed)) return;
    for (const { bytes, hash } of filed?.objects ?? []) this.#options.objects.putPage(bytes, hash);
    index.set(name, filed);
  }

  #indexAt(label: string): Promise<LabelIndex> {
    const known = this.#indexes.get(label) ?? this.#open(label);
    this.#indexes.set(label, known);
    return known;
  }

  async #open(label: string): Promise<LabelIndex> {
    const { channelId, pool, memory, fromNothing } = this.#options;
    const remembered = memory.take(`${channelId} ${label}`);
    if (fromNothing) return new LabelIndex();
    const hash = (await this.#readHeads()).get(label);
    if (hash === undefined) return new LabelIndex();
    // Another replica may have moved the head.
    return remembered?.hash === hash ? remembered.index : readLabel(pool, channelId, label);
  }

  async #readOld(names: readonly string[]): Promise<void> {
    const { pool, channelId, fromNothing } = this.#options;
    const unknown = fromNothing ? [] : names.filter((name) => !this.#changes.has(name));
    if (unknown.length === 0) return;
    const [rows] = await Promise.all([readProjects(pool, channelId, unknown), this.#readHeads()]);
    for (const row of rows) this.#expect(row);
  }

  #expect(row: ProjectRow): void {
    const changes = this.#changes.get(row.name) ?? new Map<string, Change>();
    changes.set(row.label, { old: row, next: undefined });
    this.#changes.set(row.name, changes);
  }

  #readHeads(): ReturnType<typeof readHeads> {
    this.#heads ??= readHeads(this.#options.pool, this.#options.channelId);
    return this.#heads;
  }
}

function rowOf({ label, name, packageId, audience, pages }: Filed): ProjectRow {
  return { label, name, packageId, audience, pages };
}

function isSameRow(old: ProjectRow | undefined, next: ProjectRow): boolean {
  return old?.packageId === next.packageId && old.audience.id === next.audience.id && isSame(old.pages, next.pages);
}
