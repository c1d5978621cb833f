import { createHash } from 'node:crypto';

/**
 * Counts events per key in windows of time, to limit rates. A key's window begins with its first hit and ends
 * `windowSeconds` later, however many hits come; the next hit begins a new one.
 */
export interface Counters {
  /**
   * Counts one event and says whether it is among the first `limit` of its window. Never throws: when the shared store is
   * away, the events of this process alone are counted. Give a key one window length and one limit; never put a secret in a key.
   */
  hit(key: string, windowSeconds: number, limit: number): Promise<Verdict>;
  /** Forgets a key, as after a successful login. */
  reset(key: string): Promise<void>;
  /** Throws Fault('unavailable') with an operator's remedy unless the store can be used now. */
  check(): Promise<void>;
  /** Lets go of connections. Nothing may be called afterwards. */
  close(): Promise<void>;
}

export interface Verdict {
  readonly allowed: boolean;
  /** How many more would be allowed in this window. */
  readonly remaining: number;
  /** Whole seconds until the window ends, at least 1; 0 if allowed. For a `Retry-After` header. */
  readonly retryAfterSeconds: number;
}

/** The verdict on the `count`-th hit of a window that has `leftMs` to run. */
export function verdictOf(count: number, limit: number, leftMs: number): Verdict {
  if (count <= limit) return { allowed: true, remaining: limit - count, retryAfterSeconds: 0 };
  return { allowed: false, remaining: 0, retryAfterSeconds: Math.max(1, Math.ceil(leftMs / 1000)) };
}

/** The key itself, or its hash if it is long: callers make keys of what strangers send. */
export function boundedKey(key: string): string {
  return key.length <= 128 ? key : `sha256:${createHash('sha256').update(key).digest('hex')}`;
}
