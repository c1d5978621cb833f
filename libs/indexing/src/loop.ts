import { InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { isFault } from '@vivarium/fault/fault';
import { invalidationSubject } from '@vivarium/invalidation/invalidations';
import type { Bus, Subscription } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import { type Feed, UnknownChannel } from './feed.js';

/** Where an indexer says what went wrong. A pino logger fits. */
export interface IndexingLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface LoopOptions {
  /** Replicas of one service share its events: one of them gets each. */
  readonly service: string;
  readonly bus: Bus;
  readonly feed: Pick<Feed, 'channels'>;
  /** Channel id → generation that its index shows; a channel that has none is absent. */
  readonly indexed: (channelIds: readonly string[]) => Promise<ReadonlyMap<string, number>>;
  /** Brings the index of a channel up to its newest generation, and gives that. */
  readonly fold: (channelId: string) => Promise<number>;
  readonly log: IndexingLog;
  /** Channels that are folded at once, 4 unless given. */
  readonly concurrency?: number;
  /** Pause between sweeps, 1 s unless given. */
  readonly sweepMs?: number;
  /** Every channel is looked at this often, 5 minutes unless given. */
  readonly fullSweepMs?: number;
}

interface Work {
  /** Generation that somebody said the channel has. */
  wanted: number;
  /** In the queue, running, or waiting after a failure. */
  busy: boolean;
  failures: number;
  /** What was last said of its failure, and when. */
  said?: { readonly text: string; readonly atMs: number };
  timer?: NodeJS.Timeout;
}

const CHANNEL_TAG = 'channel:';
const FIRST_PAUSE_MS = 100;
// What is away comes back, and publishers wait for it; what is wrong with a channel mends itself more rarely.
const LONGEST_PAUSE_AWAY_MS = 5_000;
const LONGEST_PAUSE_MS = 60_000;
// One line a minute keeps a failure in sight without hiding the others.
const SAY_AGAIN_MS = 60_000;
// A change is stamped inside its transaction and seen only after its commit, which may be as late as a transaction may last.
const OVERLAP_MS = 30_000;

/**
 * changed → fold → put, driven by levels: an event only says "look at this channel", and may be lost, repeated or
 * reordered; whoever looks folds up to the newest generation. A sweep finds what no event told. One fold of a channel runs
 * at a time, several channels at once; what fails is tried again, less and less often, and holds nobody else.
 */
export class IndexingLoop {
  readonly #options: LoopOptions;
  readonly #works = new Map<string, Work>();
  readonly #known = new Map<string, number>();
  readonly #ready: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #events: Subscription | undefined;
  #sweepTimer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #sinceMs = 0;
  #fullAtMs = Number.NEGATIVE_INFINITY;
  #sweepFailed = false;
  #stopped = false;

  constructor(options: LoopOptions) {
    this.#options = options;
  }

  /** Begins to hear events, and to sweep: the first sweep looks at every channel. */
  async start(): Promise<void> {
    const { bus, service } = this.#options;
    this.#events = await subscribeEvent(
      bus,
      InvalidationSchema,
      invalidationSubject('packages'),
      ({ facts }) => {
        for (const { tag, version } of facts) {
          if (tag.startsWith(CHANNEL_TAG)) this.#want(tag.slice(CHANNEL_TAG.length), Number(version));
        }
      },
      { queue: service },
    );
    this.#sweepAfter(0);
  }

  /** Takes nothing more, and waits for the folds that run. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#sweepTimer);
    for (const { timer } of this.#works.values()) clearTimeout(timer);
    await this.#events?.close();
    await this.#sweeping;
    await Promise.all(this.#running);
  }

  #want(channelId: string, generation: number): void {
    if ((this.#known.get(channelId) ?? -1) >= generation) return;
    const work = this.#works.get(channelId) ?? { wanted: generation, busy: false, failures: 0 };
    work.wanted = Math.max(work.wanted, generation);
    this.#works.set(channelId, work);
    if (work.busy) return;
    work.busy = true;
    this.#enqueue(channelId);
  }

  #enqueue(channelId: string): void {
    this.#ready.push(channelId);
    this.#pump();
  }

  #pump(): void {
    const { concurrency = 4 } = this.#options;
    while (!this.#stopped && this.#running.size < concurrency) {
      const channelId = this.#ready.shift();
      if (channelId === undefined) return;
      const run = this.#run(channelId).finally(() => {
        this.#running.delete(run);
        this.#pump();
      });
      this.#running.add(run);
    }
  }

  async #run(channelId: string): Promise<void> {
    const work = this.#works.get(channelId);
    if (work === undefined) return;
    const wanted = work.wanted;
    try {
      this.#know(channelId, await this.#options.fold(channelId));
      work.failures = 0;
      // Only what was asked for meanwhile is a reason to look again: a generation that the fold itself did not find is
      // no reason to spin, and the sweep knows the true one.
      if (work.wanted > wanted && work.wanted > (this.#known.get(channelId) ?? -1)) this.#enqueue(channelId);
      else this.#works.delete(channelId);
    } catch (error) {
      this.#failed(channelId, work, error);
    }
  }

  #failed(channelId: string, work: Work, error: unknown): void {
    const { log } = this.#options;
    if (error instanceof UnknownChannel) {
      // Should it ever be there, the sweep finds it.
      this.#works.delete(channelId);
      log.warn({ channelId, error }, 'A channel that was said to have changed is not known.');
      return;
    }
    const isAway = isFault(error) && error.code === 'unavailable';
    const longestMs = isAway ? LONGEST_PAUSE_AWAY_MS : LONGEST_PAUSE_MS;
    const pauseMs = Math.min(longestMs, FIRST_PAUSE_MS * 2 ** work.failures++);
    const text = error instanceof Error ? error.message : String(error);
    const nowMs = performance.now();
    if (work.said?.text !== text || nowMs - work.said.atMs >= SAY_AGAIN_MS) {
      work.said = { text, atMs: nowMs };
      log.error({ channelId, error, pauseMs }, 'The index of a channel could not be brought up to date.');
    }
    if (!this.#stopped) work.timer = setTimeout(() => this.#enqueue(channelId), pauseMs);
  }

  #know(channelId: string, generation: number): void {
    this.#known.set(channelId, Math.max(generation, this.#known.get(channelId) ?? generation));
  }

  #sweepAfter(pauseMs: number): void {
    this.#sweepTimer = setTimeout(() => {
      this.#sweeping = this.#sweep()
        .then(() => {
          this.#sweepFailed = false;
        })
        .catch((error: unknown) => {
          // Said once: it is tried every second, and what stands in the way says so itself.
          if (!this.#sweepFailed) this.#options.log.warn({ error }, 'Changed channels could not be asked for.');
          this.#sweepFailed = true;
        })
        .finally(() => {
          if (!this.#stopped) this.#sweepAfter(this.#options.sweepMs ?? 1_000);
        });
    }, pauseMs);
  }

  async #sweep(): Promise<void> {
    const startedMs = performance.now();
    const isFull = startedMs - this.#fullAtMs >= (this.#options.fullSweepMs ?? 300_000);
    const sinceMs = isFull ? 0 : Math.max(0, this.#sinceMs - OVERLAP_MS);
    let nowMs: number | undefined;
    let after = '';
    do {
      const page = await this.#options.feed.channels(sinceMs, after);
      // The first page's moment: what changes while the pages are read is found by the next sweep.
      nowMs ??= page.nowMs;
      await this.#wantBehind(page.channels);
      after = page.more ? (page.channels.at(-1)?.channelId ?? '') : '';
    } while (after !== '' && !this.#stopped);
    this.#sinceMs = nowMs;
    if (isFull) this.#fullAtMs = startedMs;
  }

  async #wantBehind(channels: readonly { readonly channelId: string; readonly generation: number }[]): Promise<void> {
    const unsure = channels.filter(({ channelId, generation }) => (this.#known.get(channelId) ?? 0) < generation);
    if (unsure.length === 0) return;
    // Another replica may have folded it.
    const indexed = await this.#options.indexed(unsure.map(({ channelId }) => channelId));
    for (const { channelId, generation } of unsure) {
      const has = indexed.get(channelId);
      if (has !== undefined) this.#know(channelId, has);
      if (!this.#stopped) this.#want(channelId, generation);
    }
  }
}
