import { randomBytes } from 'node:crypto';
import { randomText } from './session-secret.js';

// No two characters of it look alike, as somebody may type it from a screen.
const ALPHABET = 'abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679';
const LENGTH = 24;

/** A password that nobody has to invent, without characters that look alike. */
export function generatePassword(): string {
  return randomText(randomBytes, ALPHABET, LENGTH);
}
