import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Packages } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const BROWSER = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const CSP = "default-src 'none'; style-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const ATTACK = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`;

const UPLOADED_MS = 1_446_511_109_074n;
const PACKAGE = {
  id: 'p1',
  channel: 'alice',
  name: 'foo',
  visibility: 'public',
  kinds: ['conda', 'pypi'],
  summary: 'What foo does',
  versions: ['0.9', '0.10'],
  latestVersion: '0.10',
};
const fileOf = (id: string, version: string, init: { kind?: string; basename?: string; labels?: string[] } = {}) => ({
  id,
  package: 'foo',
  version,
  kind: 'conda',
  basename: `noarch/foo-${version}-0.conda`,
  sha256: 'ab'.repeat(32),
  sizeBytes: 12_345n,
  labels: ['main'],
  uploadedAtMs: UPLOADED_MS,
  ...init,
});

let gateway: Running;
let signedIn: Record<string, string>;
beforeAll(async () => {
  gateway = await startGateway();
  signedIn = { ...BROWSER, Authorization: `token ${gateway.token(ALICE)}` };
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.others.heard.length = 0;
  gateway.others.teach(Packages, 'list', async () => ({ packages: [PACKAGE], more: false }));
  gateway.others.teach(Packages, 'find', async () => ({ package: { ...PACKAGE, files: [fileOf('f1', '0.10')] } }));
});

const look = (path: string, headers: Record<string, string> = BROWSER) => gateway.ask(path, { headers });

/** Everything of an answer that a visitor could tell another one from, without the time of day. */
function told({ status, reason, headers: { date: _date, ...headers }, text }: Awaited<ReturnType<typeof look>>) {
  return { status, reason, headers, text };
}

describe('every page', () => {
  it.each(['/', '/alice', '/alice/foo', '/account/forgot_password', '/alice/foo/bar/baz'])(
    '%s runs nothing, loads nothing but our style and is kept by nobody',
    async (path) => {
      const { headers, text } = await look(path);
      expect(headers).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': CSP,
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'private, no-store',
        vary: 'Accept, Cookie, Authorization',
      });
      expect(text).not.toMatch(/<script|<style|<form|<img|<iframe| style=| on[a-z]+=|(src|href)="(?!\/)/i);
      const style = await look(/<link rel="stylesheet" href="([^"]+)">/.exec(text)?.[1] ?? 'no style');
      expect([style.status, style.headers['content-type']]).toEqual([200, 'text/css; charset=utf-8']);
    },
  );

  it.each(['/', '/alice', '/alice/foo', '/account/forgot_password', '/nobody/foo/x', '/-/style.css', '/robots.txt'])(
    '%s answers a HEAD with the head of its GET',
    async (path) => {
      const got = told(await look(path));
      expect(told(await gateway.ask(path, { method: 'HEAD', headers: BROWSER }))).toEqual({ ...got, text: '' });
    },
  );

  it('shows what publishers wrote as text', async () => {
    const bad = { ...PACKAGE, name: ATTACK, summary: ATTACK, visibility: ATTACK, kinds: [ATTACK, 'conda', 'pypi'] };
    const worse = { ...bad, versions: [ATTACK], latestVersion: ATTACK };
    const file = fileOf(ATTACK, ATTACK, { basename: ATTACK, labels: [ATTACK] });
    gateway.others.teach(Packages, 'list', async () => ({ packages: [worse], more: true }));
    gateway.others.teach(Packages, 'find', async () => ({ package: { ...worse, files: [file] }, moreFiles: true }));
    for (const path of ['/alice', '/alice/foo']) {
      const { status, text } = await look(path);
      expect([status, text]).toEqual([200, expect.stringContaining('&#60;script&#62;alert(1)&#60;/script&#62;')]);
      expect(text).not.toMatch(/<script|<img|onerror=alert\(1\)>/);
      // Nothing that was put into an attribute ends it.
      for (const [tag] of text.matchAll(/<[a-z][^>]*>/g)) expect(tag).toMatch(/^<[a-z0-9]+( [a-z]+="[^"<>]*")*>$/);
    }
  });
});

describe('the first page', () => {
  it.each([
    'conda install --channel http://vivarium.test/conda/CHANNEL PACKAGE',
    'conda install --channel http://vivarium.test/t/TOKEN/CHANNEL PACKAGE',
    'pip install --index-url http://vivarium.test/pypi/CHANNEL/simple PACKAGE',
    'pip install --index-url http://vivarium.test/pypi/t/TOKEN/CHANNEL/simple PACKAGE',
    'anaconda config --set url http://vivarium.test/api',
    'twine upload --repository-url http://vivarium.test/pypi/CHANNEL/legacy/ --username __token__ --password TOKEN FILE',
  ])('tells "%s"', async (line) => {
    expect((await look('/')).text.split(/[\n>]/).map((each) => each.replace('</pre', ''))).toContain(line);
  });

  it.each(['/', '/account/forgot_password', '/robots.txt', '/favicon.ico', '/-/style.css'])(
    'and what else is everybody’s opens whatever the visitor shows: %s',
    async (path) => {
      const { status } = await look(path, { ...BROWSER, Cookie: 'vivarium=old', Authorization: 'token nonsense' });
      expect(status).toBe(path === '/favicon.ico' ? 204 : 200);
      expect(gateway.others.heard).toEqual([]);
    },
  );

  it('says who gives a new password', async () => {
    expect((await look('/account/forgot_password')).text).toContain('vivarium user reset-password');
  });

  it('asks robots to stay away', async () => {
    const { headers, text } = await look('/robots.txt');
    expect([headers['content-type'], text]).toEqual(['text/plain; charset=utf-8', 'User-agent: *\nDisallow: /\n']);
  });
});

