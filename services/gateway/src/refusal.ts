import { isFault } from '@vivarium/fault/fault';

/**
 * True if another service said no. False where nobody can say whether it was done: an answer was late, or the process that
 * owed it died. What the answer would have been about may be needed then.
 */
export function isRefusal(error: unknown): boolean {
  return isFault(error) && error.code !== 'unavailable' && error.code !== 'internal';
}
