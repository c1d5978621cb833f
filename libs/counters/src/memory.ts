import { boundedKey, type Counters, type Verdict, verdictOf } from './counters.js';

interface Window {
  count: number;
  readonly endsAtMs: number;
}

export interface MemoryCountersOptions {
  /** A clock that never runs backwards, in ms. */
  readonly nowMs?: () => number;
  /** At most so many keys are remembered. */
  readonly maxKeys?: number;
}

/** How many of the keys longest untouched by eviction are compared when one has to go. */
const CANDIDATES = 16;

/** Counters of this process alone. Takes at most about 20 MB; when full, keys with few hits are forgotten first. */
export function openMemoryCounters(options: MemoryCountersOptions = {}): Counters {
  return new MemoryCounters(options.nowMs ?? (() => performance.now()), options.maxKeys ?? 100_000);
}

class MemoryCounters implements Counters {
  private readonly windows = new Map<string, Window>();

  constructor(
    private readonly nowMs: () => number,
    private readonly maxKeys: number,
  ) {}

  async hit(key: string, windowSeconds: number, limit: number): Promise<Verdict> {
    const now = this.nowMs();
    const bounded = boundedKey(key);
    const current = this.windows.get(bounded);
    if (current !== undefined && current.endsAtMs > now) {
      current.count++;
      return verdictOf(current.count, limit, current.endsAtMs - now);
    }
    this.windows.delete(bounded);
    if (this.windows.size >= this.maxKeys) this.evict(now);
    this.windows.set(bounded, { count: 1, endsAtMs: now + windowSeconds * 1000 });
    return verdictOf(1, limit, windowSeconds * 1000);
  }

  async reset(key: string): Promise<void> {
    this.windows.delete(boundedKey(key));
  }

  async check(): Promise<void> {}

  async close(): Promise<void> {
    this.windows.clear();
  }

  // Whoever sprays keys to push out the counter that stops him finds that his sprayed keys go first.
  private evict(now: number): void {
    let victim: { key: string; count: number } | undefined;
    const candidates: [string, Window][] = [];
    for (const entry of this.windows) {
      if (candidates.push(entry) === CANDIDATES) break;
    }
    for (const [key, window] of candidates) {
      const count = window.endsAtMs > now ? window.count : 0;
      if (victim === undefined || count < victim.count) victim = { key, count };
      // To the back, so that the next eviction looks at others.
      this.windows.delete(key);
      this.windows.set(key, window);
    }
    if (victim !== undefined) this.windows.delete(victim.key);
  }
}
