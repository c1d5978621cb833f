import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { RunningAuthz } from './authz.fixture.js';

jest.setTimeout(120_000);

let authz: RunningAuthz;
let ann: Caller;
let bob: Caller;
let eve: Caller;

const ACME = 'acme';

beforeAll(async () => {
  authz = await RunningAuthz.start();
  [ann, bob, eve] = [authz.user('ann'), authz.user('bob'), authz.user('eve')];
});
afterAll(() => authz.stop());

beforeEach(async () => {
  await authz.pool.query('TRUNCATE members, groups, organizations, audit');
  authz.accounts.set(ACME, { id: 'id-acme', login: ACME, kind: 'organization', name: '' });
  await authz.addOrganization('id-acme', 'id-ann');
});

const groupsAs = async (caller: Caller | undefined) => (await authz.as(caller)).groups;
const devs = { organization: ACME, group: 'devs' } as const;

async function makeDevs(): Promise<void> {
  await (await groupsAs(ann)).create({ organization: ACME, name: 'devs', permission: 'write' });
}

async function standingOf(login: string) {
  const views = clientOf(Views, authz.bus, { assertion: await authz.assertionOf('gateway') });
  return (await views.viewOf({ accountId: `id-${login}`, accountKind: 'user', channelId: 'id-acme' })).standing;
}

async function trail(): Promise<string[]> {
  const { rows } = await authz.pool.query('SELECT actor, action, resource FROM audit ORDER BY id');
  return rows.map(({ actor, action, resource }) => `${actor} ${action} ${resource}`);
}

