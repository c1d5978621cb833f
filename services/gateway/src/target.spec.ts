import { parseTarget, UnknownHost } from './target.js';

const HOSTS = { web: 'v.test', conda: 'conda.v.test', pypi: 'pypi.v.test', api: 'api.v.test' };

describe('a request target', () => {
  it.each([
    // host, url, family, path, token
    ['v.test', '/', 'web', '/', undefined],
    ['V.Test', '/alice/foo', 'web', '/alice/foo', undefined],
    ['v.test', '/api', 'api', '/', undefined],
    ['v.test', '/api/user', 'api', '/user', undefined],
    ['v.test', '/apis', 'web', '/apis', undefined],
    ['api.v.test', '/', 'api', '/', undefined],
    ['api.v.test', '/user', 'api', '/user', undefined],
    ['api.v.test', '/t/x/user', 'api', '/t/x/user', undefined],
    ['v.test', '/conda', 'conda', '/', undefined],
    ['v.test', '/conda/alice/noarch/x', 'conda', '/alice/noarch/x', undefined],
    ['v.test', '/condas/alice', 'web', '/condas/alice', undefined],
    ['v.test', '/conda/t/tok/alice/x', 'conda', '/alice/x', 'tok'],
    ['v.test', '/t/tok/conda/alice/x', 'conda', '/alice/x', 'tok'],
    ['v.test', '/t/tok/alice/noarch/x', 'conda', '/alice/noarch/x', 'tok'],
    ['v.test', '/t/tok', 'conda', '/', 'tok'],
    ['v.test', '/t//alice/x', 'conda', '/alice/x', ''],
    ['v.test', '/pypi/t/tok/alice/simple/', 'pypi', '/alice/simple/', 'tok'],
    ['v.test', '/t/tok/pypi/alice/', 'pypi', '/alice/', 'tok'],
    // In both places only one is a token; the other is a path, and fails as one.
    ['v.test', '/t/one/pypi/t/two/alice/', 'pypi', '/t/two/alice/', 'one'],
    ['conda.v.test', '/t/tok/alice/x', 'conda', '/alice/x', 'tok'],
    ['pypi.v.test', '/alice/', 'pypi', '/alice/', undefined],
    ['pypi.v.test', '/pypi/alice/', 'pypi', '/pypi/alice/', undefined],
    ['v.test', '/t/a%2Fb/alice', 'conda', '/alice', 'a%2Fb'],
  ])('%s %s is %s %s', (host, url, family, path, pathToken) => {
    expect(parseTarget(host, url, HOSTS)).toMatchObject({ family, path, pathToken, query: '' });
  });

  it('keeps the query apart', () => {
    expect(parseTarget('v.test', '/api/search?a=/t/x', HOSTS)).toMatchObject({ path: '/search', query: '?a=/t/x' });
  });

  it.each([undefined, '', 'other.test', 'v.test.evil', 'v.test:80', 'a.conda.v.test'])(
    'refuses the host %s',
    (host) => {
      expect(() => parseTarget(host, '/', HOSTS)).toThrow(UnknownHost);
    },
  );

  it.each(['http://v.test/', '*', 'alice', '/a b', '/a#b', '/é', '/\u0000', `/${'x'.repeat(4_096)}`])(
    'refuses %j',
    (url) => {
      expect(() => parseTarget('v.test', url, HOSTS)).toThrow(expect.objectContaining({ code: 'invalid' }));
    },
  );
});
