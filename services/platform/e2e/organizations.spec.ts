import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { closeChannel } from './stranger-sweep.js';
import { hasNats, TwoGateways } from './two-gateways.js';

jest.setTimeout(300_000);

const secrets = new Secrets();

/** A token that an organization owns, made by one of its owners. */
async function organizationToken(owner: Publisher, organization: string, name: string): Promise<string> {
  const wish = { scopes: ['all'], note: name, hostname: 'test', user: organization, 'fail-if-exists': true };
  const answered = await owner.expectCall(200, 'POST', '/authentications', wish);
  return secrets.keep(`token ${name}`, answered.json<{ token: string }>().token);
}

async function makeOrganization(owner: Publisher, login: string): Promise<void> {
  await owner.expectCall(201, 'POST', '/organizations', { login });
}

describe('organizations', () => {
  let product: Product;
  let alice: Publisher;
  let bob: Publisher;
  let eve: Publisher;
  let stranger: Publisher;

  beforeAll(async () => {
    product = await startProduct();
    const admin = await Publisher.admin(product, secrets);
    [alice, bob, eve] = [await admin.makeUser('alice'), await admin.makeUser('bob'), await admin.makeUser('eve')];
    stranger = new Publisher(product, secrets, 'nobody');
    await makeOrganization(alice, 'acme');
  });
  afterAll(() => product?.stop());

  it('are made by anybody who is signed in, and shown like users', async () => {
    const made = await bob.expectCall(201, 'POST', '/organizations', { login: 'Initech', name: 'Initech Inc.' });
    expect(made.json()).toMatchObject({ login: 'initech', user_type: 'org', name: 'Initech Inc.' });
    for (const asker of [bob, eve, stranger]) {
      expect((await asker.expectCall(200, 'GET', '/user/initech')).json()).toMatchObject({ user_type: 'org' });
    }
    const profile = { description: 'Makes things.\nMany.', url: 'https://initech.test', location: 'Austin' };
    expect((await bob.expectCall(200, 'PATCH', '/organizations/initech', profile)).json()).toMatchObject(profile);
    expect((await stranger.expectCall(200, 'GET', '/user/initech')).json()).toMatchObject(profile);
    for (const change of [{ url: 'javascript:alert(1)' }, { company: 'x'.repeat(201) }, { location: 'a\nb' }]) {
      expect((await bob.call('PATCH', '/organizations/initech', change)).status).toBe(400);
    }
    expect((await bob.expectCall(200, 'GET', '/user/orgs')).json()).toMatchObject([{ login: 'initech' }]);
    expect((await stranger.expectCall(200, 'GET', '/users/bob/orgs')).json()).toMatchObject([{ login: 'initech' }]);
  });

  it.each([
    ['acme', 409, 'is taken'],
    ['alice', 409, 'is taken'],
    ['conda', 400, 'is a word of this server'],
    ['orgs', 400, 'is a word of this server'],
    ['a', 400, 'is no login'],
    ['аcme', 400, 'is no login'],
    ['-acme', 400, 'is no login'],
  ])('are not called %s', async (login, status, words) => {
    const refused = await bob.call('POST', '/organizations', { login });
    expect([refused.status, refused.text()]).toEqual([status, expect.stringContaining(words)]);
  });

  it('are published to by their owners, and by groups as far as they reach', async () => {
    const demo = (version: string) => condaPackage({ name: 'demo', version });
    await alice.upload(demo('1.0'), { owner: 'acme', isPrivate: true });
    await alice.upload(condaPackage({ name: 'other', version: '1.0' }), { owner: 'acme', isPrivate: true });
    await expect(bob.upload(demo('1.1'), { owner: 'acme' })).rejects.toMatchObject({ status: 403 });
    await alice.expectCall(204, 'POST', '/group/acme/devs', { perms: 'write' });
    await alice.expectCall(204, 'PUT', '/group/acme/devs/members/bob');
    await alice.expectCall(204, 'PUT', '/group/acme/devs/packages/demo');
    await bob.upload(demo('1.1'), { owner: 'acme' });
    expect((await bob.call('GET', '/package/acme/other')).status).toBe(404);
    expect((await alice.expectCall(200, 'GET', '/groups/acme')).json()).toMatchObject({
      groups: [
        { name: 'devs', permission: 'write', members_count: 1 },
        { name: 'owners', permission: 'admin', all_packages: true },
      ],
    });
    const packages = (await alice.expectCall(200, 'GET', '/group/acme/devs/packages')).json();
    expect(packages).toMatchObject([{ full_name: 'acme/demo' }]);
    await alice.expectCall(200, 'PATCH', '/group/acme/devs', { permission: 'read', all_packages: true });
    expect((await bob.call('GET', '/package/acme/other')).status).toBe(200);
    await expect(bob.upload(demo('1.2'), { owner: 'acme' })).rejects.toMatchObject({ status: 403 });
    await alice.expectCall(204, 'DELETE', '/group/acme/devs/members/bob');
    expect((await bob.call('GET', '/package/acme/demo')).status).toBe(404);
    expect((await eve.call('GET', '/groups/acme')).status).toBe(404);
    expect((await stranger.call('GET', '/groups/acme')).status).toBe(401);
  });

  it('are shown to whoever may upload to them, and to nobody else, where new packages are private', async () => {
    await makeOrganization(alice, 'shut');
    await alice.upload(condaPackage({ name: 'inner', version: '1.0' }), { owner: 'shut', isPrivate: true });
    await closeChannel(alice, 'shut');
    const seen = async (by: Publisher) => {
      const [user, orgs] = [await by.call('GET', '/user/shut'), await by.call('GET', '/users/alice/orgs')];
      return [user.status, orgs.text().includes('"shut"')];
    };
    expect([await seen(alice), await seen(bob)]).toEqual([
      [200, true],
      [404, false],
    ]);
    const [hidden, missing] = [await bob.call('GET', '/user/shut'), await bob.call('GET', '/user/shun')];
    expect(hidden.text()).toBe(missing.text().replaceAll('shun', 'shut'));
    expect((await stranger.call('GET', '/user/shut')).status).toBe(401);
    await alice.expectCall(204, 'POST', '/group/shut/devs', { perms: 'write' });
    await alice.expectCall(204, 'PUT', '/group/shut/devs/packages/inner');
    await alice.expectCall(204, 'PUT', '/group/shut/devs/members/bob');
    expect(await seen(bob)).toEqual([200, true]);
    await alice.expectCall(204, 'DELETE', '/group/shut/devs');
    expect(await seen(bob)).toEqual([404, false]);
    await alice.expectCall(201, 'PUT', '/packages/shut/inner/collaborators/bob', { permission: 'write' });
    expect(await seen(bob)).toEqual([200, true]);
  });

  it('keep one owner, whoever leaves', async () => {
    expect((await alice.call('PUT', '/group/initech/owners/members/alice')).status).toBe(404);
    await bob.expectCall(204, 'PUT', '/group/initech/owners/members/alice');
    const left = await Promise.all([
      bob.call('DELETE', '/group/initech/owners/members/alice'),
      alice.call('DELETE', '/group/initech/owners/members/bob'),
    ]);
    expect(left.filter(({ status }) => status === 204)).toHaveLength(1);
    const who = left[0]?.status === 204 ? bob : alice;
    const last = await who.call('DELETE', `/group/initech/owners/members/${who.login}`);
    expect([last.status, last.text()]).toEqual([409, expect.stringContaining('add another one first')]);
  });

  it('go for ever, with all they hold when told so', async () => {
    await makeOrganization(alice, 'gone');
    await alice.upload(condaPackage({ name: 'thing', version: '1.0' }), { owner: 'gone' });
    await alice.upload(wheel({ name: 'pything', version: '1.0' }), { owner: 'gone' });
    const token = await organizationToken(alice, 'gone', 'org');
    const base = product.url;
    const addresses = [
      '/conda/gone/noarch/repodata.json',
      '/conda/gone/noarch/thing-1.0-0.conda',
      '/pypi/gone/simple/',
    ];
    for (const path of addresses) expect((await ask(base + path)).status).toBe(200);
    expect((await ask(`${base}/t/${token}/gone/noarch/repodata.json`)).status).toBe(200);

    for (const [by, body, status] of [
      [alice, { confirm: 'gone' }, 409],
      [alice, { confirm: 'acme', delete_packages: true }, 400],
      [alice, {}, 400],
      [bob, { confirm: 'gone', delete_packages: true }, 404],
    ] as const) {
      expect((await by.call('DELETE', '/organizations/gone', body)).status).toBe(status);
    }
    const answered = await alice.expectCall(200, 'DELETE', '/organizations/gone', {
      confirm: 'gone',
      delete_packages: true,
    });
    expect(answered.json()).toMatchObject({ deleted_packages: 2 });

    for (const path of addresses) {
      const [now, never] = [await ask(base + path), await ask(base + path.replace('gone', 'never'))];
      expect([now.status, now.text().replaceAll('gone', 'never')]).toEqual([401, never.text()]);
    }
    for (const path of ['/user/gone', '/package/gone/thing', '/packages/gone', '/groups/gone']) {
      expect((await alice.call('GET', path)).status).toBe(404);
    }
    expect((await ask(`${base}/t/${token}/gone/noarch/repodata.json`)).status).toBe(401);
    expect((await alice.call('DELETE', '/organizations/gone', { confirm: 'gone' })).status).toBe(404);
    expect((await alice.call('POST', '/organizations', { login: 'gone' })).status).toBe(409);
    expect((await alice.expectCall(200, 'GET', '/user/orgs')).text()).not.toContain('gone');
    const checked = await product.command(['fsck']);
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringContaining(': 0 differences')]);
  });
});

