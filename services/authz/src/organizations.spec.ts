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

beforeAll(async () => {
  authz = await RunningAuthz.start();
  [ann, bob, eve] = [authz.user('ann'), authz.user('bob'), authz.user('eve')];
});
afterAll(() => authz.stop());

const organizationsAs = async (caller: Caller | undefined) => (await authz.as(caller)).organizations;

async function rows(): Promise<unknown> {
  const counts = 'SELECT (SELECT count(*)::int FROM organizations) o, (SELECT count(*)::int FROM groups) g';
  return (await authz.pool.query(`${counts}, (SELECT count(*)::int FROM members) m`)).rows[0];
}

describe('making an organization', () => {
  it('makes its maker the owner, under the id that identity gives the login', async () => {
    const { account } = await (await organizationsAs(ann)).create({ login: 'acme', name: 'Acme' });
    expect(account).toMatchObject({ login: 'acme', kind: 'organization' });
    const views = clientOf(Views, authz.bus, { assertion: await authz.assertionOf('packages') });
    const asked = { accountId: 'id-ann', accountKind: 'user', channelId: account?.id ?? '' };
    expect((await views.viewOf(asked)).standing).toMatchObject({ owner: true, groups: [{ name: 'owners' }] });
  });

  it('leaves nothing behind when the login is refused', async () => {
    const before = await rows();
    const again = (await organizationsAs(bob)).create({ login: 'acme' });
    await expect(again).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('is taken') });
    expect(await rows()).toEqual(before);
  });

  it('leaves its owners when nobody knows whether the account is made', async () => {
    authz.beforeAccount = async () => {
      throw new Fault('unavailable', 'identity is away');
    };
    try {
      const made = (await organizationsAs(bob)).create({ login: 'maybe' });
      await expect(made).rejects.toMatchObject({ code: 'unavailable' });
    } finally {
      authz.beforeAccount = async () => undefined;
    }
    const { rows: found } = await authz.pool.query("SELECT 1 FROM members WHERE account_id = 'id-bob'");
    expect(found).toHaveLength(1);
    // It has no account: it is in no list.
    expect((await (await organizationsAs(bob)).ofUser({})).accounts).toEqual([]);
  });

  it.each([
    ['with the scope api', { scopes: ['api'] }, 'ok'],
    ['with api:write', { scopes: ['api:write'] }, 'lacks the scope api'],
    ['limited to other channels', { restrictions: { channels: ['id-acme'] } }, 'limited to other channels'],
    ['limited to packages', { restrictions: { packages: ['x'] } }, 'limited to a part of the channel'],
    ['of an organization', { accountKind: 'organization' }, 'only users make organizations'],
  ])('by a token %s', async (name, init, words) => {
    const login = `by-${name.replace(/\W/g, '-')}`;
    const made = (await organizationsAs(authz.token(ann, init))).create({ login });
    if (words === 'ok') expect((await made).account?.login).toBe(login);
    else await expect(made).rejects.toMatchObject({ code: 'forbidden', message: expect.stringContaining(words) });
  });

  it('is not without end', async () => {
    const zoe = authz.user('zoe');
    await authz.pool.query(`
      INSERT INTO organizations (id, created_at) SELECT 'many-' || n, now() FROM generate_series(1, 500) n;
      INSERT INTO groups (id, organization_id, name, permission, created_at)
        SELECT 'many-' || n, 'many-' || n, 'owners', 'admin', now() FROM generate_series(1, 500) n;
      INSERT INTO members (group_id, account_id, created_at)
        SELECT 'many-' || n, 'id-zoe', now() FROM generate_series(1, 500) n`);
    const made = async () => (await organizationsAs(zoe)).create({ login: 'one-more' });
    await expect(made()).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('the most') });
    await authz.pool.query("DELETE FROM members WHERE group_id = 'many-1'");
    expect((await made()).account?.login).toBe('one-more');
  });

  it('is for those who are signed in', async () => {
    const made = (await organizationsAs(undefined)).create({ login: 'nobodys' });
    await expect(made).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('is for superusers alone where it is set so', async () => {
    const strict = await RunningAuthz.start({ organizations: 'superusers' });
    try {
      const asked = { login: 'strict' };
      const refused = (await strict.as(strict.user('ann'))).organizations.create(asked);
      await expect(refused).rejects.toMatchObject({
        code: 'forbidden',
        message: expect.stringContaining('superusers'),
      });
      const root = strict.user('root', { superuser: true });
      expect((await (await strict.as(root)).organizations.create(asked)).account?.login).toBe('strict');
    } finally {
      await strict.stop();
    }
  });
});

