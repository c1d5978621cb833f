import { jest } from '@jest/globals';
import { Users } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, type Credential, RunningIdentity, versionOf } from './identity.fixture.js';

jest.setTimeout(120_000);

describe('users', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
    await identity.createUser('bob');
  });
  afterAll(() => identity.stop());

  const usersAs = async (credential: Credential) => {
    const { assertion } = await identity.as(credential);
    return clientOf(Users, identity.bus, { assertion, timeoutMs: 10_000 });
  };
  const change = async (credential: Credential, request: { login: string; [field: string]: unknown }) =>
    (await (await usersAs(credential)).change(request)).account;
  const eventsOf = async (accountId: string) => {
    const { rows } = await identity.database.pool.query(
      'SELECT action, actor, credential, resource, before, after FROM audit WHERE owner_id = $1 ORDER BY id',
      [accountId],
    );
    return rows;
  };

  describe('that are disabled', () => {
    it('have no credential that counts, and get their tokens back when they are enabled, not their sessions', async () => {
      const carol = await identity.createUser('carol');
      const { token } = await identity.createToken(carol, { name: 'ci' });
      const { secret: session } = await (await identity.as(carol)).sessions.open({});
      const version = versionOf((await identity.whoIs({ token })).versions, `account:${carol.id}`) ?? 0n;
      const at = identity.heard.length;

      expect(await change(ADMIN, { login: 'Carol', disabled: true })).toMatchObject({ login: 'carol', disabled: true });
      expect(identity.newsSince(at)).toEqual([[`account:${carol.id} ${version + 1n}`]]);
      for (const credential of [{ token }, { session }, carol]) {
        await expect(identity.whoIs(credential)).rejects.toMatchObject({ code: 'unauthenticated' });
      }
      await expect(identity.whoIs({ token })).rejects.toThrow('the account carol is disabled');

      await change(ADMIN, { login: 'carol', disabled: false });
      expect((await identity.whoIs({ token })).caller?.login).toBe('carol');
      expect((await identity.whoIs(carol)).caller?.login).toBe('carol');
      await expect(identity.whoIs({ session })).rejects.toMatchObject({ code: 'unauthenticated' });
      expect(await eventsOf(carol.id)).toMatchObject([
        { action: 'user.create', actor: 'admin', resource: 'user carol' },
        { action: 'token.create', actor: 'carol', credential: 'password', resource: 'token ci of carol' },
        { action: 'login', actor: 'carol' },
        { action: 'user.disable', actor: 'admin', before: { disabled: false }, after: { disabled: true } },
        // With the right password, of a disabled account.
        { action: 'login.failed', actor: 'carol', resource: 'user carol' },
        { action: 'user.enable', actor: 'admin', before: { disabled: true }, after: { disabled: false } },
      ]);
    });

    it('take the tokens with them that they made for an organization', async () => {
      const dora = await identity.createUser('dora');
      const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
      await identity.database.db.account.create({ data: acme });
      identity.owners.add(`org-acme ${dora.id}`);
      const { token } = await identity.createToken(dora, { name: 'release', organization: 'acme' });
      await change(ADMIN, { login: 'dora', disabled: true });
      await expect(identity.whoIs({ token })).rejects.toMatchObject({ code: 'unauthenticated' });
    });

    it('are never all superusers, even when two disable each other at once', async () => {
      await expect(change(ADMIN, { login: 'admin', disabled: true })).rejects.toMatchObject({ code: 'conflict' });
      await expect(change(ADMIN, { login: 'admin', superuser: false })).rejects.toThrow('the only superuser');
      const rita = await identity.createUser('rita');
      await change(ADMIN, { login: 'rita', superuser: true });
      const both = await Promise.allSettled([
        change(ADMIN, { login: 'rita', disabled: true }),
        change(rita, { login: 'admin', disabled: true }),
      ]);
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      const left = await identity.database.db.account.findMany({ where: { superuser: true, disabled: false } });
      expect(left).toHaveLength(1);
      await identity.database.db.account.updateMany({
        where: { superuser: true },
        data: { disabled: false, version: { increment: 1 } },
      });
      await change(ADMIN, { login: 'rita', superuser: false });
    });
  });

  it('change their own name and e-mail address, and nothing else of themselves', async () => {
    expect(await change(alice, { login: 'alice', name: ' Alice A. ', email: 'Alice@Example.com' })).toMatchObject({
      name: 'Alice A.',
      email: 'alice@example.com',
    });
    for (const more of [
      { disabled: true },
      { disabled: false },
      { superuser: true },
      { superuser: false, name: 'x' },
    ]) {
      await expect(change(alice, { login: 'alice', ...more })).rejects.toMatchObject({ code: 'forbidden' });
    }
    await expect(change(alice, { login: 'bob', name: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(change(alice, { login: 'nobody', name: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    ['nothing', {}, 'invalid'],
    ['no e-mail address', { email: 'here' }, 'invalid'],
    ["another's e-mail address", { email: 'BOB@example.org' }, 'conflict'],
    ['a name without end', { name: 'n'.repeat(201) }, 'invalid'],
  ])('are not changed to %s', async (_, request, code) => {
    await expect(change(alice, { login: 'alice', ...request })).rejects.toMatchObject({ code });
  });

  it('are managed with a token only if it is without restrictions and has the scope', async () => {
    const tokenOf = async (request: object) => ({
      token: (await identity.createToken(ADMIN, { name: `t${Math.random()}`, ...request })).token,
    });
    const reader = await tokenOf({ scopes: ['api:read'] });
    const writer = await tokenOf({ scopes: ['api'] });
    const whole = await tokenOf({ scopes: ['all'] });
    const bound = await tokenOf({ scopes: ['all'], restrictions: { cidrs: ['0.0.0.0/0'] } });
    const few = await tokenOf({ scopes: ['all'], uses: 5n });

    expect((await (await usersAs(reader)).list({ limit: 10 })).accounts.length).toBeGreaterThan(1);
    await expect(change(reader, { login: 'bob', name: 'B' })).rejects.toThrow('lacks the scope api');
    expect(await change(writer, { login: 'bob', name: 'B' })).toMatchObject({ name: 'B' });
    await expect(change(writer, { login: 'bob', superuser: true })).rejects.toThrow('lacks the scope all');
    await change(whole, { login: 'bob', superuser: true });
    await change(whole, { login: 'bob', superuser: false });
    for (const token of [bound, few]) {
      await expect(change(token, { login: 'bob', name: 'C' })).rejects.toThrow('without restrictions');
    }
    await expect((await usersAs(bound)).list({ limit: 10 })).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('are listed to superusers, page by page and by what is searched', async () => {
    const users = await usersAs(ADMIN);
    const all: string[] = [];
    for (let after = ''; ; ) {
      const { accounts, next } = await users.list({ after, limit: 2 });
      all.push(...accounts.map(({ login }) => login));
      if (next === '') break;
      after = next;
    }
    expect(all).toEqual([...all].sort());
    expect(all).toEqual(expect.arrayContaining(['admin', 'alice', 'bob', 'carol']));
    expect(all).not.toContain('acme');
    const found = async (query: string) =>
      (await users.list({ query, limit: 50 })).accounts.map(({ login, email }) => `${login} ${email}`);
    expect(await found('ALICE')).toEqual(['alice alice@example.com']);
    expect(await found('carol@')).toEqual(['carol carol@example.org']);
    expect(await found('%')).toEqual([]);
    for (const wrong of [{ limit: 0 }, { limit: 201 }, { limit: 1, query: 'q'.repeat(101) }]) {
      await expect(users.list(wrong)).rejects.toMatchObject({ code: 'invalid' });
    }
    await expect((await usersAs(alice)).list({ limit: 1 })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(clientOf(Users, identity.bus).list({ limit: 1 })).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('are described to superusers and to themselves', async () => {
    const erin = await identity.createUser('erin');
    const { token } = await identity.createToken(erin, { name: 'one' });
    await identity.createToken(erin, { name: 'two', uses: 1n });
    await (await identity.as(erin)).sessions.open({});
    await identity.whoIs({ token });
    const seen = await (await usersAs(ADMIN)).describe({ login: 'erin' });
    expect(seen).toMatchObject({ account: { login: 'erin', email: 'erin@example.org' }, tokens: 2n, sessions: 1n });
    expect(Number(seen.lastSeenAtMs)).toBeGreaterThan(Date.now() - 60_000);
    expect(await (await usersAs(erin)).describe({ login: 'erin' })).toMatchObject({ tokens: 2n });
    await expect((await usersAs(erin)).describe({ login: 'alice' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await usersAs(ADMIN)).describe({ login: 'nobody' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('who manage others change their own password by the old one, or as they do for others, not by a wrong one', async () => {
    const sue = await identity.createUser('sue');
    await change(ADMIN, { login: 'sue', superuser: true });
    const { accounts } = await identity.as(sue);
    const wrong = accounts.setPassword({ login: 'sue', oldPassword: 'a wrong one', password: 'a new password' });
    await expect(wrong).rejects.toThrow('the old password is wrong');
    await accounts.setPassword({ login: 'sue', oldPassword: sue.password, password: 'a new password' });
    const again = { login: 'sue', password: 'a new password' };
    await (await identity.as(again)).accounts.setPassword({ login: 'sue', password: 'a newer password' });
    await change(ADMIN, { login: 'sue', superuser: false });
  });

  it('get a password made for them by superusers alone', async () => {
    const hugo = await identity.createUser('hugo');
    const { secret: session } = await (await identity.as(hugo)).sessions.open({});
    const { password } = await (await identity.as(ADMIN)).accounts.setPassword({ login: 'hugo' });
    expect(password).toMatch(/^[A-Za-z0-9]{24}$/);
    expect((await identity.whoIs({ login: 'hugo', password })).caller?.login).toBe('hugo');
    for (const old of [{ session }, hugo]) {
      await expect(identity.whoIs(old)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    const own = (await identity.as({ login: 'hugo', password })).accounts;
    await expect(own.setPassword({ login: 'hugo', oldPassword: password })).rejects.toMatchObject({ code: 'invalid' });
    const events = (await eventsOf(hugo.id)).slice(-2);
    expect(events).toMatchObject([
      { action: 'password.set', actor: 'admin', resource: 'user hugo', after: null },
      // The former password was tried above.
      { action: 'login.failed', actor: 'hugo', credential: '' },
    ]);
  });
});
