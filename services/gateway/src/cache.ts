import { Fault } from '@vivarium/fault/fault';
import type { FactVersion } from '@vivarium/invalidation/invalidations';
import { LRUCache } from 'lru-cache';

/** What a load gives: a value, and what it depends on at which version, read in one snapshot. */
export interface Fact<T> {
  readonly value: T;
  readonly versions: readonly FactVersion[];
}

export interface Query<T> {
  readonly key: string;
  /** Services whose word the value rests on: without the lease of each nothing is answered from memory. */
  readonly services: readonly string[];
  readonly load: () => Promise<Fact<T>>;
  /** A stranger's "there is no such thing" must not push out what is in use. */
  readonly isAbsent?: (value: T) => boolean;
  /** Nor must what holds nothing, of which a stranger can ask for any number: an index under a label that nobody uses. */
  readonly isEmpty?: (value: T) => boolean;
  /** False for a value that is asked for each time. */
  readonly isKept?: (value: T) => boolean;
  /** Forget by age too: for what changes without being announced. */
  readonly maxAgeMs?: number;
}

interface Entry {
  readonly value: unknown;
  readonly services: readonly string[];
  readonly versions: readonly FactVersion[];
  readonly untilMs: number;
}

/** One value that is being asked for. */
class Flight {
  readonly services: readonly string[];
  promise: Promise<unknown> = Promise.resolve();
  /** When the question that is under way was sent. */
  askedMs = 0;
  /** After a gap in the news nobody may join, and the answer does not count: it may have been read from an older state. */
  isVoid = false;

  constructor(services: readonly string[]) {
    this.services = services;
  }
}

// Longer than any call to a service may take: an answer read before an invalidation cannot arrive after it was forgotten.
const REMEMBER_MS = 30_000;
const TRIES = 5;
// Without a lease no news need reach us, so who asks now must not be given what was read long before.
const JOIN_UNLEASED_MS = 500;

/**
 * Facts that other services own, kept until they say that a fact is older than a version. An answer that was on its way
 * when such news came is neither kept nor used: it is asked for again.
 */
export class FactCache {
  readonly #isLeased: (service: string) => boolean;
  readonly #nowMs: () => number;
  readonly #joinUnleasedMs: number;
  readonly #entries: LRUCache<string, Entry>;
  readonly #absences: LRUCache<string, Entry>;
  readonly #empties: LRUCache<string, Entry>;
  /** tag → keys that depend on it */
  readonly #keys = new Map<string, Set<string>>();
  /** key → the flight that may be joined */
  readonly #flights = new Map<string, Flight>();
  readonly #running = new Set<Flight>();
  readonly #news = new Map<string, { readonly version: number; readonly atMs: number }>();
  #changes = 0;

  constructor(options: {
    readonly isLeased: (service: string) => boolean;
    /** Monotonic milliseconds. */
    readonly nowMs: () => number;
    readonly maxEntries?: number;
    /** How long others may join a question that was asked without a lease; 500 ms unless given. */
    readonly joinUnleasedMs?: number;
  }) {
    this.#isLeased = options.isLeased;
    this.#nowMs = options.nowMs;
    this.#joinUnleasedMs = options.joinUnleasedMs ?? JOIN_UNLEASED_MS;
    const max = options.maxEntries ?? 200_000;
    const dispose = (entry: Entry, key: string): void => this.#unlink(entry, key);
    this.#entries = new LRUCache({ max, dispose });
    this.#absences = new LRUCache({ max: Math.max(1_000, max / 10), dispose });
    this.#empties = new LRUCache({ max: Math.max(1_000, max / 10), dispose });
  }

  /** The value at once if it is known, else a promise of it. */
  get<T>(query: Query<T>): T | Promise<T> {
    const entry = this.#entries.get(query.key) ?? this.#empties.get(query.key) ?? this.#absences.get(query.key);
    if (entry !== undefined && entry.untilMs > this.#nowMs() && query.services.every(this.#isLeased)) {
      return entry.value as T;
    }
    return this.#join(query);
  }

  /** A value in memory, whether or not a lease is held; never one that says that something is absent. */
  remembered<T>({ key }: Pick<Query<T>, 'key'>): { readonly value: T } | undefined {
    const entry = this.#entries.get(key) ?? this.#empties.get(key);
    return entry === undefined ? undefined : { value: entry.value as T };
  }

