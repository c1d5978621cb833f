import { createHash, randomBytes } from 'node:crypto';
import { mintToken } from '@vivarium/token/format';
import { credentialOf, type Place, type Shown } from './credential.js';

const [ONE, TWO] = [mintToken(randomBytes), mintToken(randomBytes)];
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const token = (text: string) => ({ kind: 'token', sha256: sha256(text) });
const session = (text: string) => ({ kind: 'session', sha256: sha256(text) });
const password = { kind: 'password', login: 'alice', password: 'p:w' };
const NONE = { kind: 'none' };
const NOTHING: Shown = { pathToken: undefined, authorization: undefined, cookie: undefined };

describe('the credential that counts', () => {
  it.each<[string, Partial<Shown>, Place, object | string]>([
    ['nothing', {}, 'api', NONE],
    ['an empty header', { authorization: '' }, 'repository', NONE],
    ['a token in the path', { pathToken: ONE }, 'repository', token(ONE)],
    ['token <token>', { authorization: `token ${ONE}` }, 'repository', token(ONE)],
    ['Bearer <token>', { authorization: `Bearer ${ONE}` }, 'api', token(ONE)],
    ['bearer, in small letters', { authorization: `bearer  ${ONE} ` }, 'api', token(ONE)],
    ['Basic with __token__', { authorization: basic('__token__', ONE) }, 'repository', token(ONE)],
    ['Basic with a token as its password', { authorization: basic('alice', ONE) }, 'repository', token(ONE)],
    ['Basic with a token as its user', { authorization: basic(ONE, '') }, 'repository', token(ONE)],
    [
      'a path token, with a .netrc beside it',
      { pathToken: ONE, authorization: basic('bob', 'x') },
      'repository',
      token(ONE),
    ],
    ['the same token twice', { pathToken: ONE, authorization: `token ${ONE}` }, 'repository', token(ONE)],
    ['two tokens', { pathToken: ONE, authorization: `token ${TWO}` }, 'repository', 'invalid'],
    ['two tokens, one in Basic', { pathToken: ONE, authorization: basic('__token__', TWO) }, 'repository', 'invalid'],
    ['a path token and half of one', { pathToken: ONE, authorization: 'token half' }, 'repository', token(ONE)],
    ['a malformed path token', { pathToken: 'viv-x' }, 'repository', 'unauthenticated'],
    [
      'a malformed path token beside a good one',
      { pathToken: 'x', authorization: `token ${ONE}` },
      'api',
      'unauthenticated',
    ],
    ['a mistyped token', { authorization: `token ${ONE.slice(0, -1)}!` }, 'api', 'unauthenticated'],
    [
      'a token with a wrong checksum',
      { authorization: `token ${TWO.slice(0, -6)}${ONE.slice(-6)}` },
      'api',
      'unauthenticated',
    ],
    ['__token__ with a password', { authorization: basic('__token__', 'x') }, 'login', 'unauthenticated'],
    ['an unknown scheme', { authorization: 'Digest x' }, 'api', 'unauthenticated'],
    ['no scheme', { authorization: ONE }, 'api', 'unauthenticated'],
    ['a password where one may be', { authorization: basic('alice', 'p:w') }, 'login', password],
    ['a password in the API', { authorization: basic('alice', 'p:w') }, 'api', 'unauthenticated'],
    ['a password in a repository', { authorization: basic('alice', 'p:w') }, 'repository', 'unauthenticated'],
    ['a cookie in the API', { cookie: 'a=b; vivarium=vis-1; c=d' }, 'api', session('vis-1')],
    ['a cookie of https', { cookie: '__Host-vivarium=vis-1', overHttps: true }, 'api', session('vis-1')],
    ['a cookie that anybody could have set', { cookie: 'vivarium=vis-1', overHttps: true }, 'api', NONE],
    ['both cookies', { cookie: 'vivarium=evil; __Host-vivarium=vis-1', overHttps: true }, 'api', session('vis-1')],
    ['a cookie in a repository', { cookie: 'vivarium=vis-1' }, 'repository', NONE],
    ['an empty cookie', { cookie: 'vivarium=' }, 'api', NONE],
    ['a token beside a cookie', { authorization: `token ${ONE}`, cookie: 'vivarium=vis-1' }, 'api', token(ONE)],
  ])('of %s', (_what, shown, place, expected) => {
    const read = () => credentialOf({ ...NOTHING, ...shown }, place);
    if (typeof expected === 'string') expect(read).toThrow(expect.objectContaining({ code: expected }));
    else expect(read()).toEqual(expected);
  });

  it('is never repeated in a refusal', () => {
    for (const shown of [
      { pathToken: 'viv-secret' },
      { authorization: 'token viv-secret' },
      { authorization: basic('a', 'viv-secret') },
    ]) {
      expect(() => credentialOf({ ...NOTHING, ...shown }, 'repository')).not.toThrow(/viv-secret/);
    }
  });
});
