import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, condaFormats, shardsOf, simpleFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

const ROUNDS = 3;
const secrets = new Secrets();
let product: Product;
let alice: Publisher;
let bob: Publisher;
let bobs: string;

beforeAll(async () => {
  product = await startProduct();
  const admin = await Publisher.admin(product, secrets);
  [alice, bob] = [await admin.makeUser('alice'), await admin.makeUser('bob')];
  bobs = await bob.makeToken({ name: 'reading', scopes: ['repos'] });
  await alice.expectCall(201, 'POST', '/organizations', { login: 'acme' });
});
afterAll(() => product?.stop());

const filesOf = (name: string) => [condaPackage({ name, version: '1.0' }), wheel({ name, version: '1.0' })];

async function publish(owner: string, name: string, isPrivate = true): Promise<void> {
  for (const file of filesOf(name)) await alice.upload(file, { owner, isPrivate });
}

/** Where an index names the package: `nowhere`, `everywhere`, or in which formats. Files of Python spell it with `_`. */
async function shown(channel: string, name: string, token?: string): Promise<string> {
  const formats = {
    ...(await condaFormats({ product, channel, token })),
    ...(await simpleFormats({ product, channel, token })),
  };
  const there = Object.entries(formats).filter(([, names]) =>
    names.some((each) => each.replaceAll('_', '-').startsWith(name)),
  );
  if (there.length === 0) return 'nowhere';
  return there.length === Object.keys(formats).length ? 'everywhere' : there.map(([format]) => format).join(', ');
}

const artifact = (channel: string, name: string, token?: string) =>
  ask(`${condaBase({ product, channel, token })}/noarch/${name}-1.0-0.conda`);

it('a collaborator sees the package in every format when that is answered, and no more when it is taken back', async () => {
  await publish('alice', 'shared');
  await publish('alice', 'unshared');
  const at = '/packages/alice/shared/collaborators';
  let shard: string | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    expect([await shown('alice', 'shared', bobs), (await artifact('alice', 'shared', bobs)).status]).toEqual([
      'nowhere',
      404,
    ]);
    if (shard !== undefined) expect((await ask(shard)).status).toBe(404);
    await alice.expectCall(201, 'PUT', `${at}/bob`, round === 0 ? undefined : { permission: 'read' });
    expect([await shown('alice', 'shared', bobs), (await artifact('alice', 'shared', bobs)).status]).toEqual([
      'everywhere',
      200,
    ]);
    expect([await shown('alice', 'unshared', bobs), await shown('alice', 'shared')]).toEqual(['nowhere', 'nowhere']);
    shard = (await shardsOf(`${condaBase({ product, channel: 'alice', token: bobs })}/noarch`)).get('shared');
    expect(shard === undefined ? 0 : (await ask(shard)).status).toBe(200);
    expect((await alice.expectCall(200, 'GET', at)).json()).toMatchObject([{ login: 'bob', name: '' }]);
    await alice.expectCall(201, 'DELETE', `${at}/bob`);
  }
  expect(await shown('alice', 'shared', bobs)).toBe('nowhere');
  expect((await bob.call('GET', '/package/alice/shared')).status).toBe(404);
});

it('a collaborator who may read may not upload, and is told so; one who may write may, to this package', async () => {
  const at = '/packages/alice/shared/collaborators/bob';
  const next = condaPackage({ name: 'shared', version: '2.0' });
  await alice.expectCall(201, 'PUT', at, { permission: 'read' });
  await expect(bob.upload(next, { owner: 'alice' })).rejects.toMatchObject({
    status: 403,
    text: expect.stringContaining('as a collaborator, bob has read only'),
  });
  await alice.expectCall(201, 'PUT', at);
  await bob.upload(next, { owner: 'alice' });
  await expect(
    bob.upload(condaPackage({ name: 'unshared', version: '2.0' }), { owner: 'alice' }),
  ).rejects.toMatchObject({
    status: 403,
  });
  await bob.expectCall(403, 'PUT', '/packages/alice/shared/collaborators/bob');
  const absent = await bob.expectCall(404, 'PUT', '/packages/alice/unshared/collaborators/bob');
  expect(absent.json()).toMatchObject({ error: 'package "alice/unshared" does not exist' });
  await alice.expectCall(201, 'DELETE', at);
});

