import { reached } from '@vivarium/boot/step';
import { Fault } from '@vivarium/fault/fault';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import type { Trust } from '@vivarium/trust/trust';
import { Announcements } from './announcements.js';
import { Feed, type TakeNames } from './feed.js';
import { type IndexingLog, IndexingLoop } from './loop.js';
import { OneAtATime } from './one-at-a-time.js';

export type IndexKind = 'conda' | 'pypi';

/** What the index of a channel shows, and against what it is moved: every move changes one of the two. */
export interface State {
  readonly generation: number;
  /** Times the index was made anew from nothing, which may change heads without another generation. */
  readonly rebuilds: number;
}

/** One fold of a channel under way. */
export interface ChannelFold {
  /** What some names are now. A name may be taken again: the last word counts. */
  readonly take: TakeNames;
  /**
   * Puts every object, then moves all heads of the channel in one transaction. Gives how many changed, or nothing if others
   * moved them meanwhile: then nothing was changed.
   */
  finish(generation: number): Promise<number | undefined>;
  /** Names that have files, of those taken. */
  readonly names: number;
}

export interface ChannelIndexerOptions {
  readonly service: string;
  readonly kind: IndexKind;
  readonly bus: Bus;
  readonly trust: Pick<Trust, 'assertionFor'>;
  readonly invalidations: Pick<Invalidations, 'barrier'>;
  readonly log: IndexingLog;
  /** The state of a channel; generation 0 if there is none yet. */
  readonly readState: (channelId: string) => Promise<State>;
  /** Channel id → generation that its index shows. */
  readonly readGenerations: (channelIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** Begins a fold; from nothing: what is stored counts for nothing, every name is told and everything made anew. */
  readonly begin: (channelId: string, from: State, fromNothing: boolean) => Promise<ChannelFold>;
  /** The order in which many names are best taken. */
  readonly ordered?: (names: readonly string[]) => readonly string[];
}

export interface Rebuilt {
  readonly generation: number;
  readonly names: number;
  readonly changedHeads: number;
}

const TRIES = 10;

/** Keeps the indexes of all channels true to the packages service: what an indexer is, whatever its index looks like. */
export class ChannelIndexer {
  readonly #options: ChannelIndexerOptions;
  readonly #feed: Feed;
  readonly #loop: IndexingLoop;
  readonly #announcements: Announcements;
  readonly #turns = new OneAtATime();

  constructor(options: ChannelIndexerOptions) {
    this.#options = options;
    this.#feed = new Feed(options);
    this.#announcements = new Announcements(options);
    this.#loop = new IndexingLoop({
      ...options,
      feed: this.#feed,
      indexed: options.readGenerations,
      fold: (channelId) => this.fold(channelId),
    });
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  /** Waits for the folds that run. */
  async stop(): Promise<void> {
    await this.#loop.stop();
    await this.#announcements.stop();
  }

  /** Brings the heads of a channel up to its newest generation, all together, and gives that. */
  fold(channelId: string): Promise<number> {
    return this.#turns.run(channelId, async () => (await this.#retried(channelId, false)).generation);
  }

  /**
   * Makes the heads of a channel anew from nothing but what the packages service says; what was well is the same afterwards.
   * Throws Fault('conflict') if the packages are of an older time than the index.
   */
  rebuild(channelId: string): Promise<Rebuilt> {
    return this.#turns.run(channelId, () => this.#retried(channelId, true));
  }

  async #retried(channelId: string, fromNothing: boolean): Promise<Rebuilt> {
    for (let tries = 0; tries < TRIES; tries++) {
      const done = await this.#fold(channelId, fromNothing);
      if (done !== undefined) return done;
    }
    throw new Fault('unavailable', `Others keep moving the index of the channel ${channelId}. Try again.`);
  }

  /** Gives nothing if somebody else moved the heads meanwhile: then it has to be folded from those. */
  async #fold(channelId: string, fromNothing: boolean): Promise<Rebuilt | undefined> {
    const { readState, begin, ordered } = this.#options;
    const from = await readState(channelId);
    const fold = await begin(channelId, from, fromNothing);
    const after = fromNothing ? 0 : from.generation;
    const generation = await this.#feed.readChanges(channelId, after, (...told) => fold.take(...told), ordered);
    if (generation < from.generation) throw aheadOf(channelId, from.generation, generation);
    if (generation === from.generation && !fromNothing) return { generation, names: 0, changedHeads: 0 };
    const changedHeads = await fold.finish(generation);
    if (changedHeads === undefined) return undefined;
    await reached('swap-after-commit');
    this.#announcements.announce(channelId, generation);
    return { generation, names: fold.names, changedHeads };
  }
}

/** What a move changes for those who remember heads: nothing, if no head changed. */
export function factsOf(kind: IndexKind, channelId: string, from: State, to: State, changedHeads: number) {
  if (changedHeads === 0) return [];
  const heads = { tag: headsTag(kind, channelId), version: to.generation };
  return to.rebuilds === from.rebuilds ? [heads] : [heads, { tag: rebuildsTag(kind, channelId), version: to.rebuilds }];
}

/** At which versions a head was read. */
export function versionsOf(kind: IndexKind, channelId: string, { generation, rebuilds }: State) {
  return [
    { tag: headsTag(kind, channelId), version: BigInt(generation) },
    { tag: rebuildsTag(kind, channelId), version: BigInt(rebuilds) },
  ];
}

// The kind is part of both: one index must not make the other's heads look old, which may be behind for good reasons.
function headsTag(kind: IndexKind, channelId: string): string {
  return `heads:${kind}:${channelId}`;
}

function rebuildsTag(kind: IndexKind, channelId: string): string {
  return `rebuilds:${kind}:${channelId}`;
}

function aheadOf(channelId: string, indexed: number, told: number): Fault {
  // Heads never move back: what was folded from a newer state cannot be told from what should be there.
  return new Fault(
    'conflict',
    `The index of the channel ${channelId} shows generation ${indexed}, the packages only ${told}: restore both from one backup.`,
  );
}
