import { Fault } from '@vivarium/fault/fault';

export interface CurrencyOptions {
  readonly cache: { readonly changes: number };
  /** True while every service's lease is held. */
  readonly isLeased: () => boolean;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

/**
 * Says, just before a head is written, whether what was decided since the beginning still holds: false if there was any
 * news meanwhile, then it has to be decided again. Throws Fault('unavailable') if nobody can tell.
 */
export type IsCurrent = () => boolean;

// Without a lease a decision is as old as its first question. Paused in the middle, it could be of any age.
const UNLEASED_MS = 3_000;

/** Begins to watch, before the first fact of a decision is looked up. */
export function watch({ cache, isLeased, nowMs }: CurrencyOptions): IsCurrent {
  const [changes, begunMs] = [cache.changes, nowMs()];
  return () => {
    if (cache.changes !== changes) return false;
    if (nowMs() - begunMs < UNLEASED_MS || isLeased()) return true;
    throw new Fault(
      'unavailable',
      'This server cannot tell at the moment whether what it knows still holds. Try again.',
    );
  };
}