describe('the organizations of a user', () => {
  let devs: string;

  beforeAll(async () => {
    const { account } = await (await organizationsAs(ann)).create({ login: 'closed' });
    authz.hidden.add('closed');
    devs = await authz.addGroup(account?.id ?? '', { name: 'devs', permission: 'read', allPackages: false });
    await authz.addMember(devs, 'id-bob');
  });

  async function listed(caller: Caller | undefined, login = ''): Promise<string[]> {
    const organizations = await organizationsAs(caller);
    const logins: string[] = [];
    for (let after = ''; ; ) {
      const { accounts, next } = await organizations.ofUser({ login, after, limit: 1 });
      logins.push(...accounts.map((each) => each.login));
      if (next === '') return logins.sort();
      after = next;
    }
  }

  it('are all told to the user itself and to superusers', async () => {
    expect(await listed(bob)).toEqual(['closed']);
    expect(await listed(bob, 'bob')).toEqual(['closed']);
    expect(await listed(authz.user('root', { superuser: true }), 'bob')).toEqual(['closed']);
  });

  it('are told to others as far as they may know of them', async () => {
    expect(await listed(eve, 'bob')).toEqual([]);
    expect(await listed(undefined, 'ann')).toEqual(expect.arrayContaining(['acme']));
    expect(await listed(undefined, 'ann')).not.toContain('closed');
    expect(await listed(ann, 'bob')).toEqual(['closed']);
  });

  it('are not told to a token that may not read', async () => {
    const token = authz.token(bob, { scopes: ['api:write'] });
    await expect(listed(token)).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('changing and deleting', () => {
  const deleting = { organization: 'acme', confirm: 'acme', deletePackages: false };

  it('is for owners; who is nothing there learns nothing', async () => {
    const asked = { organization: 'closed', name: 'New name' };
    const closed = { organization: 'closed', confirm: 'closed' };
    await expect((await organizationsAs(bob)).update(asked)).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await organizationsAs(bob)).delete(closed)).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await organizationsAs(eve)).update(asked)).rejects.toMatchObject({ code: 'not_found' });
    await expect((await organizationsAs(eve)).delete(closed)).rejects.toMatchObject({ code: 'not_found' });
    expect((await (await organizationsAs(ann)).update(asked)).account?.name).toBe('New name');
  });

  it.each(['', 'acm', 'closed'])('needs the login typed, not "%s"', async (confirm) => {
    const asked = (await organizationsAs(ann)).delete({ ...deleting, confirm });
    await expect(asked).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('"confirm": "acme"'),
    });
  });

  it('refuses while packages remain, unless told to delete them', async () => {
    authz.packages.set('acme', 3);
    await expect((await organizationsAs(ann)).delete(deleting)).rejects.toMatchObject({ code: 'conflict' });
    expect(authz.deleted.has('acme')).toBe(false);
    const { packages } = await (await organizationsAs(ann)).delete({ ...deleting, deletePackages: true });
    expect(packages).toBe(3n);
    expect(authz.received.slice(-2)).toEqual(['packages close acme', 'identity delete acme']);
    expect((await (await organizationsAs(ann)).ofUser({})).accounts.map(({ login }) => login)).not.toContain('acme');
    await expect((await organizationsAs(ann)).delete(deleting)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('finishes on the second try what was interrupted in the first', async () => {
    const organizations = await organizationsAs(ann);
    const { account } = await organizations.create({ login: 'halfway' });
    const asked = { organization: 'halfway', confirm: 'HALFWAY' };
    authz.beforeAccount = async () => {
      throw new Fault('unavailable', 'identity is away');
    };
    try {
      await expect(organizations.delete(asked)).rejects.toMatchObject({ code: 'unavailable' });
    } finally {
      authz.beforeAccount = async () => undefined;
    }
    expect(authz.received.at(-1)).toBe('packages close halfway');
    await organizations.delete(asked);
    expect(authz.deleted.has('halfway')).toBe(true);
    const groups = 'SELECT 1 FROM groups WHERE organization_id = $1';
    expect((await authz.pool.query(groups, [account?.id])).rows).toEqual([]);
  });
});
