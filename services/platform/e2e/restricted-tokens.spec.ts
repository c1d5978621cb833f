import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { productTarget } from '@vivarium/testkit/product';
import { mintToken } from '@vivarium/token/format';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { hasNats, TwoGateways } from './two-gateways.js';

jest.setTimeout(180_000);

const isHere = productTarget() === 'services' && hasNats;
const suite = skipSuiteUnless(
  isHere,
  'what tokens are cut by, at two gateways',
  'it needs nats-server and separate services (npm run e2e:services)',
);

suite('a token', () => {
  const secrets = new Secrets();
  let stand: TwoGateways;
  let admin: Publisher;
  let number = 0;

  beforeAll(async () => {
    stand = await TwoGateways.start();
    admin = await Publisher.admin(stand.product, secrets);
    await admin.upload(condaPackage({ name: 'open', version: '1.0' }));
    const hidden = { isPrivate: true };
    await admin.upload(condaPackage({ name: 'alpha', version: '1.0' }), hidden);
    await admin.upload(condaPackage({ name: 'beta', version: '1.0' }), hidden);
    await admin.upload(condaPackage({ name: 'native', version: '1.0', subdir: 'linux-64' }), hidden);
    await admin.upload(condaPackage({ name: 'nightly', version: '1.0' }), { ...hidden, labels: ['dev'] });
    await admin.upload(wheel({ name: 'alpha_py', version: '1.0' }), hidden);
    await admin.upload(wheel({ name: 'beta_py', version: '1.0' }), hidden);
  });
  afterAll(() => stand?.stop());

  /** As the client asks for one, with what it may be restricted to. */
  async function make(restrict: object, more: object = {}, by = admin): Promise<string> {
    const body = { note: `t${++number}`, scopes: ['all'], restrict, 'fail-if-exists': true, ...more };
    const answered = await by.expectCall(200, 'POST', '/authentications', body);
    return secrets.keep(`token t${number}`, answered.json<{ token: string }>().token);
  }

  /** At both gateways, which must agree. */
  async function statusOf(path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
    const [first, second] = [await stand.askFirst(path, headers), await stand.askSecond(path, headers)];
    expect(second.status).toBe(first.status);
    return first.status;
  }

  async function namesIn(path: string): Promise<readonly string[]> {
    const answered = await stand.askSecond(path, { Accept: 'application/vnd.pypi.simple.v1+json' });
    if (answered.status !== 200) return [`${answered.status}`];
    const found = answered.json<{ 'packages.conda'?: object; projects?: { name: string }[] }>();
    return [...Object.keys(found['packages.conda'] ?? {}), ...(found.projects ?? []).map(({ name }) => name)].sort();
  }

  const api = async (token: string, path: string): Promise<number> =>
    statusOf(`/api${path}`, { Authorization: `token ${token}` });

  it('without restrictions opens all of this', async () => {
    const token = await make({});
    expect(await namesIn(`/t/${token}/admin/noarch/repodata.json`)).toEqual([
      'alpha-1.0-0.conda',
      'beta-1.0-0.conda',
      'open-1.0-0.conda',
    ]);
    expect(await namesIn(`/pypi/t/${token}/admin/simple/`)).toEqual(['alpha-py', 'beta-py']);
    expect(await api(token, '/package/admin/beta')).toBe(200);
  });

  it('for packages shows these alone, beside what is public, in both repositories and the API', async () => {
    const token = await make({ packages: ['Alpha*'] });
    expect(await namesIn(`/t/${token}/admin/noarch/repodata.json`)).toEqual(['alpha-1.0-0.conda', 'open-1.0-0.conda']);
    expect(await namesIn(`/pypi/t/${token}/admin/simple/`)).toEqual(['alpha-py']);
    expect(await statusOf(`/t/${token}/admin/noarch/alpha-1.0-0.conda`)).toBe(200);
    expect(await statusOf(`/t/${token}/admin/noarch/beta-1.0-0.conda`)).toBe(404);
    expect(await statusOf(`/pypi/t/${token}/admin/simple/beta-py/`)).toBe(404);
    expect([await api(token, '/package/admin/alpha'), await api(token, '/package/admin/beta')]).toEqual([200, 404]);
    const uploads = new Publisher(stand.product, secrets, 'admin', token);
    await uploads.upload(condaPackage({ name: 'alpha', version: '2.0' }));
    await expect(uploads.upload(condaPackage({ name: 'gamma', version: '1.0' }))).rejects.toMatchObject({
      status: 403,
    });
    await admin.expectCall(200, 'DELETE', '/dist/admin/alpha/2.0/noarch/alpha-2.0-0.conda');
  });

  it('for labels opens these indexes, and says why it does not open others', async () => {
    const token = await make({ labels: ['dev'] });
    expect(await namesIn(`/t/${token}/admin/label/dev/noarch/repodata.json`)).toEqual(['nightly-1.0-0.conda']);
    const refused = await stand.askSecond(`/t/${token}/admin/noarch/repodata.json`);
    expect([refused.status, refused.text()]).toMatchObject([403, expect.stringContaining('limited to the labels dev')]);
    expect(await statusOf(`/pypi/t/${token}/admin/simple/`)).toBe(403);
    const headers = { Authorization: `token ${token}` };
    const bytes = (path: string) => stand.askSecond(`/api/download/admin/${path}`, headers);
    expect((await bytes('nightly/1.0/noarch/nightly-1.0-0.conda')).status).toBe(200);
    expect((await bytes('alpha/1.0/noarch/alpha-1.0-0.conda')).status).toBe(403);
  });

  it('for subdirs leaves the others out, and no Python package', async () => {
    const token = await make({ subdirs: ['osx-arm64'] });
    expect(await namesIn(`/t/${token}/admin/linux-64/repodata.json`)).toEqual([]);
    expect(await statusOf(`/t/${token}/admin/linux-64/native-1.0-0.conda`)).toBe(404);
    expect(await namesIn(`/t/${token}/admin/noarch/repodata.json`)).toContain('alpha-1.0-0.conda');
    expect(await namesIn(`/pypi/t/${token}/admin/simple/`)).toEqual(['alpha-py', 'beta-py']);
  });

  it('for channels is refused in others that it would open, and sees what is public there', async () => {
    const carol = await admin.makeUser('carol');
    const token = await make({ channels: ['carol'] });
    expect(await statusOf(`/t/${token}/carol/noarch/repodata.json`)).toBe(200);
    const refused = await stand.askSecond(`/t/${token}/admin/noarch/repodata.json`);
    expect([refused.status, refused.text()]).toMatchObject([403, expect.stringContaining('limited to other channels')]);
    expect(await statusOf(`/t/${token}/admin/noarch/open-1.0-0.conda`)).toBe(200);
    expect(await api(token, '/package/admin/alpha')).toBe(403);
    const answered = await carol.call('GET', '/authentications');
    expect(answered.text()).not.toContain('t5');
    const { items } = (await admin.expectCall(200, 'GET', '/users/admin/tokens')).json<{
      items: { restrict: { channels?: string[] } }[];
    }>();
    expect(items.flatMap(({ restrict }) => restrict.channels ?? [])).toEqual(['carol']);
  });

  it('for addresses is refused from others, even where anybody may read', async () => {
    const elsewhere = await make({ cidrs: ['203.0.113.0/24'] });
    for (const path of [
      '/admin/noarch/repodata.json',
      '/admin/noarch/open-1.0-0.conda',
      '/admin/noarch/absent.conda',
    ]) {
      const refused = await stand.askSecond(`/t/${elsewhere}${path}`);
      expect([refused.status, refused.text()]).toMatchObject([403, expect.stringContaining('may not be used from')]);
      expect(refused.text()).not.toContain('203.0.113');
    }
    expect(await api(elsewhere, '/user')).toBe(403);
    expect(await statusOf(`/pypi/t/${elsewhere}/admin/simple/`)).toBe(403);
    const here = await make({ cidrs: ['127.0.0.0/8', '::1'] });
    expect(await statusOf(`/t/${here}/admin/noarch/alpha-1.0-0.conda`)).toBe(200);
    expect(await api(here, '/package/admin/alpha')).toBe(200);
    const uploads = new Publisher(stand.product, secrets, 'admin', here);
    await uploads.upload(condaPackage({ name: 'alpha', version: '3.0' }), { labels: ['try'] });
  });

  it('makes none that is broader than itself', async () => {
    const narrow = await make({ packages: ['alpha*'], cidrs: ['127.0.0.0/8'] }, { scopes: ['api', 'conda'] });
    const by = new Publisher(stand.product, secrets, 'admin', narrow);
    const ask = (body: object) => by.call('POST', '/authentications', { note: `t${++number}`, ...body });
    const refusals: readonly [string, object][] = [
      ['all is more', { scopes: ['all'] }],
      ['all is more', { scopes: [] }],
      ['pypi:download is more', { scopes: ['pypi:download'] }],
      ['the package beta is further', { scopes: ['api'], restrict: { packages: ['beta'] } }],
      ['the package * is further', { scopes: ['api'], restrict: { packages: ['*'] } }],
      ['the address block 0.0.0.0/0 is further', { scopes: ['api'], restrict: { cidrs: ['0.0.0.0/0'] } }],
      ['lives longer than itself', { scopes: ['api'], 'max-age': 366 * 86_400 }],
    ];
    for (const [sentence, body] of refusals) {
      const answered = await ask(body);
      expect([answered.status, answered.text()]).toMatchObject([403, expect.stringContaining(sentence)]);
    }
    const child = await make({ packages: ['alpha'] }, { scopes: ['conda:download'] }, by);
    expect(await statusOf(`/t/${child}/admin/noarch/alpha-1.0-0.conda`)).toBe(200);
    expect(await statusOf(`/t/${child}/admin/noarch/beta-1.0-0.conda`)).toBe(404);
    const { restrict } = (
      await new Publisher(stand.product, secrets, 'admin', child).expectCall(200, 'GET', '/authentication')
    ).json<{ restrict: object }>();
    expect(restrict).toEqual({ packages: ['alpha'], cidrs: ['127.0.0.0/8'] });
    await admin.expectCall(201, 'DELETE', '/authentications/name/t1');
  });

  it.each([
    [{ 'max-age': 0 }, 'give a number of seconds above 0'],
    [{ 'max-age': -1 }, 'give a number of seconds above 0'],
    [{ 'max-age': 200 * 365 * 86_400 }, 'ten years'],
    [{ 'max-age': '60' }, '"max-age" must be a whole number'],
    [{ scopes: ['conda:downlaod'] }, 'there is no scope "conda:downlaod"; there are all, api, api:read'],
  ])('is not made of %j, and the client is told why', async (body, sentence) => {
    const answered = await admin.call('POST', '/authentications', { note: 'wrong', scopes: ['all'], ...body });
    expect([answered.status, answered.json<{ error: string }>().error]).toEqual([
      400,
      expect.stringContaining(sentence),
    ]);
  });

  it('with ten uses gives ten files of every kind out of two hundred requests to two gateways', async () => {
    const token = await make({ uses: 10 }, { scopes: ['api:read', 'repos'] });
    const page = await stand.askFirst(`/pypi/t/${token}/admin/simple/alpha-py/`, {
      Accept: 'application/vnd.pypi.simple.v1+json',
    });
    const [file] = page.json<{ files: { url: string }[] }>().files;
    const wheelPath = new URL(file?.url ?? '', `http://x/pypi/t/${token}/admin/simple/alpha-py/`).pathname;
    const headers = { Authorization: `token ${token}` };
    const asks = [
      (at: 'askFirst' | 'askSecond') => stand[at](`/t/${token}/admin/noarch/alpha-1.0-0.conda`),
      (at: 'askFirst' | 'askSecond') => stand[at](wheelPath),
      (at: 'askFirst' | 'askSecond') => stand[at]('/api/download/admin/beta/1.0/noarch/beta-1.0-0.conda', headers),
      // Indexes, and what is not there, are free.
      (at: 'askFirst' | 'askSecond') => stand[at](`/t/${token}/admin/noarch/absent-1.0-0.conda`),
    ];
    const answers: Answered[] = await Promise.all(
      Array.from({ length: 200 }, (_, at) => {
        const ask = asks[at % asks.length] ?? asks[0];
        if (ask === undefined) throw new Error('no way to ask');
        return ask(at % 8 < 4 ? 'askFirst' : 'askSecond');
      }),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(new Set(statuses)).toEqual(new Set([200, 401, 404].filter((status) => statuses.includes(status))));
    const spent = await stand.askSecond(`/t/${token}/admin/noarch/repodata.json`);
    expect([spent.status, spent.text()]).toMatchObject([401, expect.stringContaining('no uses left')]);
  });

  it('that ends within 14 days is warned of by every door', async () => {
    const token = await make({}, { 'max-age': 3_600 });
    const headers = { Authorization: `token ${token}` };
    for (const [path, more] of [
      [`/t/${token}/admin/noarch/repodata.json`, {}],
      [`/t/${token}/admin/noarch/alpha-1.0-0.conda`, {}],
      [`/pypi/t/${token}/admin/simple/`, {}],
      ['/api/user', headers],
      ['/api/package/admin/none', headers],
    ] as const) {
      const answered = await stand.askSecond(path, more);
      expect(answered.headers['conda-token-warning']).toMatch(/^The token "t\d+" expires within a day, on /);
    }
  });

  it('of an account that is disabled counts nowhere from the answer on, nor does anything else of the account', async () => {
    const dora = await admin.makeUser('dora');
    await dora.upload(condaPackage({ name: 'own', version: '1.0' }), { isPrivate: true });
    const token = await make({}, {}, dora);
    const child = await make({}, {}, new Publisher(stand.product, secrets, 'dora', token));
    const session = await stand.product.api;
    const opened = await fetch(`${session}/session`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ login: 'dora', password: dora.password }),
    });
    const Cookie = secrets.keep('cookie of dora', (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '');
    const paths = [token, child].flatMap((each) => [
      `/t/${each}/dora/noarch/repodata.json`,
      `/t/${each}/dora/noarch/own-1.0-0.conda`,
      `/pypi/t/${each}/dora/simple/`,
    ]);
    const all = async () => [
      ...(await Promise.all(paths.flatMap((path) => [stand.askFirst(path), stand.askSecond(path)]))),
      await stand.askFirst('/api/user', { Cookie }),
      await stand.askSecond('/api/user', { Cookie }),
      await dora.call('GET', '/user'),
    ];
    const statuses = async () => [...new Set((await all()).map(({ status }) => status))];
    expect(await statuses()).toEqual([200]);

    await admin.expectCall(200, 'PATCH', '/users/dora', { disabled: true });
    expect(await statuses()).toEqual([401]);
    expect((await stand.askSecond(paths[0] ?? '')).text()).toContain('the account dora is disabled');
    const withPassword = await stand.askFirst('/api/authentications', {
      Authorization: `Basic ${Buffer.from(`dora:${dora.password}`).toString('base64')}`,
    });
    expect(withPassword.status).toBe(401);

    await admin.expectCall(200, 'PATCH', '/users/dora', { disabled: false });
    expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual(paths.map(() => 200));
    expect((await stand.askFirst('/api/user', { Cookie })).status).toBe(401);

    // All of them at once, by a superuser.
    await admin.expectCall(200, 'DELETE', '/users/dora/tokens');
    expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual(paths.map(() => 401));
  });

  describe('that has leaked', () => {
    const FOUND_AT = 'https://code.example/nora/build/blob/main/ci.yml#L7';
    let nora: Publisher;
    let unknown: string;

    beforeAll(async () => {
      nora = await admin.makeUser('nora');
      await nora.upload(condaPackage({ name: 'own', version: '1.0' }), { isPrivate: true });
      unknown = secrets.keep('a token that never was', mintToken(randomBytes));
    });

    /** By nobody, with nothing but what was found. */
    const report = (body: unknown): Promise<Answered> =>
      ask(`${stand.product.api}/leaked-tokens`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      });
    const inboxOf = async (who: Publisher) => {
      const { items } = (await who.expectCall(200, 'GET', '/inbox')).json<{
        items: readonly { kind: string; text: string; detail: object }[];
      }>();
      return items.filter(({ kind }) => kind === 'token.leaked');
    };
    const eventsOf = async (who: Publisher, owner: string) => {
      const { items } = (await who.expectCall(200, 'GET', `/audit?owner=${owner}`)).json<{
        items: readonly { action: string }[];
      }>();
      return items.filter(({ action }) => action === 'token.leaked');
    };

    it('is served by no gateway from the answer on to whoever reports it, and its owner is told where it was', async () => {
      const token = await make({}, {}, nora);
      const child = await make({}, {}, new Publisher(stand.product, secrets, 'nora', token));
      const paths = [token, child].flatMap((each) => [
        `/t/${each}/nora/noarch/repodata.json`,
        `/t/${each}/nora/noarch/own-1.0-0.conda`,
        `/pypi/t/${each}/nora/simple/`,
      ]);
      expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual(paths.map(() => 200));
      const poll = stand.poll(paths);
      await sleep(200);
      const text = `channels: [${stand.product.url}/t/${token}/nora]`;
      const answered = await report([
        { token: text, type: 'vivarium', url: `${FOUND_AT}&t=${token}`, source: 'content' },
      ]);
      expect([answered.status, answered.json()]).toEqual([200, { received: 1, malformed: [] }]);
      await sleep(200);
      const late = (await poll.stop()).filter(({ beganMs }) => beganMs > answered.headMs);
      expect(late.length).toBeGreaterThan(paths.length);
      expect(late.filter(({ isServed }) => isServed)).toEqual([]);
      expect(await Promise.all(paths.map((path) => statusOf(path)))).toEqual(paths.map(() => 401));

      const [[message, ...others], [event, ...more]] = [await inboxOf(nora), await eventsOf(nora, 'nora')];
      expect([others, more]).toEqual([[], []]);
      const url = `${FOUND_AT}&t=<token>`;
      expect(message?.text).toContain(`was reported as leaked and is revoked, and with it 1 that it made.`);
      expect(message?.text).toContain(`found here: ${url} (content)`);
      expect(event).toMatchObject({
        actor: '',
        credential: '',
        address: '127.0.0.1',
        resource: expect.stringMatching(/^token t\d+ of nora$/),
        before: { revoked: 2 },
        after: { url, source: 'content' },
      });
      expect(secrets.foundIn(JSON.stringify([message, event, answered.text()]))).toEqual([]);
    });

    it('is answered as one that never was and one that was revoked before; each is done once', async () => {
      const living = await make({}, {}, nora);
      const before = [(await inboxOf(nora)).length, (await eventsOf(nora, 'nora')).length];
      const answers: Answered[] = [];
      for (const token of [living, living, unknown]) answers.push(await report({ tokens: [{ token, url: FOUND_AT }] }));
      const told = answers.map(({ status, reason, told, text }) => JSON.stringify([status, reason, told, text()]));
      expect(new Set(told).size).toBe(1);
      expect(answers[0]?.status).toBe(200);
      const after = [(await inboxOf(nora)).length, (await eventsOf(nora, 'nora')).length];
      expect(after).toEqual(before.map((count) => count + 1));
    });

    it('of an organization is told to its owners', async () => {
      await nora.expectCall(201, 'POST', '/organizations', { login: 'norasworks', name: 'Works' });
      const olga = await admin.makeUser('olga');
      await nora.expectCall(204, 'PUT', '/group/norasworks/owners/members/olga');
      const token = await make({}, { user: 'norasworks' }, nora);
      expect(await statusOf(`/t/${token}/norasworks/noarch/repodata.json`)).toBe(200);
      expect((await report([{ token, url: FOUND_AT }])).status).toBe(200);
      expect(await statusOf(`/t/${token}/norasworks/noarch/repodata.json`)).toBe(401);
      const texts = [...(await inboxOf(olga)), ...(await inboxOf(nora)).slice(0, 1)].map(({ text }) => text);
      expect(texts).toEqual([1, 2].map(() => expect.stringMatching(/^The token "t\d+" of norasworks was reported/)));
      expect(await eventsOf(olga, 'norasworks')).toHaveLength(1);
    });

    it('is repeated by no refusal, nor is what is left of it', async () => {
      const cut = unknown.slice(0, -1);
      for (const body of [[{ token: cut }], [{ token: unknown, url: unknown }], { token: unknown }, unknown]) {
        const answered = await report(body);
        expect([answered.status, secrets.foundIn(answered.text())]).toEqual([400, []]);
        expect(answered.text()).not.toContain(cut.slice(0, 20));
      }
    });

    it('is reported thirty times a minute from one address', async () => {
      const statuses: number[] = [];
      let last: Answered | undefined;
      for (let reports = 0; reports < 31 && last?.status !== 429; reports++) {
        last = await report([]);
        statuses.push(last.status);
      }
      expect([new Set(statuses.slice(0, -1)), last?.status]).toEqual([new Set([400]), 429]);
      expect(Number(last?.headers['retry-after'])).toBeGreaterThan(0);
      expect(last?.json()).toMatchObject({ code: 'rate_limited' });
    });
  });

  it('is told of none of this in the logs', async () => {
    await sleep(100);
    expect([...secrets.toldBy(stand.product), ...secrets.foundIn(stand.second.said())]).toEqual([]);
  });
});
