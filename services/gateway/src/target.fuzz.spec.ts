import { randomBytes } from 'node:crypto';
import { parseCondaPath, printCondaPath } from '@vivarium/conda/path';
import { isKnownSubdir, KNOWN_SUBDIRS } from '@vivarium/conda/subdir';
import { Fault } from '@vivarium/fault/fault';
import { mintToken } from '@vivarium/token/format';
import fc from 'fast-check';
import { looksLikeConda } from './conda.js';
import { credentialOf } from './credential.js';
import { type Hosts, parseTarget, type Target } from './target.js';

const HOSTS: Hosts = { web: 'v.test', conda: 'conda.v.test', pypi: 'pypi.v.test', api: 'api.v.test' };

const token = fc.constantFrom(...Array.from({ length: 20 }, () => mintToken(randomBytes)));
const word = fc.oneof(
  fc.constantFrom('alice', 'conda', 'pypi', 'api', 't', 'label', 'simple', 'files', 'noarch', 'legacy', 'shards', '-'),
  fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,10}$/),
  fc.constantFrom('%2f', '%2e%2e', '..', '', '%25', ';x', 'ALICE', '%74', 'repodata.json', 'foo-1-0.conda'),
);
const path = fc.array(word, { maxLength: 7 }).map((words) => `/${words.join('/')}`);
const query = fc.constantFrom('', '?', '?a=/t/x', '?format=json', '?channel=alice');