  /** Drops what is older than these versions, and remembers them for answers that are still on their way. */
  forget(facts: readonly FactVersion[]): void {
    this.#changes++;
    const atMs = this.#nowMs();
    for (const { tag, version } of facts) {
      const known = this.#news.get(tag);
      // Deleted first, so that the map stays in the order of time.
      this.#news.delete(tag);
      this.#news.set(tag, { version: Math.max(version, known?.version ?? version), atMs });
      for (const key of [...(this.#keys.get(tag) ?? [])]) this.#dropOlder(key, tag, version);
    }
    this.#trimNews(atMs);
  }

  /** Drops everything that rests on a service: after a gap in its news nobody knows what is old. */
  forgetService(service: string): void {
    this.#changes++;
    for (const cache of this.#caches()) {
      for (const [key, entry] of [...cache.entries()]) if (entry.services.includes(service)) cache.delete(key);
    }
    for (const flight of this.#running) if (flight.services.includes(service)) flight.isVoid = true;
  }

  /** Another number after any news: who decided before has to decide again before it acts. */
  get changes(): number {
    return this.#changes;
  }

  get size(): number {
    return this.#caches().reduce((sum, { size }) => sum + size, 0);
  }

  #caches(): readonly LRUCache<string, Entry>[] {
    return [this.#entries, this.#empties, this.#absences];
  }

  #join<T>(query: Query<T>): Promise<T> {
    const flight = this.#flights.get(query.key);
    if (flight !== undefined && this.#mayJoin(flight)) return flight.promise as Promise<T>;
    const started = new Flight(query.services);
    this.#flights.set(query.key, started);
    this.#running.add(started);
    const promise = this.#load(query, started);
    started.promise = promise;
    const done = (): void => {
      this.#running.delete(started);
      if (this.#flights.get(query.key) === started) this.#flights.delete(query.key);
    };
    promise.then(done, done);
    return promise;
  }

  #mayJoin({ isVoid, services, askedMs }: Flight): boolean {
    if (isVoid) return false;
    return services.every(this.#isLeased) || this.#nowMs() - askedMs < this.#joinUnleasedMs;
  }

  async #load<T>(query: Query<T>, flight: Flight): Promise<T> {
    for (let tries = 1; ; tries++) {
      flight.askedMs = this.#nowMs();
      flight.isVoid = false;
      const fact = await query.load();
      if (!flight.isVoid && !this.#isOld(fact.versions)) {
        if (query.isKept?.(fact.value) !== false) this.#keep(query, fact);
        return fact.value;
      }
      if (tries === TRIES) throw new Fault('unavailable', 'This is changing too fast to be read. Try again.');
    }
  }

  #keep<T>(query: Query<T>, fact: Fact<T>): void {
    const cache = this.#cacheFor(query, fact.value);
    for (const other of this.#caches()) if (other !== cache) other.delete(query.key);
    const untilMs = query.maxAgeMs === undefined ? Number.POSITIVE_INFINITY : this.#nowMs() + query.maxAgeMs;
    cache.set(query.key, { value: fact.value, services: query.services, versions: fact.versions, untilMs });
    for (const { tag } of fact.versions) {
      const keys = this.#keys.get(tag) ?? new Set();
      keys.add(query.key);
      this.#keys.set(tag, keys);
    }
  }

  #cacheFor<T>(query: Query<T>, value: T): LRUCache<string, Entry> {
    if (query.isAbsent?.(value) === true) return this.#absences;
    return query.isEmpty?.(value) === true ? this.#empties : this.#entries;
  }

  #isOld(versions: readonly FactVersion[]): boolean {
    return versions.some(({ tag, version }) => (this.#news.get(tag)?.version ?? -1) > version);
  }

  #dropOlder(key: string, tag: string, version: number): void {
    for (const cache of this.#caches()) {
      const has = cache.peek(key)?.versions.find((each) => each.tag === tag);
      if (has !== undefined && has.version < version) cache.delete(key);
    }
  }

  #trimNews(nowMs: number): void {
    for (const [tag, { atMs }] of this.#news) {
      if (nowMs - atMs < REMEMBER_MS) break;
      this.#news.delete(tag);
    }
  }

  #unlink(entry: Entry, key: string): void {
    for (const { tag } of entry.versions) {
      const keys = this.#keys.get(tag);
      keys?.delete(key);
      if (keys?.size === 0) this.#keys.delete(tag);
    }
  }
}
