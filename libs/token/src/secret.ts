import { hkdfSync } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';

const SECRET_LENGTH_MIN = 32;
// Random text of 32 hexadecimal digits has fewer than 7 different ones less than once in 10^9; a placeholder often has.
const DISTINCT_MIN = 7;
const KEY_SIZE_BYTES = 32;

/**
 * A key of 32 bytes for one purpose from the installation's secret, by HKDF-SHA256: keys of two purposes tell nothing
 * about each other. White space around a text secret does not count, as files end with a newline and variables do not.
 * Throws Fault('invalid') for a secret under 32 characters (or bytes), for one that repeats a few, for an empty purpose.
 * Source: RFC 5869.
 */
export function deriveKey(secret: Uint8Array | string, purpose: string): Uint8Array {
  const bytes = typeof secret === 'string' ? Buffer.from(secret.trim(), 'utf8') : secret;
  const length = typeof secret === 'string' ? [...secret.trim()].length : secret.length;
  if (length < SECRET_LENGTH_MIN) {
    throw new Fault(
      'invalid',
      `the secret has ${length} characters and needs at least ${SECRET_LENGTH_MIN}; make one with \`openssl rand -hex 32\``,
    );
  }
  if (new Set(bytes).size < DISTINCT_MIN) {
    throw new Fault('invalid', 'the secret repeats a few characters; make one with `openssl rand -hex 32`');
  }
  if (purpose === '') throw new Fault('invalid', 'a key needs a purpose');
  return new Uint8Array(hkdfSync('sha256', bytes, 'vivarium', purpose, KEY_SIZE_BYTES));
}
