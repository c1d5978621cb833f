import { randomBytes } from 'node:crypto';
import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { isTokenShaped, mintToken, parseToken, TOKEN_PATTERN, tokenDigest } from './format.js';

const GOLDEN = 'viv-abcdefghijklmnopqrstuvwxyz012345-';
const seeded = (byte: number) => (sizeBytes: number) => new Uint8Array(sizeBytes).fill(byte);

describe('mintToken', () => {
  it('gives a token that parses, of the alphabet that conda admits in a path', () => {
    for (let i = 0; i < 200; i++) {
      const text = mintToken(randomBytes);
      expect(text).toMatch(/^viv-[a-z0-9]{32}-[a-z0-9]{6}$/);
      expect(parseToken(text)).toEqual({ text, sha256: tokenDigest(text) });
    }
  });

  it('is a pure function of its randomness', () => {
    expect(mintToken(seeded(1))).toBe(mintToken(seeded(1)));
    expect(mintToken(seeded(1)).slice(4, 36)).toBe('b'.repeat(32));
    const ramp = (sizeBytes: number) => Uint8Array.from({ length: sizeBytes }, (_, i) => i);
    expect(mintToken(ramp).slice(0, 37)).toBe(GOLDEN);
  });

  it('throws bytes away that would favour the first letters', () => {
    let draws = 0;
    const text = mintToken((sizeBytes) => new Uint8Array(sizeBytes).fill(draws++ === 0 ? 255 : 35));
    expect(text.slice(4, 36)).toBe('9'.repeat(32));
    expect(draws).toBe(2);
  });

  it('draws every character equally often', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 4000; i++) {
      for (const letter of mintToken(randomBytes).slice(4, 36)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }
    expect(counts.size).toBe(36);
    const expected = (4000 * 32) / 36;
    const chiSquare = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // 35 degrees of freedom: above 100 once in 10^8 if unbiased; taking the byte modulo 36 gives about 370.
    expect(chiSquare).toBeLessThan(100);
  });

  it('gives up on a source that never gives a usable byte', () => {
    expect(() => mintToken(seeded(255))).toThrow('randomness is broken');
    expect(() => mintToken(() => new Uint8Array(0))).toThrow('randomness is broken');
  });
});

describe('parseToken', () => {
  const good = mintToken(seeded(7));

  it.each([
    ['nothing', ''],
    ['a word', 'hello'],
    ['a token cut at the end', good.slice(0, -1)],
    ['a token cut at the start', good.slice(1)],
    ['a space before', ` ${good}`],
    ['a newline after', `${good}\n`],
    ['upper case', good.toUpperCase()],
    ['another prefix', good.replace('viv', 'pyp')],
    ['another checksum', `${good.slice(0, -6)}aaaaaa`],
    ['a letter of another alphabet', good.replace('h', 'һ')],
    ['something very long', 'viv-'.repeat(100_000)],
  ])('refuses %s and does not repeat it', (_, text) => {
    try {
      parseToken(text);
      throw new Error('was parsed');
    } catch (error) {
      expect(isFault(error) && [error.code, error.message]).toEqual([
        'unauthenticated',
        'this token is malformed; check that it was copied whole',
      ]);
    }
  });

  it('finds every single mistyped character and every swap of two neighbours', () => {
    const token = fc
      .uint8Array({ minLength: 64, maxLength: 64 })
      .map((bytes) => mintToken(() => bytes.map((b) => b % 252)));
    fc.assert(
      fc.property(token, fc.nat(41), fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'), (text, at, letter) => {
        const typo = text.slice(0, at) + letter + text.slice(at + 1);
        if (typo !== text) expect(() => parseToken(typo)).toThrow('malformed');
        const swap = text.slice(0, at) + text.charAt(at + 1) + text.charAt(at) + text.slice(at + 2);
        if (swap !== text) expect(() => parseToken(swap)).toThrow('malformed');
      }),
    );
  });

  it('keeps the checksum that tokens already in the world carry', () => {
    expect(mintToken(seeded(0))).toBe('viv-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-48e63f');
  });
});

describe('the form of a token', () => {
  it('is told without its checksum, and twice alike', () => {
    const text = `${GOLDEN}000000`;
    expect([isTokenShaped(text), isTokenShaped(text), TOKEN_PATTERN.test(text)]).toEqual([true, true, true]);
    expect(isTokenShaped(`x${text}`)).toBe(false);
  });

  it('is digested by SHA-256', () => {
    expect(tokenDigest('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
