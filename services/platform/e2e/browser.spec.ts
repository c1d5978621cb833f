import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { startGateway } from '@vivarium/gateway/gateway.fixture';
import type { Route } from '@vivarium/gateway/routes';
import { hasBrowser, startBrowser } from '@vivarium/testkit/browser';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import type { Browser, BrowserContext, Download, Page } from 'playwright-core';
import { type Answered, ask } from './ask.js';
import { armedFiles, Trap } from './browser-trap.js';
import { condaPackage, sdist, wheel } from './distributions.js';
import { condaBase, shardsOf } from './formats.js';
import { type Distribution, Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { type Place, readAddresses } from './stranger-sweep.js';

jest.setTimeout(240_000);

const suite =
  // What a browser is told is the gateway's own matter: once is enough.
  productTarget() === 'services'
    ? describe.skip
    : skipSuiteUnless(hasBrowser(), 'uploads in a browser', 'Chromium is not installed (.ci/install.sh does)');

/** What some addresses give nothing without. */
const QUERIES: Readonly<Record<string, string>> = {
  '/api/can-i': '?verb=read&resource=alice/armed&as=alice',
};

/** As Chromium asks for a page. */
const ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';

// What a publisher made must be nothing but bytes and text to a browser, whatever the address: the owner of other things is
// signed in at the same origin.
suite('what a publisher made, in a browser of somebody who is signed in', () => {
  const secrets = new Secrets();
  const trap = new Trap();
  let product: Product;
  let browser: Browser;
  let context: BrowserContext;
  let alice: Publisher & { readonly password: string };
  let routes: readonly Route[];
  let place: Place;
  let session: string;
  let noticeId: string;
  /** Basename → what it was made of. */
  const uploads = new Map<string, Uint8Array>();

  beforeAll(async () => {
    const gateway = await startGateway();
    routes = gateway.routes;
    await gateway.stop();
    await trap.listen();
    product = await startProduct();
    const admin = await Publisher.admin(product, secrets);
    alice = await admin.makeUser('alice');
    place = await publish();
    browser = await startBrowser();
    context = await browser.newContext({ acceptDownloads: true });
    session = await signIn();
    // One that scripts may read: it shows what a script would have seen.
    await context.addCookies([{ name: 'readable', value: 'canary', url: product.url, sameSite: 'Lax' }]);
  });
  afterAll(async () => {
    await browser?.close();
    await product?.stop();
    await trap.close();
  });

  /** A package of every kind, named `armed`, with a script in everything that its publisher may choose. */
  async function publish(): Promise<Place> {
    const { words, script } = trap;
    const conda = condaPackage({
      name: 'armed',
      version: '1.0',
      about: { summary: words, description: words, license: words, home: words, dev_url: words, doc_url: words },
      indexOverrides: { license: words },
      info: { 'recipe/meta.yaml': words, 'README.md': words },
    });
    const metadataOverrides = {
      Summary: words,
      License: words,
      Author: words,
      Keywords: words,
      'Home-page': words,
      'Description-Content-Type': 'text/html',
      'Project-URL': `${words.replaceAll(',', '')}, ${words}`,
      'Requires-Python': '>=3.8,<4',
    };
    const description = `<script>${script}</script>`;
    const python = wheel({ name: 'armed', version: '1.0', metadataOverrides, description });
    const source = sdist({ name: 'armed', version: '1.0', metadataOverrides, description });
    const files = armedFiles(script).map(([type, basename, , text]): Distribution => {
      const bytes = Buffer.from(text);
      return { type: type as Distribution['type'], name: 'armed', version: '1.0', basename, bytes, attrs: {} };
    });
    const about = { summary: words, description: words, home: words, license: { name: words, url: words } };
    for (const each of [conda, python, source, ...files]) {
      await alice.register(each);
      const attrs = { ...each.attrs, summary: words, description: words, home: words };
      const ticket = await alice.stage(each, {}, { description: words, attrs, dependencies: { depends: [words] } });
      await alice.send(ticket, each);
      await alice.commit(each, ticket);
      uploads.set(each.basename, each.bytes);
    }
    await alice.expectCall(200, 'PATCH', '/package/alice/armed', { public_attrs: about });
    await alice.expectCall(200, 'PATCH', '/release/alice/armed/1.0', { public_attrs: about });
    await alice.expectCall(201, 'POST', '/organizations', { login: 'armory', name: words.slice(0, 100) });
    await alice.call('POST', '/group/armory/crew', { perms: 'read' });
    await alice.call('PUT', '/group/armory/crew/members/alice');
    const notice = {
      message: words.slice(0, 600),
      level: 'info',
      expires_at: new Date(Date.now() + 86_400_000).toISOString(),
    };
    noticeId = (await alice.expectCall(201, 'POST', '/alice/notices', notice)).json<{ id: string }>().id;
    await alice.expectCall(200, 'POST', `/alice/notices/${noticeId}/publish`);
    const shards = await shardsOf(`${condaBase({ product, channel: 'alice' })}/noarch`);
    const shard = shards.get('armed')?.split('/').at(-1)?.split('.')[0] ?? '';
    return { channel: 'alice', organization: 'armory', package: 'armed', sha256: python.sha256, shard };
  }

  /** With the browser's own hands, so that the cookie has what we give it. */
  async function signIn(): Promise<string> {
    const answered = await context.request.post(`${product.api}/session`, {
      headers: { Origin: product.url },
      data: { login: 'alice', password: alice.password },
    });
    expect(answered.status()).toBe(200);
    const [cookie] = await context.cookies(product.url);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax' });
    return secrets.keep('session of alice', cookie?.value ?? '');
  }

  /** Every address that one may open: the routes of the router and the reads in front of it. */
  function addressesOf(where: Place, basenames: readonly string[]): readonly (readonly [string, string])[] {
    const values: Readonly<Record<string, readonly string[]>> = {
      ':channel': [where.channel],
      ':owner': [where.channel],
      ':login': [where.channel],
      ':organization': ['armory'],
      ':group': ['crew'],
      ':id': [noticeId],
      '*label': ['main'],
      ':package': [where.package],
      ':version': ['1.0'],
      '*basename': basenames,
    };
    const routed = routes
      .filter(({ method }) => method === 'GET')
      .flatMap(({ path }) => {
        let filled: readonly string[] = [path];
        for (const [name] of path.matchAll(/[:*]\w+/g)) {
          const fills = values[name];
          if (fills === undefined) throw new Error(`nobody said what to open at "${name}" of ${path}`);
          filled = filled.flatMap((each) => fills.map((fill) => each.replace(name, fill)));
        }
        return filled.map((at) => [path, at + (QUERIES[path] ?? '')] as const);
      });
    return [...routed, ...readAddresses().map((address) => [address.shape, address.at(where)] as const)];
  }

  interface Visit {
    readonly shape: string;
    readonly path: string;
    /** The answer to the same request, as it came. */
    readonly answered: Answered;
    readonly isDownload: boolean;
    /** What the page and everything in it asked for beside itself. */
    readonly asked: readonly string[];
    /** What scripts left behind, and what they could have read. */
    readonly ran: unknown;
    readonly cookie: unknown;
    readonly text: string;
  }

  async function visit(page: Page, [shape, path]: readonly [string, string]): Promise<Visit> {
    const url = product.url + path;
    const answered = await ask(url, { headers: { Accept: ACCEPT, Cookie: `vivarium=${session}` } });
    const asked: string[] = [];
    const note = (request: { url(): string; isNavigationRequest(): boolean }) => {
      if (!request.isNavigationRequest()) asked.push(request.url().replace(product.url, ''));
    };
    page.on('request', note);
    const stored: Download[] = [];
    const keep = (each: Download) => stored.push(each);
    page.on('download', keep);
    let isDownload = false;
    try {
      await page.goto(url);
    } catch (error) {
      // So it is told that an address shows nothing, because it is stored or because nothing is there.
      if (!/Download is starting|ERR_ABORTED/.test(String(error))) throw error;
      isDownload = answered.status === 200;
    }
    page.off('request', note);
    page.off('download', keep);
    for (const each of stored) {
      expect([path, await each.failure()]).toEqual([path, null]);
      await each.delete();
    }
    // What is stored leaves the page as it was before.
    const [ran, cookie, text] = isDownload ? [null, '', ''] : await seenIn(page);
    return { shape, path, answered, isDownload, asked, ran, cookie, text };
  }

  function seenIn(page: Page): Promise<[ran: unknown, cookie: string, text: string]> {
    return page.evaluate(`(() => {
      let cookie = '';
      try { cookie = document.cookie; } catch {}
      return [window.ran ?? null, cookie, document.documentElement.textContent];
    })()`);
  }

  /** Opens them all, in four pages. */
  async function visitAll(addresses: readonly (readonly [string, string])[]): Promise<readonly Visit[]> {
    const visits: Visit[] = [];
    const waiting = [...addresses];
    const lane = async () => {
      const page = await context.newPage();
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) visits.push(await visit(page, next));
      await page.close();
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    // Whatever was sent has come by then.
    await sleep(500);
    return visits;
  }

  function expectInert(visits: readonly Visit[]): void {
    expect(trap.caught).toEqual([]);
    expect(visits.filter(({ ran }) => ran !== null).map(({ path }) => path)).toEqual([]);
    expect(visits.filter(({ cookie }) => String(cookie).includes(session)).map(({ path }) => path)).toEqual([]);
    const others = visits.flatMap(({ path, asked }) => asked.map((each) => [path, each]));
    expect(others.filter(([, each = '']) => !/^\/(-\/style\.css|favicon\.ico)$/.test(each))).toEqual([]);
    for (const { path, answered } of visits) {
      if (answered.status === 204 || answered.status === 302) continue;
      const { headers } = answered;
      const policy = String(headers['content-security-policy']);
      expect([path, headers]).toEqual([
        path,
        expect.objectContaining({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' }),
      ]);
      expect([path, policy.split(/; ?/)]).toEqual([
        path,
        expect.arrayContaining([
          "default-src 'none'",
          "frame-ancestors 'none'",
          "base-uri 'none'",
          "form-action 'none'",
        ]),
      ]);
      expect([path, /unsafe|script-src|\*/.test(policy), headers['set-cookie']]).toEqual([path, false, undefined]);
    }
  }

  it('would run, if it were served as what it is: the same files where nothing holds them back', async () => {
    const page = await context.newPage();
    for (const [, basename, type, text] of armedFiles(trap.script)) {
      trap.caught.length = 0;
      const [path, body] = basename.endsWith('.js')
        ? [`/${basename}.html`, `<script src="/${basename}"></script>`]
        : [`/${basename}`, text];
      trap.put(`/${basename}`, type, text);
      if (path !== `/${basename}`) trap.put(path, 'text/html', body);
      await page.goto(trap.neighbour + path, { waitUntil: 'networkidle' });
      const [ran] = await seenIn(page);
      expect([basename, ran, trap.caught.includes('/ran?readable=canary')]).toEqual([basename, 1, true]);
    }
    // And the words would, where they are written into a page as they stand.
    trap.caught.length = 0;
    trap.put('/words', 'text/html', `<title>${trap.words}</title>`);
    await page.goto(`${trap.neighbour}/words`, { waitUntil: 'networkidle' });
    expect([(await seenIn(page))[0], trap.caught.length > 0]).toEqual([1, true]);
    trap.caught.length = 0;
    await page.close();
  });

  it('runs nothing and sees no cookie, at any address that the product answers', async () => {
    const visits = await visitAll(addressesOf(place, [...uploads.keys()]));
    expectInert(visits);

    // A route that never gives what it is there for was not tried.
    const answering = new Set(visits.filter(({ answered }) => answered.status < 300).map(({ shape }) => shape));
    const silent = visits.filter(({ shape }) => !answering.has(shape) && !/^\/(conda|pypi)\//.test(shape));
    const told = silent.map(({ path, answered }) => `${answered.status} ${path}`);
    expect(told.sort()).toEqual([
      // About the token that is presented, for superusers, and for programs that let people sign in by the browser.
      '400 /-/login/authorize',
      '400 /api/authentication',
      '403 /api/users',
      '404 /.well-known/openid-configuration',
      '404 /api/.well-known/openid-configuration',
    ]);

    // Files are stored, each with its own bytes.
    for (const [basename, bytes] of uploads) {
      const path = `/api/download/alice/armed/1.0/${basename}`;
      const found = visits.find((each) => each.path === path);
      expect([basename, found?.isDownload, found?.answered.bytes.equals(bytes)]).toEqual([basename, true, true]);
    }
    const stored = visits.filter(({ isDownload }) => isDownload);
    expect(stored.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        '/conda/alice/noarch/armed-1.0-0.conda',
        '/alice/noarch/armed-1.0-0.conda',
        `/pypi/alice/files/${place.sha256}/armed-1.0-py3-none-any.whl`,
        `/pypi/alice/files/${place.sha256}/armed-1.0-py3-none-any.whl.metadata`,
      ]),
    );
    const artifacts = stored.filter(({ path }) => /\/download\/|\.conda$|\.whl|\.tar\.gz$/.test(path));
    for (const { path, answered } of artifacts) {
      expect([path, answered.headers]).toEqual([
        path,
        expect.objectContaining({
          'content-type': 'application/octet-stream',
          'content-disposition': 'attachment',
          'content-security-policy': expect.stringMatching(/^sandbox;/),
        }),
      ]);
    }
    expect(artifacts.length).toBeGreaterThan(uploads.size);

    // Pages and lists are shown, and the words stand in them as words.
    const shown = visits.filter(({ text }) => text.includes('<script>window.ran=1'));
    expect(shown.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/alice', '/alice/armed', '/api/package/alice/armed', '/api/release/alice/armed/1.0']),
    );
    const pages = visits.filter(({ answered }) => String(answered.headers['content-type']).startsWith('text/html'));
    expect(pages.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/', '/alice', '/alice/armed', '/pypi/alice/simple/', '/pypi/alice/simple/armed/']),
    );
  });

  it('links to nothing but our own addresses, and has no element that runs or loads', async () => {
    const page = await context.newPage();
    for (const path of ['/', '/alice', '/alice/armed', '/pypi/alice/simple/', '/pypi/alice/simple/armed/']) {
      await page.goto(product.url + path);
      const found = await page.evaluate(`(() => {
        const all = [...document.querySelectorAll('*')];
        const links = all.flatMap((each) => ['href', 'src', 'action', 'formaction', 'data'].map((name) => each[name]));
        return {
          foreign: links.filter((each) => typeof each === 'string' && each !== '' && !each.startsWith(location.origin + '/')),
          acting: all.filter((each) => /^(script|iframe|object|embed|img|svg|form|base|video|audio)$/i.test(each.tagName)
            || each.getAttributeNames().some((name) => name.startsWith('on') || name === 'style' || name === 'http-equiv')).length,
          count: all.length,
        };
      })()`);
      expect([path, found]).toEqual([path, { foreign: [], acting: 0, count: expect.any(Number) }]);
    }
    await page.close();
  });

  it('leads from the pages to files that are stored', async () => {
    const page = await context.newPage();
    for (const [path, count] of [
      ['/alice/armed', uploads.size],
      ['/pypi/alice/simple/armed/', 2],
    ] as const) {
      await page.goto(product.url + path);
      const links = page.locator('a[href*="armed"]').filter({ hasText: /armed.*\./ });
      expect([path, await links.count()]).toEqual([path, count]);
      for (const link of await links.all()) {
        const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
        expect(await download.failure()).toBeNull();
      }
    }
    await page.close();
  });

  it('is no page of ours when an address that fails repeats it', async () => {
    const words = `<script>${trap.script.replaceAll('/', '&#47;')}</script>`;
    const hostile = [`<img src=x onerror="ran=1">`, words].map(encodeURIComponent);
    const addresses = hostile.flatMap((text) => [
      ...addressesOf({ ...place, package: text }, [text, `noarch/${text}`]).filter(([, at]) => at.includes(text)),
      ...addressesOf({ ...place, channel: text }, [text]).filter(([, at]) => at.includes(text)),
      ...['/', '/-/', '/api/', '/api/-/upload/', '/t/'].map((at) => [at, `${at}${text}`] as const),
      ...['/alice', '/alice/armed', '/api/user'].map((at) => [at, `${at}?after=${text}&format=${text}`] as const),
    ]);
    const visits = await visitAll(addresses);
    expectInert(visits);
    expect(visits.filter(({ answered }) => answered.status >= 400).length).toBeGreaterThan(60);
    expect(visits.filter(({ text }) => text.includes('onerror="ran=1"')).length).toBeGreaterThan(0);
  });

  it("is shown in nobody's frame, and is no script, image or style of another page", async () => {
    const addresses = addressesOf(place, [...uploads.keys()]);
    trap.put('/framed.html', 'text/html', `<script>${trap.script}</script>`);
    const frame = (url: string) => `<iframe src="${url}"></iframe>`;
    for (const origin of [trap.stranger, trap.neighbour]) {
      const page = await context.newPage();
      const urls = [`${trap.neighbour}/framed.html`, ...addresses.map(([, at]) => product.url + at)];
      trap.put('/frames', 'text/html', urls.map(frame).join('\n'));
      trap.caught.length = 0;
      await page.goto(`${origin}/frames`);
      await sleep(500);
      const framed = page.frames().slice(1);
      const reached = framed.map((each) => each.url()).filter((url) => url.startsWith(product.url));
      expect([origin, framed.length > addresses.length / 2, reached]).toEqual([origin, true, []]);
      // The frame that we put there ourselves did run.
      expect(trap.caught.length).toBe(1);
      trap.caught.length = 0;

      const loaded = await page.evaluate(`Promise.all(${JSON.stringify(urls.slice(1))}.flatMap((url) =>
        ['script', 'img', 'link'].map((tag) => new Promise((resolve) => {
          const element = document.createElement(tag);
          if (tag === 'link') element.rel = 'stylesheet';
          element.onload = () => resolve(tag + ' ' + url);
          element.onerror = () => resolve(null);
          element[tag === 'link' ? 'href' : 'src'] = url;
          document.head.append(element);
        })))).then((all) => all.filter((each) => each !== null))`);
      // A style of ours, and nothing that anybody else has written.
      expect(loaded).toEqual([`link ${product.url}/-/style.css`]);
      expect([trap.caught, (await seenIn(page))[0]]).toEqual([[], null]);
      await page.close();
    }
  });

  it('can be read by no other page, and changed by none, though the cookie goes along', async () => {
    const page = await context.newPage();
    trap.put('/reader', 'text/html', 'reading');
    // Of the same site: the browser sends the cookie.
    await page.goto(`${trap.neighbour}/reader`);
    const paths = ['/api/user', '/api/packages', '/alice/armed', '/api/download/alice/armed/1.0/armed.html'];
    const read = await page.evaluate(`Promise.all(${JSON.stringify(paths)}.map((path) =>
      fetch('${product.url}' + path, { credentials: 'include' }).then((answer) => answer.text(), () => null)))`);
    expect(read).toEqual(paths.map(() => null));
    // Not where Python clients upload: cookies are not looked at there, and the browser would ask its user for a password.
    const changes = routes.filter(({ method, path }) => method !== 'GET' && !/^\/pypi\/|^\/api\/-\/upload/.test(path));
    expect(changes.length).toBeGreaterThan(15);
    const body = {
      login: 'forged',
      note: 'forged',
      summary: 'forged',
      public_attrs: { summary: 'forged' },
      public: false,
    };
    const before = (await alice.call('GET', '/package/alice/armed')).bytes;
    const sent = await page.evaluate(`Promise.all(${JSON.stringify(changes)}.flatMap(({ method, path }) => {
      const at = path.replace(/:(owner|channel|login|organization)/, 'alice').replace(':package', 'armed')
        .replace(':version', '1.0').replace('*basename', 'armed.html').replace(/[:*]\\w+/g, 'forged');
      const ask = (options) => fetch('${product.url}' + at,
        { credentials: 'include', body: '${JSON.stringify(body)}', signal: AbortSignal.timeout(20000), ...options })
        .then(() => 'sent', ({ name }) => name === 'TimeoutError' ? 'no answer: ' + path : 'refused');
      return [
        ask({ method, headers: { 'Content-Type': 'application/json', 'X-Vivarium-CSRF': '1' } }),
        ask({ method: 'POST', mode: 'no-cors', headers: { 'Content-Type': 'text/plain' } }),
      ];
    }))`);
    expect(new Set(sent as string[])).toEqual(new Set(['refused', 'sent']));
    expect((await alice.call('GET', '/package/alice/armed')).bytes.equals(before)).toBe(true);
    expect((await alice.call('GET', '/authentications')).text()).not.toContain('forged');
    expect((await context.request.get(`${product.api}/user`)).status()).toBe(200);
    await page.close();
  });

  it('tells none of the secrets in its output', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
