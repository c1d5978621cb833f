import { setTimeout as pause } from 'node:timers/promises';
import { isFault } from '@vivarium/fault/fault';

const PAUSE_MS = 500;

/**
 * Asks again what was not answered, until `limitMs` have passed: for calls that answer the same when they are repeated. A
 * process that dies in the middle would else be waited for until the very end, by a client that does not ask twice.
 * Throws what the last try threw, and at once what is no matter of waiting.
 */
export async function patiently<T>(
  limits: { readonly tryMs: number; readonly limitMs: number },
  call: (timeoutMs: number) => Promise<T>,
): Promise<T> {
  const until = performance.now() + limits.limitMs;
  for (;;) {
    const leftMs = until - performance.now();
    try {
      return await call(Math.max(1, Math.min(limits.tryMs, leftMs)));
    } catch (error) {
      const isWorthWaiting = isFault(error) && error.code === 'unavailable';
      if (!isWorthWaiting || until - performance.now() <= PAUSE_MS) throw error;
      await pause(PAUSE_MS);
    }
  }
}
