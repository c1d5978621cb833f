import { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { Announcements } from '@vivarium/indexing/announcements';
import { Feed } from '@vivarium/indexing/feed';
import { IndexingLoop } from '@vivarium/indexing/loop';
import { OneAtATime } from '@vivarium/indexing/one-at-a-time';
import { Recent } from '@vivarium/indexing/recent';
import { Fold, type Remembered } from './fold.js';
import { inLeafOrder } from './leaves.js';
import { type Moves, moveHeads } from './move-heads.js';
import { Objects } from './objects.js';
import type { CondaIndexPorts } from './ports.js';
import { readGenerations, readState } from './stored.js';

/** Injection token. */
export const INDEXER = Symbol('conda indexer');

export interface Rebuilt {
  readonly generation: number;
  readonly names: number;
  readonly changedHeads: number;
}

// In names, about 250 bytes each; and in characters of chunks.
const MEMORY_NAMES = 300_000;
const MEMORY_TEXT = 32 * 2 ** 20;
const TRIES = 10;

/** Keeps the conda indexes of all channels true to the packages service. */
export class CondaIndexer {
  readonly #ports: CondaIndexPorts;
  readonly #feed: Feed;
  readonly #loop: IndexingLoop;
  readonly #announcements: Announcements;
  readonly #turns = new OneAtATime();
  readonly #memory = new Recent<Remembered>(MEMORY_NAMES);
  readonly #texts = new Recent<string>(MEMORY_TEXT);

  constructor(ports: CondaIndexPorts) {
    const { bus, trust, log, pool, invalidations, service } = ports;
    this.#ports = ports;
    this.#feed = new Feed({ bus, trust, kind: 'conda' });
    this.#announcements = new Announcements({ bus, invalidations, kind: 'conda', log });
    this.#loop = new IndexingLoop({
      service,
      bus,
      feed: this.#feed,
      indexed: (channelIds) => readGenerations(pool, channelIds),
      fold: (channelId) => this.fold(channelId),
      log,
    });
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
    await this.#announcements.stop();
  }

  /** Brings the heads of a channel up to its newest generation, all together, and gives that. */
  fold(channelId: string): Promise<number> {
    return this.#turns.run(channelId, async () => (await this.#retried(channelId, false)).generation);
  }

  /** Makes the heads of a channel anew from nothing but what the packages service says. */
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
    const { pool, blobs, log } = this.#ports;
    const from = await readState(pool, channelId);
    const objects = new Objects(blobs, this.#texts);
    const fold = new Fold({ channelId, from, pool, objects, memory: this.#memory, log, fromNothing });
    if (fromNothing) await fold.expectAll();
    const generation = await this.#feed.readChanges(
      channelId,
      fromNothing ? 0 : from.generation,
      async (names, records) => {
        await fold.take(names, records);
        // Of a channel that is read as a whole, only so much waits to be stored.
        if (names.length > 1) await objects.settled();
      },
      inLeafOrder,
    );
    if (generation < from.generation) throw aheadOf(channelId, from.generation, generation);
    if (generation === from.generation && !fromNothing) return { generation, names: 0, changedHeads: 0 };
    const { moves, keep } = await fold.finish(generation);
    if (!(await this.#move(moves))) return undefined;
    keep();
    this.#announcements.announce(channelId, generation);
    return { generation, names: fold.names, changedHeads: moves.heads.length };
  }

  #move(moves: Moves): Promise<boolean> {
    const { pool, clock, invalidations } = this.#ports;
    return inTransaction(pool, async (tx) => {
      if (!(await moveHeads(tx, moves, new Date(clock())))) return false;
      if (moves.heads.length > 0) {
        const { channelId, from, to } = moves;
        const facts = [{ tag: headsTag(channelId), version: to.generation }];
        if (to.rebuilds !== from.rebuilds) facts.push({ tag: rebuildsTag(channelId), version: to.rebuilds });
        await invalidations.add(tx, facts);
      }
      return true;
    });
  }
}

/** Tag of what the heads of a channel show. */
export const headsTag = (channelId: string): string => `heads:${channelId}`;
/** Tag of how often they were made anew: that may change them within one generation. */
export const rebuildsTag = (channelId: string): string => `rebuilds:${channelId}`;

function aheadOf(channelId: string, indexed: number, told: number): Fault {
  // What was folded from a newer state cannot be told from what should be there.
  return new Fault(
    'conflict',
    `The index of the channel ${channelId} shows generation ${indexed}, the packages only ${told}: restore both from one backup.`,
  );
}
