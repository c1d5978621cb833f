import { setTimeout as sleep } from 'node:timers/promises';
import { reached } from '@vivarium/boot/step';
import { ChannelReadableSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { publishEvent } from '@vivarium/rpc/events';
import type { IndexingLog } from './loop.js';

export interface AnnouncementsOptions {
  readonly bus: Bus;
  readonly invalidations: Pick<Invalidations, 'barrier'>;
  readonly kind: 'conda' | 'pypi';
  readonly log: IndexingLog;
}

/** Where an indexer says that every gateway can read a channel at a generation. */
export const readableSubject = (channelId: string, kind: 'conda' | 'pypi'): string => `readable.${channelId}.${kind}`;

// Short, so that a stop does not have to wait long for a gateway that is away.
const BARRIER_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Tells who waits for a publish that it can be read on every gateway. It runs beside the next folds of the channel: a
 * gateway that is slow to forget must not hold what was published later.
 */
export class Announcements {
  readonly #options: AnnouncementsOptions;
  readonly #newest = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(options: AnnouncementsOptions) {
    this.#options = options;
  }

  /** Call it after the commit that moved the heads of a channel, or only its generation. Never throws. */
  announce(channelId: string, generation: number): void {
    this.#newest.set(channelId, Math.max(generation, this.#newest.get(channelId) ?? generation));
    const running = this.#announce(channelId, generation).finally(() => {
      this.#running.delete(running);
      if (this.#newest.get(channelId) === generation) this.#newest.delete(channelId);
    });
    this.#running.add(running);
  }

  /** Gives up what still waits. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async #announce(channelId: string, generation: number): Promise<void> {
    const { bus, kind, log } = this.#options;
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        // Also when no head changed: an earlier change, perhaps of another replica, may not be known everywhere yet.
        if (await this.#options.invalidations.barrier(BARRIER_MS)) {
          await reached('readable');
          publishEvent(bus, ChannelReadableSchema, readableSubject(channelId, kind), {
            channelId,
            kind,
            generation: BigInt(generation),
          });
          return;
        }
        log.warn({ channelId, generation }, 'A gateway has not yet taken note of a new index.');
      } catch (error) {
        log.warn({ channelId, generation, error }, 'A new index could not be announced.');
        const pauseMs = Math.min(LONGEST_PAUSE_MS, 100 * 2 ** failures++);
        await sleep(pauseMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
      // What is readable later includes this.
      if ((this.#newest.get(channelId) ?? generation) > generation) return;
    }
  }
}