it('a group covers a package for its members from one answer to the next', async () => {
  await publish('acme', 'engine');
  await alice.expectCall(204, 'POST', '/group/acme/devs', { perms: 'read' });
  await alice.expectCall(204, 'PUT', '/group/acme/devs/members/bob');
  for (let round = 0; round < ROUNDS; round++) {
    expect(await shown('acme', 'engine', bobs)).toBe('nowhere');
    await alice.expectCall(204, 'PUT', '/group/acme/devs/packages/engine');
    expect([await shown('acme', 'engine', bobs), await shown('acme', 'engine')]).toEqual(['everywhere', 'nowhere']);
    await alice.expectCall(204, 'DELETE', '/group/acme/devs/packages/engine');
  }
  expect(await shown('acme', 'engine', bobs)).toBe('nowhere');
});

it('many packages change who may read them at once, in one generation', async () => {
  const names = ['many-a', 'many-b', 'many-c'];
  for (const name of names) await publish('alice', name, false);
  expect(await shown('alice', 'many-a')).toBe('everywhere');
  for (const [visibility, anybody, signedIn] of [
    ['private', 'nowhere', 'nowhere'],
    ['authenticated', 'nowhere', 'everywhere'],
    ['public', 'everywhere', 'everywhere'],
    ['private', 'nowhere', 'nowhere'],
  ] as const) {
    const answer = await alice.expectCall(200, 'POST', '/packages/alice/visibility', { packages: names, visibility });
    expect(answer.json()).toMatchObject({ changed: names, index: 'ready' });
    for (const name of names) {
      expect([name, await shown('alice', name), await shown('alice', name, bobs)]).toEqual([name, anybody, signedIn]);
    }
  }
  const refused = await alice.expectCall(404, 'POST', '/packages/alice/visibility', {
    packages: ['many-a', 'absent'],
    visibility: 'public',
  });
  expect(refused.json()).toMatchObject({ error: 'package "alice/absent" does not exist' });
  expect(await shown('alice', 'many-a')).toBe('nowhere');
});

it('a channel whose default is not public is hidden while there is nothing to see in it', async () => {
  const carol = await (await Publisher.admin(product, secrets)).makeUser('carol');
  const reads = async (token?: string) =>
    (await ask(`${condaBase({ product, channel: 'carol', token })}/noarch/repodata.json`)).status;
  for (let round = 0; round < ROUNDS; round++) {
    expect([await reads(), await reads(bobs)]).toEqual([200, 200]);
    await carol.expectCall(200, 'PUT', '/packages/carol/default-visibility', { visibility: 'private' });
    expect([await reads(), await reads(bobs)]).toEqual([401, 403]);
    expect((await bob.call('GET', '/user/carol')).status).toBe(404);
    expect((await carol.expectCall(200, 'GET', '/user/carol')).json()).toMatchObject({ default_visibility: 'private' });
    await carol.expectCall(200, 'PUT', '/packages/carol/default-visibility', { visibility: 'public' });
  }
  await carol.expectCall(200, 'PUT', '/packages/carol/default-visibility', { visibility: 'private' });
  // As the client sends it, always with `public: true`.
  await carol.upload(condaPackage({ name: 'quiet', version: '1.0' }));
  expect((await carol.expectCall(200, 'GET', '/package/carol/quiet')).json()).toMatchObject({ visibility: 'private' });
  expect([await reads(), await reads(bobs)]).toEqual([401, 403]);
  await bob.expectCall(404, 'PUT', '/packages/carol/default-visibility', { visibility: 'public' });
});

it('leaves nothing for fsck to find', async () => {
  const { code, stdout } = await product.command(['fsck']);
  expect([code, stdout]).toEqual([0, expect.stringContaining(': 0 differences')]);
});
