import { createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { deriveKey } from './secret.js';

const SECRET = 'correct horse battery staple, and more';

describe('deriveKey', () => {
  it('follows RFC 5869 with the salt `vivarium` and the purpose as info', () => {
    const extracted = createHmac('sha256', 'vivarium').update(SECRET).digest();
    const expanded = createHmac('sha256', extracted).update('tickets').update(Uint8Array.of(1)).digest();
    expect(Buffer.from(deriveKey(SECRET, 'tickets'))).toEqual(expanded);
  });

  it('gives every purpose and every secret another key, the same each time', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
        const [first, second] = [deriveKey(SECRET, one), deriveKey(SECRET, other)];
        expect(first.length).toBe(32);
        expect(Buffer.compare(first, second) === 0).toBe(one === other);
        expect(Buffer.compare(first, deriveKey(`${SECRET}!`, one))).not.toBe(0);
      }),
    );
  });

  it('takes a text and its bytes for the same secret, and no notice of a newline at its end', () => {
    expect(deriveKey(`${SECRET}\n`, 'x')).toEqual(deriveKey(Buffer.from(SECRET), 'x'));
  });

  it('takes what `openssl rand -hex 16` gives', () => {
    for (let i = 0; i < 500; i++) expect(deriveKey(randomBytes(16).toString('hex'), 'x').length).toBe(32);
  });

  it.each([
    ['a short text', 'x'.repeat(31), 'has 31 characters and needs at least 32'],
    ['few characters of many bytes', '€'.repeat(12), 'has 12 characters'],
    ['spaces', ' '.repeat(64), 'has 0 characters'],
    ['few bytes', randomBytes(16), 'needs at least 32'],
    ['zeros', new Uint8Array(32), 'repeats a few characters'],
    ['one word again and again', 'change'.repeat(8), 'repeats a few characters'],
  ])('refuses %s', (_, secret, sentence) => {
    expect(() => deriveKey(secret, 'x')).toThrow(sentence);
  });

  it('refuses a key without a purpose', () => {
    expect(() => deriveKey(SECRET, '')).toThrow('purpose');
  });
});
