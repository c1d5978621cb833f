import { randomBytes } from 'node:crypto';
import { findSecrets } from './find-secrets.js';

const SECRET = 'pass/word+with ünusual "signs"';

describe('the search for secrets', () => {
  it.each([
    ['plain', `x${SECRET}y`],
    ['in JSON', JSON.stringify({ a: `b${SECRET}c` })],
    ['percent-encoded', `/t/${encodeURIComponent(SECRET)}/x`],
    ['percent-encoded in lower case', `?q=${encodeURIComponent(SECRET).toLowerCase()}&b`],
    ['in base64', Buffer.from(SECRET).toString('base64')],
    ['in the base64 of a Basic header', `Basic ${Buffer.from(`a:${SECRET}`).toString('base64')}`],
    ['in the base64 of a longer text', Buffer.from(`login:${SECRET} and more`).toString('base64url')],
    ['in hexadecimal', `\\x00${Buffer.from(SECRET).toString('hex')}ff`],
    ['cut', `${SECRET.slice(0, 16)}…`],
  ])('finds one that stands %s', (_, text) => {
    const known = new Map([
      [SECRET, 'the password'],
      ['another secret of this run', 'another'],
    ]);
    expect(findSecrets(known, [{ source: 'log', text }])).toEqual([
      { name: 'the password', source: 'log', before: expect.any(String) },
    ]);
  });

  it('finds any random one in any alignment of base64, and nothing where there is none', () => {
    for (let round = 0; round < 300; round++) {
      const secret = randomBytes(12).toString(round % 2 === 0 ? 'hex' : 'base64');
      const known = new Map([[secret, 'it']]);
      const [before, after] = [randomBytes(round % 7), randomBytes(round % 5)];
      const text = Buffer.concat([before, Buffer.from(secret), after]).toString('base64');
      expect([secret, text, findSecrets(known, [{ source: 's', text }]).length]).toEqual([secret, text, 1]);
      const other = [{ source: 's', text: randomBytes(64).toString('base64') }];
      expect(findSecrets(known, other)).toEqual([]);
    }
  });
});