function read(host: string, url: string): Target | Fault {
  try {
    return parseTarget(host, url, HOSTS);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** The addresses of a target on its own host and below its prefix, with the token where it may stand. */
function printTargets({
  family,
  path: below,
  query: asked,
  pathToken,
}: Target): readonly (readonly [string, string])[] {
  const secret = pathToken === undefined ? '' : `/t/${pathToken}`;
  const rest = below === '/' ? '' : below;
  if (family === 'web') return [[HOSTS.web, `${below}${asked}`]];
  const own = [HOSTS[family], `${secret}${rest || '/'}${asked}`] as const;
  if (family === 'api') return [own, [HOSTS.web, `/api${rest}${asked}`]];
  return [own, [HOSTS.web, `/${family}${secret}${rest}${asked}`], [HOSTS.web, `${secret}/${family}${rest}${asked}`]];
}

describe('the target of any request', () => {
  const value: fc.Arbitrary<Target> = fc
    .record({
      family: fc.constantFrom('conda' as const, 'pypi' as const, 'api' as const),
      // A path that begins with a token of its own is read as one that has it.
      path: path.filter((text) => !text.startsWith('/t/') && text !== '/t'),
      query,
      pathToken: fc.option(token, { nil: undefined }),
      ownHost: fc.constant(true),
    })
    .map((target) => (target.family === 'api' ? { ...target, pathToken: undefined } : target));

  it('is the same at the host of its family and below its prefix', () => {
    fc.assert(
      fc.property(value, (target) => {
        for (const [host, url] of printTargets(target)) {
          expect(read(host, url)).toEqual({ ...target, ownHost: host !== HOSTS.web });
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('is of one family, and its token stands in nothing that goes on', () => {
    fc.assert(
      fc.property(path, token, query, fc.constantFrom(...Object.values(HOSTS)), (text, secret, asked, host) => {
        for (const url of [`/t/${secret}${text}`, `/conda/t/${secret}${text}`, `/pypi/t/${secret}${text}`]) {
          const target = read(host, `${url}${asked}`);
          if (target instanceof Fault || host === HOSTS.api) continue;
          const isPlace = host === HOSTS.web || url.startsWith('/t/');
          if (!isPlace) continue;
          expect([url, target.pathToken]).toEqual([url, secret]);
          expect(`${target.path}${target.query}`).not.toContain(secret);
          expect(target.family).not.toBe('web');
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('depends on the host as it stands there, and on no spelling of it', () => {
    const near = fc.oneof(
      fc.constantFrom('v.test.', 'v.test:80', ' v.test', 'v.test ', 'v.test,evil.test', 'conda.conda.v.test', '[::1]'),
      fc.constantFrom(
        'v.test@evil.test',
        'evil.test/v.test',
        'v.test#',
        'v.test\\',
        'v%2etest',
        'ｖ.test',
        'v.test\u0000',
      ),
      fc.string(),
      fc.domain(),
    );
    fc.assert(
      fc.property(near, path, (host, url) => {
        fc.pre(!Object.values(HOSTS).includes(host.toLowerCase()));
        expect(read(host, url)).toMatchObject({ code: expect.stringMatching(/not_found|invalid/) });
      }),
      { numRuns: 2_000 },
    );
  });

  it('never throws anything but a fault', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.webUrl(), path), (url) => {
        read(HOSTS.web, url);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('an address on the main host without a prefix', () => {
  const subdir = fc.constantFrom(...KNOWN_SUBDIRS);
  const near = fc.oneof(
    path,
    fc.tuple(path, subdir, word).map(([before, folder, file]) => `${before}/${folder}/${file}`),
    fc.tuple(path, subdir, word).map(([before, folder, file]) => `${before}/${folder}/shards/${file}`),
  );

  it('is conda or a page, and never both', () => {
    let conda = 0;
    fc.assert(
      fc.property(near, (text) => {
        const target = read(HOSTS.web, text);
        if (target instanceof Fault || target.family !== 'web') return;
        const segments = text.split('/').slice(1);
        if (!looksLikeConda(text)) {
          // Nothing that conda's grammar reads under a platform is taken for a page.
          if (isKnownSubdir(segments.at(-2) ?? '')) throw new Error(`${text} would be a page`);
          return;
        }
        conda++;
        // Pages have one or two segments, and no login is a platform.
        if (segments.length <= 2) expect(isKnownSubdir(segments[0] ?? '') || segments[0] === '').toBe(true);
      }),
      { numRuns: 4_000 },
    );
    expect(conda).toBeGreaterThan(100);
  });

  it('means what it means below /conda', () => {
    const address = fc
      .tuple(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{1,10}$/), subdir, fc.constantFrom('repodata.json', 'foo-1-0.conda'))
      .map(([channel, folder, file]) => `/${channel}/${folder}/${file}`)
      .filter((text) => !/^\/(api|conda|pypi|t)\//.test(text) && !isKnownSubdir(text.split('/')[1] ?? ''));
    fc.assert(
      fc.property(address, (text) => {
        const [bare, prefixed] = [read(HOSTS.web, text), read(HOSTS.web, `/conda${text}`)];
        if (bare instanceof Fault || prefixed instanceof Fault) throw new Error(text);
        expect(looksLikeConda(bare.path)).toBe(true);
        expect(parseCondaPath(bare.path)).toEqual(parseCondaPath(prefixed.path));
        expect(printCondaPath(parseCondaPath(bare.path))).toBe(text);
      }),
    );
  });

  it('is never read by the grammar of Python, whose prefix is mandatory there', () => {
    fc.assert(
      fc.property(near, (text) => {
        const target = read(HOSTS.web, text);
        if (!(target instanceof Fault) && target.family === 'pypi') {
          expect(text).toMatch(/^(\/t\/[^/]*)?\/pypi(\/|$)/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a token', () => {
  it('is read as itself wherever it stands, and no other text is', () => {
    const sign = fc.constantFrom(...'abcxyz0189-_ATV%/.~ ');
    fc.assert(
      fc.property(token, fc.nat(42), sign, (secret, at, other) => {
        const shown = (text: string) => [
          { pathToken: text, authorization: undefined, cookie: undefined },
          { pathToken: undefined, authorization: `token ${text}`, cookie: undefined },
          { pathToken: undefined, authorization: `Bearer ${text}`, cookie: undefined },
          {
            pathToken: undefined,
            authorization: `Basic ${Buffer.from(`__token__:${text}`).toString('base64')}`,
            cookie: undefined,
          },
        ];
        const digests = new Set(
          shown(secret).map((each) => {
            const credential = credentialOf(each, 'repository');
            return credential.kind === 'token' ? credential.sha256 : credential.kind;
          }),
        );
        expect([...digests]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
        const changed = secret.slice(0, at) + other + secret.slice(at + 1);
        fc.pre(changed !== secret);
        for (const each of shown(changed)) {
          expect(() => credentialOf(each, 'repository')).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