describe('the page of a channel', () => {
  it('lists packages with kind, newest version, access and summary', async () => {
    const { status, text } = await look('/alice');
    expect(status).toBe(200);
    expect(text).toContain(
      '<tr><td><a href="/alice/foo">foo</a></td><td>0.10</td><td>conda, pypi</td><td><span class="badge">public</span></td><td>What foo does</td></tr>',
    );
    expect(text).toContain('conda config --add channels http://vivarium.test/conda/alice\n');
  });

  it('is read through by its links, each package once', async () => {
    const names = Array.from({ length: 250 }, (_, index) => `p+${String(index).padStart(3, '0')}`);
    gateway.others.teach(Packages, 'list', async ({ after, limit }) => {
      const rest = names.filter((name) => name > after);
      return { packages: rest.slice(0, limit).map((name) => ({ ...PACKAGE, name })), more: rest.length > limit };
    });
    const seen: string[] = [];
    let pages = 0;
    for (let path: string | undefined = '/alice'; path !== undefined; pages += 1) {
      const { text } = await look(path);
      seen.push(...[...text.matchAll(/">(p\+\d+)<\/a>/g)].map(([, name = '']) => name));
      path = /<a rel="next" href="([^"]+)">/.exec(text)?.[1];
    }
    expect([pages, seen]).toEqual([3, names]);
  });

  it('is made for who asks: nobody, a token, a session', async () => {
    await look('/alice');
    await look('/alice', signedIn);
    const lists = gateway.others.heard.filter(({ rpc }) => rpc === 'packages.Packages.list');
    expect(lists.map(({ assertion }) => assertion)).toEqual([undefined, 'alice to packages']);
    await look('/alice', { ...BROWSER, Cookie: 'other=x; vivarium=some-session' });
    expect(gateway.others.heardOf(Callers, 'whoIs')).toMatchObject([
      { credential: { case: 'tokenSha256' } },
      { credential: { case: 'sessionSha256' } },
    ]);
  });

  it('shows who is signed in the addresses that open private packages too', async () => {
    const { text } = await look('/alice', signedIn);
    expect(text).toContain('conda config --add channels http://vivarium.test/t/TOKEN/alice\n');
    expect(text).toContain('pip install --index-url http://vivarium.test/pypi/t/TOKEN/alice/simple PACKAGE');
  });

  it('says so when there is nothing', async () => {
    gateway.others.teach(Packages, 'list', async () => ({ packages: [], more: false }));
    const { status, text } = await look('/alice');
    expect([status, text]).toEqual([200, expect.stringContaining('no packages')]);
  });
});

describe('the page of a package', () => {
  it('shows versions and files, newest first', async () => {
    const files = [
      fileOf('f1', '0.10'),
      fileOf('f2', '0.9', { kind: 'pypi', basename: 'foo-0.9.tar.gz', labels: ['main', 'dev'] }),
    ];
    gateway.others.teach(Packages, 'find', async () => ({ package: { ...PACKAGE, files: files.toReversed() } }));
    const { status, text } = await look('/alice/foo');
    expect(status).toBe(200);
    expect(text).toContain('<p>0.10, 0.9</p>');
    const rows = [...text.matchAll(/<tr><td>(.*)<\/td><\/tr>/g)].map(([, row = '']) => row.split('</td><td>'));
    expect(rows).toEqual([
      [
        '0.10',
        '<a href="/api/download/alice/foo/0.10/noarch/foo-0.10-0.conda">noarch/foo-0.10-0.conda</a>',
        ...['12.3 kB', '2015-11-03', 'main', `<code>${'ab'.repeat(32)}</code>`],
      ],
      [
        '0.9',
        '<a href="/api/download/alice/foo/0.9/foo-0.9.tar.gz">foo-0.9.tar.gz</a>',
        ...['12.3 kB', '2015-11-03', 'main, dev', `<code>${'ab'.repeat(32)}</code>`],
      ],
    ]);
  });

  it.each([
    ['public', 'main', ['http://vivarium.test/conda/alice foo', 'http://vivarium.test/pypi/alice/simple foo']],
    ['public', 'a/b', ['http://vivarium.test/conda/alice/label/a/b foo', 'http://vivarium.test/pypi/alice/simple foo']],
    [
      'private',
      'main',
      ['http://vivarium.test/t/TOKEN/alice foo', 'http://vivarium.test/pypi/t/TOKEN/alice/simple foo'],
    ],
    [
      'authenticated',
      'dev',
      ['http://vivarium.test/t/TOKEN/alice/label/dev foo', 'http://vivarium.test/pypi/t/TOKEN/alice/simple foo'],
    ],
  ])('tells how to install a %s one whose conda files are on %s', async (visibility, label, [conda, pypi]) => {
    const files = [fileOf('f1', '0.9', { labels: [label] }), fileOf('f2', '0.9', { kind: 'pypi' })];
    gateway.others.teach(Packages, 'find', async () => ({ package: { ...PACKAGE, visibility, files } }));
    const { text } = await look('/alice/foo', signedIn);
    const lines = `conda install --channel ${conda}\npip install --index-url ${pypi}`;
    expect(/<pre>([^<]*)<\/pre>/.exec(text)?.[1]).toBe(lines);
  });

  it('gives files page by page', async () => {
    gateway.others.teach(Packages, 'find', async ({ afterFile }) => ({
      package: { ...PACKAGE, files: [fileOf(afterFile === '' ? 'f1' : 'f2', afterFile === '' ? '0.9' : '0.10')] },
      moreFiles: afterFile === '',
    }));
    const first = await look('/alice/foo');
    const next = /<a rel="next" href="([^"]+)">/.exec(first.text)?.[1] ?? '';
    expect(next).toBe('/alice/foo?after=f1');
    const second = await look(next);
    expect(second.text).toContain('foo-0.10-0.conda');
    expect(second.text).not.toContain('rel="next"');
  });
});

