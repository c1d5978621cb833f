import type { Caller } from '@vivarium/access/caller';
import type { Blobs } from '@vivarium/blobs/blobs';
import { floorKey } from '@vivarium/blobs/keys';
import { Fault, isFault } from '@vivarium/fault/fault';
import { LRUCache } from 'lru-cache';
import type { FactCache, Query } from './cache.js';

/** The channel that a value belongs to, with the floor at which it was read. */
export interface Floored {
  readonly id: string;
  readonly floor: number;
}

// What was hidden a moment ago may be shown for so long by a gateway that cannot be told. With the age that a decision
// may have it stays below five seconds.
const FLOOR_AGE_MS = 1_000;
// How long a service is waited for before memory is looked into.
const PATIENCE_MS = 500;
const FLOOR_LIMIT_BYTES = 1_024;

/**
 * What strangers are shown while a service cannot be asked: what is remembered of public packages, unless something was
 * hidden since. Whoever hides something writes the channel's floor into the blob store first, which is reached without any
 * service.
 */
export class Floors {
  readonly #cache: FactCache;
  readonly #blobs: Pick<Blobs, 'get'>;
  readonly #nowMs: () => number;
  readonly #reads = new LRUCache<string, { readonly askedMs: number; readonly floor: Promise<number> }>({
    max: 10_000,
  });

  constructor(parts: {
    readonly cache: FactCache;
    readonly blobs: Pick<Blobs, 'get'>;
    /** Monotonic milliseconds. */
    readonly nowMs: () => number;
  }) {
    this.#cache = parts.cache;
    this.#blobs = parts.blobs;
    this.#nowMs = parts.nowMs;
  }

  /**
   * As the cache gives it; where the service does not answer in time, what is remembered above the channel's floor. Only
   * for what a stranger may see, and never that something is absent. Throws Fault('unavailable') below the floor, and where
   * the floor cannot be read.
   */
  get<T>(query: Query<T>, channelOf: (value: T) => Floored | undefined): T | Promise<T> {
    const answer = this.#cache.get(query);
    if (!(answer instanceof Promise)) return answer;
    const remembered = this.#cache.remembered<T>(query);
    if (remembered === undefined) return answer;
    const channel = channelOf(remembered.value);
    return channel === undefined ? answer : this.#either(answer, remembered.value, channel);
  }

  /** As `get` for a stranger in the channel, from the lease alone for anybody else. */
  read<T>(
    query: Query<T>,
    { caller, channel }: { readonly caller: Caller; readonly channel: Floored },
  ): T | Promise<T> {
    return caller.kind === 'anonymous' ? this.get(query, () => channel) : this.#cache.get(query);
  }

  async #either<T>(answer: Promise<T>, remembered: T, channel: Floored): Promise<T> {
    const told = await inTime(answer);
    if (told !== undefined) return told.value;
    if ((await this.#floorOf(channel.id)) <= channel.floor) return remembered;
    throw new Fault(
      'unavailable',
      'What is public here has changed, and it is not known yet how. Try again in a moment.',
    );
  }

  #floorOf(channelId: string): Promise<number> {
    const known = this.#reads.get(channelId);
    const nowMs = this.#nowMs();
    if (known !== undefined && nowMs - known.askedMs < FLOOR_AGE_MS) return known.floor;
    const floor = this.#read(channelId);
    this.#reads.set(channelId, { askedMs: nowMs, floor });
    return floor;
  }

  async #read(channelId: string): Promise<number> {
    let text: string;
    try {
      text = (await (await this.#blobs.get(floorKey(channelId))).bytes(FLOOR_LIMIT_BYTES)).toString('utf8');
    } catch (error) {
      // Nothing was ever hidden in this channel.
      if (isFault(error) && error.code === 'not_found') return 0;
      throw error;
    }
    return parseFloor(text);
  }
}

/** Throws Fault('unavailable') for what is no floor: then nobody knows what may be shown. */
function parseFloor(text: string): number {
  const floor = /^\{"floor":(\d{1,15})\}$/.exec(text)?.[1];
  if (floor !== undefined) return Number(floor);
  throw new Fault('unavailable', 'It cannot be told at the moment what of this channel is public. Try again.', {
    cause: new Error(`a floor that is none: ${text.slice(0, 100)}`),
  });
}

/** The answer, or nothing if its service is away or slow. */
async function inTime<T>(answer: Promise<T>): Promise<{ readonly value: T } | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, undefined);
  });
  const told = answer.then(
    (value) => ({ value }),
    (error: unknown) => {
      if (isFault(error) && error.code === 'unavailable') return undefined;
      throw error;
    },
  );
  try {
    return await Promise.race([told, late]);
  } finally {
    clearTimeout(timer);
  }
}