(hasNats ? describe : describe.skip)('in every gateway, as soon as the answer is there', () => {
  let stand: TwoGateways;
  let alice: Publisher;
  let bob: Publisher;

  beforeAll(async () => {
    stand = await TwoGateways.start();
    const admin = await Publisher.admin(stand.product, secrets);
    [alice, bob] = [await admin.makeUser('alice'), await admin.makeUser('bob')];
    await makeOrganization(alice, 'acme');
    await alice.upload(condaPackage({ name: 'secret', version: '1.0' }), { owner: 'acme', isPrivate: true });
  });
  afterAll(() => stand?.stop());

  const FILE = 'acme/noarch/secret-1.0-0.conda';

  it('a token of the organization ends when its maker stops being an owner', async () => {
    await alice.expectCall(204, 'PUT', '/group/acme/owners/members/bob');
    const token = await organizationToken(bob, 'acme', 'suspended');
    expect((await stand.askSecond(`/t/${token}/${FILE}`)).status).toBe(200);
    await alice.expectCall(204, 'DELETE', '/group/acme/owners/members/bob');
    for (const ask of [stand.askFirst, stand.askSecond]) {
      const answered = await ask.call(stand, `/t/${token}/${FILE}`);
      expect([answered.status, answered.text()]).toEqual([401, expect.stringContaining('suspended')]);
    }
    await alice.expectCall(204, 'PUT', '/group/acme/owners/members/bob');
    expect((await stand.askSecond(`/t/${token}/${FILE}`)).status).toBe(200);
    await alice.expectCall(204, 'DELETE', '/group/acme/owners/members/bob');
  });

  it('a token of a member reads what the groups of its owner cover, and no longer', async () => {
    const token = await bob.makeToken({ name: 'reader', scopes: ['repos'] });
    const status = async () => (await stand.askSecond(`/t/${token}/${FILE}`)).status;
    expect(await status()).toBe(404);
    await alice.expectCall(204, 'POST', '/group/acme/readers', { all_packages: true });
    await alice.expectCall(204, 'PUT', '/group/acme/readers/members/bob');
    expect(await status()).toBe(200);
    await alice.expectCall(200, 'PATCH', '/group/acme/readers', { all_packages: false });
    expect(await status()).toBe(404);
    await alice.expectCall(204, 'PUT', '/group/acme/readers/packages/secret');
    expect(await status()).toBe(200);
    await alice.expectCall(204, 'DELETE', '/group/acme/readers');
    expect(await status()).toBe(404);
  });

  it('a deleted organization and its tokens are gone', async () => {
    const token = await organizationToken(alice, 'acme', 'last');
    expect((await stand.askSecond(`/t/${token}/${FILE}`)).status).toBe(200);
    await alice.expectCall(200, 'DELETE', '/organizations/acme', { confirm: 'acme', delete_packages: true });
    expect((await stand.askSecond(`/t/${token}/${FILE}`)).status).toBe(401);
    const [gone, never] = [await stand.askSecond(`/conda/${FILE}`), await stand.askSecond(`/conda/${FILE}`)];
    expect([gone.status, gone.text()]).toEqual([401, never.text()]);
  });
});
