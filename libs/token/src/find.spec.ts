import { randomBytes } from 'node:crypto';
import { tokensIn } from './find.js';
import { mintToken, tokenDigest } from './format.js';

const [one, two] = [mintToken(randomBytes), mintToken(randomBytes)];

describe('tokens in a text', () => {
  it.each([
    ['alone', one],
    ['with space around', ` ${one}\n`],
    ['in an address', `https://example.org/t/${one}/acme/noarch/repodata.json`],
    ['as a password', `https://__token__:${one}@example.org/pypi/acme/simple`],
    ['in a header', `Authorization: Bearer ${one}`],
    ['in a setting', `TOKEN="${one}"`],
    ['with more right behind it', `${one}0`],
    ['behind what only begins as one', `viv-${'a'.repeat(32)}-abc${one}`],
  ])('are found %s', (_where, text) => {
    expect(tokensIn(text)).toEqual([{ text: one, sha256: tokenDigest(one) }]);
  });

  it('are given once each, in their order', () => {
    expect(tokensIn(`${two} ${one} ${two}`).map(({ text }) => text)).toEqual([two, one]);
  });

  it.each([
    ['nothing', ''],
    ['a sentence', 'there is no token here'],
    ['one that is cut', one.slice(0, -1)],
    ['one in capitals', one.toUpperCase()],
    ['one with another checksum', `${one.slice(0, -1)}${one.endsWith('a') ? 'b' : 'a'}`],
    ['the secret of a session', `vis-${'a'.repeat(32)}`],
    ['a long text that resembles many', 'viv-'.repeat(50_000)],
  ])('are none in %s', (_what, text) => {
    expect(tokensIn(text)).toEqual([]);
  });
});
