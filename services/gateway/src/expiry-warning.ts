import type { ServerResponse } from 'node:http';

/** A token that ends sooner is warned of. */
export const EXPIRY_WARNING_MS = 14 * 86_400_000;
const DAY_MS = 86_400_000;

/** Something with a head that is not written yet. */
export type Head = Pick<ServerResponse, 'setHeader' | 'headersSent'>;

/**
 * Adds `Conda-Token-Warning`, which clients print as it is, if the token ends within 14 days. It depends on nothing but
 * the credential, so it tells nothing of what is asked for.
 */
export function warnOfExpiry(
  head: Head | undefined,
  token: { readonly name: string; readonly expiresAtMs: number },
  nowMs: number,
): void {
  const leftMs = token.expiresAtMs - nowMs;
  if (head === undefined || head.headersSent || leftMs > EXPIRY_WARNING_MS || leftMs <= 0) return;
  head.setHeader('Conda-Token-Warning', warningOf(token, leftMs));
}

function warningOf({ name, expiresAtMs }: { readonly name: string; readonly expiresAtMs: number }, leftMs: number) {
  const days = Math.floor(leftMs / DAY_MS);
  const left = days > 1 ? `in ${days} days` : days === 1 ? 'in one day' : 'within a day';
  const on = new Date(expiresAtMs).toISOString().slice(0, 10);
  // A header holds ASCII only, whatever somebody named the token.
  const shown = name.replace(/[^ -~]/g, '?').replace(/"/g, "'");
  return `The token "${shown}" expires ${left}, on ${on}. Make a new one with "anaconda auth --create" in time.`;
}
