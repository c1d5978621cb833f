import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { productTarget } from '@vivarium/testkit/product';
import type { Answered } from './ask.js';
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

  it('is told of none of this in the logs', async () => {
    await sleep(100);
    expect([...secrets.toldBy(stand.product), ...secrets.foundIn(stand.second.said())]).toEqual([]);
  });
});
