import { randomBytes } from 'node:crypto';
import { mintToken, tokenDigest } from '@vivarium/token/format';
import { parseLeakReport } from './leak-report.js';

const [one, two] = [mintToken(randomBytes), mintToken(randomBytes)];
const encoded = (text: string) => text.replace(/./g, (letter) => `%${letter.charCodeAt(0).toString(16)}`);

const said = (body: unknown): string => {
  try {
    parseLeakReport(body);
    return 'nothing';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};
const digestsIn = (body: unknown) => parseLeakReport(body).leaked.map(({ tokenSha256 }) => tokenSha256.toString('hex'));
const placeOf = (place: object) => {
  const [leaked] = parseLeakReport([{ token: one, ...place }]).leaked;
  return { url: leaked?.url, source: leaked?.source };
};

describe('a report of leaked tokens', () => {
  it('is a list as scanners send it, or the same in an object', () => {
    const entry = { token: one, type: 'vivarium_token', url: 'https://code.example/a/b#L3', source: 'content' };
    const expected = {
      leaked: [
        { tokenSha256: Buffer.from(tokenDigest(one), 'hex'), url: 'https://code.example/a/b#L3', source: 'content' },
      ],
      received: 1,
      malformed: [],
    };
    expect(parseLeakReport([entry])).toEqual(expected);
    expect(parseLeakReport({ tokens: [{ ...entry, confidence: 1 }], scanner: 'any' })).toEqual(expected);
  });

  it('may hold texts with tokens in them, and gives each token once, with where it was found first', () => {
    const body = [
      { token: `https://example.org/t/${one}/acme/noarch`, source: 'first' },
      { token: `A=${two}\nB=${one}\n`, source: 'second' },
    ];
    expect(parseLeakReport(body).leaked.map(({ source }) => source)).toEqual(['first', 'second']);
    expect(digestsIn(body)).toEqual([tokenDigest(one), tokenDigest(two)]);
  });

  it('says which entries hold no token, if any does', () => {
    const cut = two.slice(0, -1);
    const { received, malformed } = parseLeakReport([{ token: cut }, { token: one }, { token: 'password' }]);
    expect([received, malformed]).toEqual([3, [0, 2]]);
    expect(said([{ token: cut }])).toMatch(
      /^None of this is a token of this server: .* Check that it was copied whole\.$/,
    );
  });

  it.each([
    ['nothing', undefined, 'Send a list'],
    ['an empty list', [], 'Send a list'],
    ['a text', one, 'Send a list'],
    ['an object without a list', { token: one }, 'Send a list'],
    ['a list of texts', [one], 'tokens[0] must be an object'],
    ['null', [{ token: one }, null], 'tokens[1] must be an object'],
    ['a missing token', [{ url: 'https://x.example' }], 'tokens[0].token is missing'],
    ['a number', [{ token: 7 }], 'tokens[0].token must be a text of at most 1,000 characters.'],
    ['a long text', [{ token: one + 'x'.repeat(1_000) }], 'tokens[0].token must be a text of at most 1,000'],
    ['a long url', [{ token: one, url: `https://x.example/${one}${'x'.repeat(2_000)}` }], 'at most 2,000 characters'],
    ['a long source', [{ token: one, source: one.repeat(3) }], 'tokens[0].source must be a text of at most 100'],
    ['an address of a script', [{ token: one, url: `javascript:${one}` }], 'begins with https:// or http://'],
    ['an address of a file', [{ token: one, url: `file:///${one}` }], 'begins with https:// or http://'],
    ['no address', [{ token: one, url: one }], 'tokens[0].url must be an address'],
    ['101 entries', Array.from({ length: 101 }, () => ({ token: one })), 'at most 100 tokens at once; these are 101'],
    [
      '101 tokens in few texts',
      Array.from({ length: 6 }, () => ({
        token: Array.from({ length: 17 }, () => mintToken(randomBytes)).join(' '),
      })),
      'at most 100 tokens at once; these are 102',
    ],
  ])('is refused for %s, without repeating it', (_what, body, sentence) => {
    expect(said(body)).toContain(sentence);
    expect(said(body)).not.toMatch(/viv-[a-z0-9]{8}/);
  });

  it('takes no value of what all objects have', () => {
    const body = JSON.parse(`[{"token":"${one}","__proto__":{"url":"nonsense"}}]`);
    expect(parseLeakReport(body).leaked).toHaveLength(1);
    expect(said(Object.create({ tokens: [{ token: one }] }))).toContain('Send a list');
  });

  it.each([
    ['nothing', undefined, ''],
    ['null', null, ''],
    ['an empty text, as scanners send it', '', ''],
    ['an address', 'https://code.example/a?q=1#L3', 'https://code.example/a?q=1#L3'],
    ['a password', `https://__token__:${two}@code.example/a`, 'https://code.example/a'],
    ['another password', 'https://me:hunter22@code.example/a', 'https://code.example/a'],
    ['the token', `http://vivarium.example/t/${one}/acme/noarch/`, 'http://vivarium.example/t/<token>/acme/noarch/'],
    ['the token in capitals', `https://x.example/?q=${one.toUpperCase()}`, 'https://x.example/?q=<token>'],
    ['the token, encoded', `https://x.example/${encoded(one)}/y`, 'https://x.example'],
    ['the token, encoded twice', `https://x.example/?q=${encoded(encoded(one))}`, 'https://x.example'],
    ['what is encoded too often to be looked at', 'https://x.example/%25252525252541', 'https://x.example'],
    ['lines and signs', 'https://x.example/a\nb\u202e', 'https://x.example/ab%E2%80%AE'],
    ['the token as a host', `https://${one}.example/a`, 'https://<token>.example/a'],
  ])('keeps of %s what may be kept', (_what, url, kept) => {
    expect(placeOf({ url }).url).toBe(kept);
  });

  it.each([
    ['commit\r\nX: y', 'commit  X: y'],
    [`a log with ${one}`, 'a log with <token>'],
    [null, ''],
  ])('keeps of the source %j what may be kept', (source, kept) => {
    expect(placeOf({ source }).source).toBe(kept);
  });
});
