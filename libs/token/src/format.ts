import { createHash } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';

/**
 * One whole token: `viv-`, 32 random characters, `-`, 6 of checksum. Lower case letters, digits and hyphens only, because
 * the `/t/<token>` grammars of conda and rattler take nothing else; the prefix lets secret scanners recognise it.
 */
export const TOKEN_PATTERN = /^viv-[a-z0-9]{32}-[a-z0-9]{6}$/;

export interface ParsedToken {
  readonly text: string;
  /** SHA-256 of the text in lower case hex: all that is ever stored or sent between services. */
  readonly sha256: string;
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
const SECRET_LENGTH = 32;
const CHECKSUM_LENGTH = 6;
// The largest multiple of 36 in a byte: bytes above it are thrown away, else the first letters would come more often.
const UNBIASED_BELOW = 252;
const DRAWS_LIMIT = 100;

/**
 * A new token, `viv-<32>-<6>`, with 165 bits of the given randomness (`random(n)` gives n bytes).
 * Throws Fault('internal') if the source gives no usable bytes.
 */
export function mintToken(random: (sizeBytes: number) => Uint8Array): string {
  let secret = '';
  for (let draw = 0; draw < DRAWS_LIMIT && secret.length < SECRET_LENGTH; draw++) {
    for (const byte of random(SECRET_LENGTH - secret.length)) {
      if (byte < UNBIASED_BELOW && secret.length < SECRET_LENGTH) secret += ALPHABET.charAt(byte % ALPHABET.length);
    }
  }
  if (secret.length < SECRET_LENGTH) throw new Fault('internal', 'The source of randomness is broken.');
  return `viv-${secret}-${checksumOf(secret)}`;
}

/**
 * The token and its digest, after its checksum was verified: no look-up is spent on a mistyped or cut one.
 * Throws Fault('unauthenticated') for anything else, without repeating the text.
 */
export function parseToken(text: string): ParsedToken {
  if (!isToken(text)) {
    throw new Fault('unauthenticated', 'this token is malformed; check that it was copied whole');
  }
  return { text, sha256: tokenDigest(text) };
}

/** True for a whole token, the checksum included; whether there is such a token it does not say. */
export function isToken(text: string): boolean {
  return isTokenShaped(text) && checksumOf(text.slice(4, 4 + SECRET_LENGTH)) === text.slice(-CHECKSUM_LENGTH);
}

/** True for a text of the form of a token, whatever its checksum. */
export function isTokenShaped(text: string): boolean {
  return TOKEN_PATTERN.test(text);
}

/** SHA-256 of the text, lower case hex. A plain hash is enough: a token has more entropy than can be searched. */
export function tokenDigest(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}

// The checksum finds accidents; it is no secret and proves nothing.
function checksumOf(secret: string): string {
  let rest = createHash('sha256').update(`viv-${secret}`, 'utf8').digest().readUIntBE(0, 6);
  let checksum = '';
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    checksum += ALPHABET.charAt(rest % ALPHABET.length);
    rest = Math.floor(rest / ALPHABET.length);
  }
  return checksum;
}

export { redactTokens } from './redact.js';