describe('what cannot be shown', () => {
  it.each(['/alice/', '/'])('is one page, hidden or missing, to who is signed in (%s…)', async (under) => {
    // The service has one fault for both; the page must add nothing that it knows otherwise.
    const gone = (what: string) => async () => Promise.reject(new Fault('not_found', `"${what}" does not exist`));
    const answers = ['secret', 'absent'].map(async (name) => {
      gateway.others.teach(Packages, under === '/' ? 'list' : 'find', gone('it'));
      return told(await look(`${under}${name}`, signedIn));
    });
    const [secret, absent] = await Promise.all(answers);
    expect(secret).toMatchObject({ status: 404, headers: { 'content-type': 'text/html; charset=utf-8' } });
    expect(secret).toEqual(absent);
  });

  it('costs one call to packages, whatever is there', async () => {
    await look('/alice/foo', signedIn);
    const found = gateway.others.heard.map(({ rpc }) => rpc);
    gateway.others.heard.length = 0;
    gateway.others.teach(Packages, 'find', async () => Promise.reject(new Fault('not_found', 'no')));
    await look('/alice/absent', signedIn);
    expect(gateway.others.heard.map(({ rpc }) => rpc)).toEqual(found);
  });

  it('tells a stranger how to sign in, and asks the browser for no password', async () => {
    gateway.others.teach(Packages, 'list', async () =>
      Promise.reject(new Fault('unauthenticated', 'not open <to> all')),
    );
    const { status, headers, text } = await look('/hidden');
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer realm="vivarium"']);
    expect(text).toContain('not open &#60;to&#62; all');
    const [, page = '', anchor = ''] = /<a href="([^"#]+)#([^"]+)">/.exec(text) ?? [];
    expect((await look(page)).text).toContain(`id="${anchor}"`);
  });

  it.each([
    ['/Alice', 404],
    ['/alice.html', 404],
    ['/alice/a%2Fb', 400],
    ['/alice/%2e%2e', 400],
    ['/alice?after=%00', 400],
    [`/alice/foo?after=${'x'.repeat(251)}`, 400],
    ['/alice/foo/settings/admin', 404],
    ['/-/unknown', 404],
    [`/alice/${encodeURIComponent(ATTACK.replaceAll('/', ''))}/x/y`, 404],
  ])('is a page to a browser and problem+json to a program (%s: %d)', async (path, status) => {
    const page = await look(path);
    expect([page.status, page.headers['content-type']]).toEqual([status, 'text/html; charset=utf-8']);
    expect(page.text).not.toContain('<script');
    const json = await look(path, { Accept: '*/*' });
    expect([json.status, json.headers['content-type']]).toEqual([status, 'application/problem+json']);
    expect(json.json()).toMatchObject({ status });
    expect(gateway.others.heard).toEqual([]);
  });

  it('is a bad token, also where everybody may look', async () => {
    expect((await look('/alice', { ...BROWSER, Authorization: 'token nonsense' })).status).toBe(401);
    expect(gateway.others.heardOf(Packages, 'list')).toEqual([]);
  });

  it.each(['/api/alice', '/api/alice/foo'])('is no page where the API is (%s)', async (path) => {
    const { status, headers } = await look(path);
    expect([status, headers['content-type']]).toEqual([404, 'application/json']);
    expect(gateway.others.heard).toEqual([]);
  });

  it('is nothing that a page changes', async () => {
    for (const path of ['/', '/alice', '/alice/foo']) {
      expect((await gateway.ask(path, { method: 'POST', headers: signedIn })).status).toBe(404);
    }
    expect(gateway.others.heard).toEqual([]);
  });
});
