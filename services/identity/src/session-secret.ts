const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
const LENGTH = 32;

/**
 * A new session secret, `vis-` and 32 characters, with 165 bits of the given randomness. The prefix tells it from a token, in
 * whose place it never counts.
 */
export function mintSessionSecret(random: (sizeBytes: number) => Uint8Array): string {
  return `vis-${randomText(random, ALPHABET, LENGTH)}`;
}

/** Text of that many characters, each of them equally likely. */
export function randomText(random: (sizeBytes: number) => Uint8Array, alphabet: string, length: number): string {
  // Bytes from here on are thrown away, else the first characters of the alphabet would come more often.
  const unbiasedBelow = 256 - (256 % alphabet.length);
  let text = '';
  while (text.length < length) {
    for (const byte of random(length - text.length)) {
      if (byte < unbiasedBelow) text += alphabet.charAt(byte % alphabet.length);
    }
  }
  return text;
}