describe('groups', () => {
  it('are made, shown, listed, changed and deleted by an owner, each with one event of the trail', async () => {
    const groups = await groupsAs(ann);
    const made = await groups.create({ organization: ACME, name: 'devs', permission: 'write' });
    expect(made.group).toMatchObject({ organization: ACME, name: 'devs', permission: 'write', allPackages: false });
    expect((await groups.find({ organization: ACME, name: 'devs' })).group).toMatchObject({ members: 0n });
    expect((await groups.list({ organization: ACME })).groups.map(({ name, members }) => [name, members])).toEqual([
      ['devs', 0n],
      ['owners', 1n],
    ]);
    const changed = await groups.update({ organization: ACME, name: 'devs', newName: 'staff', allPackages: true });
    expect(changed.group).toMatchObject({ name: 'staff', permission: 'write', allPackages: true });
    await groups.update({ organization: ACME, name: 'staff', permission: 'read' });
    await groups.delete({ organization: ACME, name: 'staff' });
    await expect(groups.find({ organization: ACME, name: 'staff' })).rejects.toMatchObject({ code: 'not_found' });
    expect(await trail()).toEqual([
      'ann group.create group acme/devs',
      'ann group.update group acme/devs',
      'ann group.update group acme/staff',
      'ann group.delete group acme/staff',
    ]);
  });

  it('are listed in pages', async () => {
    const groups = await groupsAs(ann);
    for (const name of ['a', 'b', 'c']) await groups.create({ organization: ACME, name, permission: 'read' });
    const first = await groups.list({ organization: ACME, limit: 3 });
    expect([first.groups.map(({ name }) => name), first.next]).toEqual([['a', 'b', 'c'], 'c']);
    const rest = await groups.list({ organization: ACME, after: first.next, limit: 3 });
    expect([rest.groups.map(({ name }) => name), rest.next]).toEqual([['owners'], '']);
  });

  it('are listed over all organizations to who is in them', async () => {
    await makeDevs();
    await (await groupsAs(ann)).addMember({ ...devs, login: 'bob' });
    expect((await (await groupsAs(bob)).list({})).groups).toMatchObject([{ organization: ACME, name: 'devs' }]);
    expect((await (await groupsAs(eve)).list({})).groups).toEqual([]);
    const elsewhere = authz.token(bob, { restrictions: { channels: ['id-other'] } });
    expect((await (await groupsAs(elsewhere)).list({})).groups).toEqual([]);
  });

  it.each([
    ['a name with a slash', { name: 'a/b' }, 'invalid', 'use 1 to 63 characters'],
    ['a name with a capital', { name: 'Devs' }, 'invalid', 'use 1 to 63 characters'],
    ['a name of a look-alike', { name: 'dеvs' }, 'invalid', 'use 1 to 63 characters'],
    ['no name', { name: '' }, 'invalid', 'use 1 to 63 characters'],
    ['a permission that there is not', { permission: 'own' }, 'invalid', 'use read, write or admin'],
    ['a second group owners', { name: 'owners' }, 'conflict', 'There is a group owners already'],
  ])('are refused with %s', async (_, asked, code, words) => {
    const made = (await groupsAs(ann)).create({ organization: ACME, name: 'x', permission: 'read', ...asked });
    await expect(made).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    expect(await trail()).toEqual([]);
  });

  it.each([
    ['renamed', { newName: 'bosses' }],
    ['given less', { permission: 'read' }],
    ['given a part', { allPackages: false }],
    ['deleted', 'delete'],
  ] as const)('named owners is never %s', async (_, change) => {
    const groups = await groupsAs(ann);
    const named = { organization: ACME, name: 'owners' };
    const refused = change === 'delete' ? groups.delete(named) : groups.update({ ...named, ...change });
    const message = expect.stringContaining('The group owners stays as it is');
    await expect(refused).rejects.toMatchObject({ code: 'conflict', message });
  });

  it('take no name of another group', async () => {
    await makeDevs();
    const renamed = (await groupsAs(ann)).update({ organization: ACME, name: 'devs', newName: 'owners' });
    await expect(renamed).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('members', () => {
  it('are added, twice if need be, listed, found and removed', async () => {
    await makeDevs();
    const groups = await groupsAs(ann);
    await groups.addMember({ ...devs, login: 'bob' });
    await groups.addMember({ ...devs, login: 'bob' });
    expect((await groups.members(devs)).members).toMatchObject([{ login: 'bob', name: 'BOB' }]);
    expect((await groups.findMember({ ...devs, login: 'bob' })).member).toMatchObject({ login: 'bob' });
    await expect(groups.findMember({ ...devs, login: 'eve' })).rejects.toMatchObject({ code: 'not_found' });
    expect(await standingOf('bob')).toMatchObject({ member: true, groups: [{ name: 'devs', permission: 'write' }] });
    await groups.removeMember({ ...devs, login: 'bob' });
    expect(await standingOf('bob')).toMatchObject({ member: false, groups: [] });
    await expect(groups.removeMember({ ...devs, login: 'bob' })).rejects.toMatchObject({ code: 'not_found' });
    expect(await trail()).toEqual([
      'ann group.create group acme/devs',
      'ann group.add_member group acme/devs',
      'ann group.remove_member group acme/devs',
    ]);
  });

  it('are listed in pages', async () => {
    await makeDevs();
    const groups = await groupsAs(ann);
    for (const login of ['bob', 'eve', 'ann']) await groups.addMember({ ...devs, login });
    const first = await groups.members({ ...devs, limit: 2 });
    const rest = await groups.members({ ...devs, limit: 2, after: first.next });
    expect([...first.members, ...rest.members].map(({ login }) => login).sort()).toEqual(['ann', 'bob', 'eve']);
    expect([first.members.length, rest.next]).toEqual([2, '']);
  });

  it('are users that exist', async () => {
    await makeDevs();
    const groups = await groupsAs(ann);
    const nobody = { code: 'not_found', message: 'There is no user "nobody".' };
    await expect(groups.addMember({ ...devs, login: 'nobody' })).rejects.toMatchObject(nobody);
    await expect(groups.addMember({ ...devs, login: ACME })).rejects.toMatchObject({ code: 'invalid' });
    await expect(groups.addMember({ ...devs, group: 'none', login: 'bob' })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('"anaconda groups show acme" lists those that there are'),
    });
  });

  it('leave one owner at least, whoever removes whom at the same time', async () => {
    const groups = await groupsAs(ann);
    const owners = { organization: ACME, group: 'owners' };
    await expect(groups.removeMember({ ...owners, login: 'ann' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('add another one first'),
    });
    await groups.addMember({ ...owners, login: 'bob' });
    const both = [groups.removeMember({ ...owners, login: 'bob' })];
    both.push((await groupsAs(bob)).removeMember({ ...owners, login: 'ann' }));
    expect((await Promise.allSettled(both)).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const { rows } = await authz.pool.query('SELECT count(*)::int AS count FROM members');
    expect(rows).toEqual([{ count: 1 }]);
  });
});

describe('a user who is added to a group', () => {
  async function until(count: number): Promise<unknown[]> {
    for (let tries = 0; authz.messages.size < count && tries < 400; tries++) await sleep(50);
    return [...authz.messages.values()];
  }

  beforeEach(async () => {
    authz.messages.clear();
    authz.beforeMessage = async () => undefined;
    await makeDevs();
  });

  it('is told by whom, to which, and what it gives; once, and not of what it did itself', async () => {
    const groups = await groupsAs(ann);
    await groups.addMember({ ...devs, login: 'ann' });
    await groups.addMember({ ...devs, login: 'bob' });
    await groups.addMember({ ...devs, login: 'bob' });
    await groups.create({ organization: ACME, name: 'all', permission: 'read', allPackages: true });
    await groups.addMember({ organization: ACME, group: 'all', login: 'eve' });
    const [first, second] = await until(2);
    const text = 'ann added you to the group devs of acme. You may read and write the packages of the group now.';
    expect(first).toEqual({ accountId: 'id-bob', kind: 'group.added', text });
    expect(second).toMatchObject({ accountId: 'id-eve', text: expect.stringContaining('read all packages of acme') });
    expect(authz.messages.size).toBe(2);
  });

  it('is told later when identity is away, and the change does not wait for it', async () => {
    let tries = 0;
    authz.beforeMessage = async () => {
      tries++;
      throw new Fault('unavailable', 'identity is away');
    };
    await (await groupsAs(ann)).addMember({ ...devs, login: 'bob' });
    while (tries === 0) await sleep(20);
    authz.beforeMessage = async () => undefined;
    expect(await until(1)).toHaveLength(1);
    for (let left = 1; left > 0; ) {
      left = (await authz.pool.query('SELECT 1 FROM deliveries')).rows.length;
      if (left > 0) await sleep(50);
    }
  });
});

describe('who may', () => {
  const asks: readonly (readonly [string, (groups: Awaited<ReturnType<typeof groupsAs>>) => Promise<unknown>])[] = [
    ['list', (groups) => groups.list({ organization: ACME })],
    ['find', (groups) => groups.find({ organization: ACME, name: 'devs' })],
    ['members', (groups) => groups.members(devs)],
    ['find a member', (groups) => groups.findMember({ ...devs, login: 'bob' })],
    ['create', (groups) => groups.create({ organization: ACME, name: 'more', permission: 'read' })],
    ['update', (groups) => groups.update({ organization: ACME, name: 'devs', permission: 'read' })],
    ['add', (groups) => groups.addMember({ ...devs, login: 'eve' })],
    ['remove', (groups) => groups.removeMember({ ...devs, login: 'bob' })],
    ['delete', (groups) => groups.delete({ organization: ACME, name: 'devs' })],
  ];

  beforeEach(async () => {
    await makeDevs();
    await (await groupsAs(ann)).addMember({ ...devs, login: 'bob' });
  });

  async function codesOf(caller: Caller | undefined): Promise<string[]> {
    const groups = await groupsAs(caller);
    const codes: string[] = [];
    for (const [, asked] of asks) {
      codes.push(
        await asked(groups).then(
          () => 'ok',
          (error: { readonly code: string }) => error.code,
        ),
      );
    }
    return codes;
  }

  const all = (code: string) => asks.map(() => code);
  const reads = (code: string, other: string) => asks.map((_, at) => (at < 4 ? code : other));

  it('owners do everything', async () => {
    expect(await codesOf(ann)).toEqual(all('ok'));
  });

  it('members look', async () => {
    expect(await codesOf(bob)).toEqual(reads('ok', 'forbidden'));
  });

  it('nobody else learns that there is such an organization', async () => {
    expect(await codesOf(eve)).toEqual(all('not_found'));
    expect(await codesOf(undefined)).toEqual(all('unauthenticated'));
    const sentences = [ACME, 'nowhere', 'bob'].map(async (organization) => {
      const error = await (await groupsAs(eve)).list({ organization }).catch((caught: Error) => caught);
      return `${error}`.replace(organization, 'it');
    });
    expect(new Set(await Promise.all(sentences)).size).toBe(1);
  });

  it.each([
    ['api:read', reads('ok', 'forbidden')],
    ['api:modify-group', reads('forbidden', 'ok')],
    ['api', all('ok')],
    ['api:write', all('forbidden')],
    ['conda', all('forbidden')],
  ])('a token of an owner with the scope %s does what it says', async (scope, codes) => {
    expect(await codesOf(authz.token(ann, { scopes: [scope] }))).toEqual(codes);
  });

  it('a token that is limited to a part of the channel changes no group', async () => {
    const token = authz.token(ann, { restrictions: { packages: ['tool*'] } });
    expect(await codesOf(token)).toEqual(reads('ok', 'forbidden'));
  });

  it('a token that is limited to an address does so from there', async () => {
    const restrictions = { cidrs: ['192.0.2.0/24'] };
    expect(await codesOf(authz.token(ann, { restrictions, address: '198.51.100.1' }))).toEqual(all('forbidden'));
    expect(await codesOf(authz.token(ann, { restrictions, address: '192.0.2.7' }))).toEqual(all('ok'));
  });

  it('the token of the organization is an owner, that of another one nobody', async () => {
    authz.accounts.set('umbrella', { id: 'id-umbrella', login: 'umbrella', kind: 'organization', name: '' });
    await authz.addOrganization('id-umbrella', 'id-ann');
    const of = (login: string) => authz.token(ann, { accountId: `id-${login}`, login, accountKind: 'organization' });
    expect(await codesOf(of('umbrella'))).toEqual(all('not_found'));
    expect(await codesOf(of(ACME))).toEqual(all('ok'));
  });

  it('an owner who is one no more when the change is made does not make it', async () => {
    const owners = { organization: ACME, group: 'owners' };
    await (await groupsAs(ann)).addMember({ ...owners, login: 'eve' });
    const before = (await trail()).length;
    authz.beforeFind = async (login) => {
      if (login !== 'bob') return;
      authz.beforeFind = async () => undefined;
      await (await groupsAs(ann)).removeMember({ ...owners, login: 'eve' });
    };
    const added = (await groupsAs(eve)).addMember({ ...owners, login: 'bob' });
    await expect(added).rejects.toMatchObject({ code: 'forbidden' });
    expect((await trail()).slice(before)).toEqual(['ann group.remove_member group acme/owners']);
  });

  it('a token that was revoked a moment ago changes nothing', async () => {
    const token = authz.token(ann, { credentialId: 'gone' });
    authz.revoked.add('gone');
    expect((await codesOf(token)).slice(4)).toEqual(asks.slice(4).map(() => 'unauthenticated'));
  });
});
