import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { Accounts, FindAccountRequestSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity, sha256Of } from './identity.fixture.js';

jest.setTimeout(60_000);

describe('accounts', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
  });
  afterAll(() => identity.stop());

  const anybody = () => clientOf(Accounts, identity.bus);
  const byLogin = (login: string) => ({ by: { case: 'login', value: login } }) as const;

  it('are made by superusers, with their login folded and their password as an argon2id hash', async () => {
    const { accounts } = await identity.as(ADMIN);
    const { account } = await accounts.createUser({
      login: ' Carol ',
      email: 'Carol@Example.org',
      password: 'a password',
      name: 'Carol C.',
    });
    expect(account).toMatchObject({
      login: 'carol',
      kind: 'user',
      email: 'carol@example.org',
      name: 'Carol C.',
      superuser: false,
      disabled: false,
    });
    const row = await identity.database.db.password.findUnique({ where: { accountId: account?.id ?? '' } });
    expect(row?.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=3,p=1\$/);
    expect((await identity.whoIs({ login: 'carol', password: 'a password' })).caller?.login).toBe('carol');
  });

  it.each([
    ['a login of another grammar', { login: 'a.b' }, 'invalid'],
    ['a reserved login', { login: 'conda' }, 'invalid'],
    ['no e-mail address', { email: '' }, 'invalid'],
    ['a short password', { password: '123456789' }, 'invalid'],
    ['a password without end', { password: 'x'.repeat(257) }, 'invalid'],
    ['a login in use', { login: 'Alice' }, 'conflict'],
    ['an e-mail address in use', { email: 'ALICE@example.org' }, 'conflict'],
  ])('are not made with %s', async (_, wrong, code) => {
    const { accounts } = await identity.as(ADMIN);
    const before = await identity.database.db.account.count();
    const request = { login: 'fresh', email: 'fresh@example.org', password: 'a password', ...wrong };
    await expect(accounts.createUser(request)).rejects.toMatchObject({ code });
    expect(await identity.database.db.account.count()).toBe(before);
  });

  it('keep the login of a deleted one for ever', async () => {
    const erin = await identity.createUser('erin');
    await identity.database.db.account.update({
      where: { id: erin.id },
      data: { deletedAt: new Date(), email: null },
    });
    await expect(identity.createUser('erin')).rejects.toMatchObject({ code: 'conflict' });
    await expect(anybody().find(byLogin('erin'))).rejects.toMatchObject({ code: 'not_found' });
  });

  it('of one login are made once, whoever asks at the same time', async () => {
    const { accounts } = await identity.as(ADMIN);
    const make = (index: number) =>
      accounts.createUser({ login: 'frank', email: `frank${index}@example.org`, password: 'a password' });
    const made = await Promise.allSettled(Array.from({ length: 6 }, (_, index) => make(index)));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const each of made) if (each.status === 'rejected') expect(each.reason.code).toBe('conflict');
  });

  it('are made by nobody else, nor by a token of a superuser that has any limit', async () => {
    const request = { login: 'fresh', email: 'fresh@example.org', password: 'a password', superuser: true };
    await expect(anybody().createUser(request)).rejects.toMatchObject({ code: 'unauthenticated' });
    const { accounts } = await identity.as(alice);
    await expect(accounts.createUser(request)).rejects.toMatchObject({ code: 'forbidden' });
    for (const limit of [
      { scopes: ['api'] },
      { restrictions: { channels: [alice.id] } },
      { restrictions: { cidrs: ['192.0.2.0/24'] } },
      { uses: 3n },
    ]) {
      const { token } = await identity.createToken(ADMIN, { name: 'limited', failIfExists: false, ...limit });
      const limited = await identity.as({ token });
      await expect(limited.accounts.createUser(request)).rejects.toMatchObject({ code: 'forbidden' });
      await expect(limited.accounts.setPassword({ login: 'admin', password: 'taken over' })).rejects.toMatchObject({
        code: 'forbidden',
      });
    }
    const { token } = await identity.createToken(ADMIN, { name: 'unlimited' });
    const unlimited = await identity.as({ token });
    expect((await unlimited.accounts.createUser(request)).account?.superuser).toBe(true);
  });

  it('are made by nobody who was a superuser only a moment ago', async () => {
    const { accounts } = await identity.as({ login: 'fresh', password: 'a password' });
    const { db } = identity.database;
    await db.account.update({ where: { login: 'fresh' }, data: { superuser: false } });
    const request = { login: 'late', email: 'late@example.org', password: 'a password' };
    await expect(accounts.createUser(request)).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('are found by login and id, with an e-mail address for themselves and superusers only', async () => {
    const { account } = await anybody().find(byLogin('ALICE'));
    expect(account).toMatchObject({ id: alice.id, login: 'alice', kind: 'user', email: '' });
    expect((await anybody().find({ by: { case: 'id', value: alice.id } })).account).toEqual(account);
    const assertion = await identity.trustOf('packages').assertionFor('identity');
    expect((await clientOf(Accounts, identity.bus, { assertion }).find(byLogin('alice'))).account).toEqual(account);
    const emailSeenBy = async (who: { login: string; password: string }) =>
      (await (await identity.as(who)).accounts.find(byLogin('alice'))).account?.email;
    expect(await emailSeenBy(alice)).toBe('alice@example.org');
    expect(await emailSeenBy(ADMIN)).toBe('alice@example.org');
    expect(await emailSeenBy({ login: 'carol', password: 'a password' })).toBe('');
  });

  it.each(['nobody', 'a', '../alice', 'alice\u0000', "alice' --", ''])('are not found by %j', async (text) => {
    await expect(anybody().find(byLogin(text))).rejects.toMatchObject({ code: 'not_found' });
    await expect(anybody().find({ by: { case: 'id', value: text } })).rejects.toMatchObject({ code: 'not_found' });
    await expect(anybody().find(create(FindAccountRequestSchema))).rejects.toMatchObject({ code: 'not_found' });
  });

  describe('change their password', () => {
    it('with the old one, which ends every session and says so', async () => {
      const gina = await identity.createUser('gina');
      const { secret: session } = await (await identity.as(gina)).sessions.open({});
      const { token } = await identity.createToken(gina, { name: 'stays' });
      const before = await identity.whoIs(gina);
      const at = identity.heard.length;
      const { accounts } = await identity.as({ session });
      await accounts.setPassword({ login: 'gina', password: 'a new password', oldPassword: gina.password });
      const version = (before.versions[0]?.version ?? 0n) + 1n;
      expect(identity.newsSince(at)).toEqual([[`account:${gina.id} ${version}`]]);
      await expect(identity.whoIs({ session })).rejects.toMatchObject({ code: 'unauthenticated' });
      await expect(identity.whoIs(gina)).rejects.toMatchObject({ code: 'unauthenticated' });
      const after = await identity.whoIs({ login: 'gina', password: 'a new password' });
      expect(after.versions).toMatchObject([{ version }]);
      expect((await identity.whoIs({ token })).caller?.login).toBe('gina');
    });

    it('not with a wrong one or none, and nobody elses', async () => {
      const { accounts } = await identity.as(alice);
      for (const request of [
        { login: 'alice', password: 'a new password', oldPassword: 'a wrong password' },
        { login: 'alice', password: 'a new password' },
        { login: 'carol', password: 'a new password', oldPassword: alice.password },
        { login: 'nobody', password: 'a new password', oldPassword: alice.password },
      ]) {
        await expect(accounts.setPassword(request)).rejects.toMatchObject({ code: 'forbidden' });
      }
      const weak = accounts.setPassword({ login: 'alice', password: 'short', oldPassword: alice.password });
      await expect(weak).rejects.toMatchObject({ code: 'invalid' });
      expect((await identity.whoIs(alice)).caller?.login).toBe('alice');
    });

    it('by the hand of a superuser, who sets those of users only', async () => {
      const { accounts } = await identity.as(ADMIN);
      await accounts.setPassword({ login: 'carol', password: 'from above' });
      expect((await identity.whoIs({ login: 'carol', password: 'from above' })).caller?.login).toBe('carol');
      const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
      await identity.database.db.account.create({ data: acme });
      for (const login of ['acme', 'nobody', '..']) {
        await expect(accounts.setPassword({ login, password: 'from above' })).rejects.toMatchObject({
          code: 'not_found',
        });
      }
    });

    it('and end what a former password had begun and not finished', async () => {
      const hugo = await identity.createUser('hugo');
      const { sessions, tokens } = await identity.as(hugo);
      const { accounts } = await identity.as(ADMIN);
      await accounts.setPassword({ login: 'hugo', password: 'a new password' });
      await expect(sessions.open({})).rejects.toMatchObject({ code: 'unauthenticated' });
      const mint = tokens.create({ name: 'x', scopes: ['all'], failIfExists: true });
      await expect(mint).rejects.toMatchObject({ code: 'unauthenticated' });
    });
  });

  describe('open sessions', () => {
    it('with their password, and only a hash of the secret is stored', async () => {
      const { sessions } = await identity.as(alice);
      const { secret, expiresAtMs } = await sessions.open({ address: '192.0.2.1', userAgent: 'a\nbrowser' });
      expect(secret).toMatch(/^vis-[a-z0-9]{32}$/);
      expect(Number(expiresAtMs)).toBeGreaterThan(Date.now());
      const row = await identity.database.db.session.findFirstOrThrow({ orderBy: { createdAt: 'desc' } });
      expect(Buffer.from(row.sha256)).toEqual(sha256Of(secret));
      expect(JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? `${value}` : value))).not.toContain(secret);
      expect([row.address, row.userAgent]).toEqual(['192.0.2.1', 'a browser']);
      const { caller, versions } = await identity.whoIs({ session: secret });
      expect(caller).toMatchObject({ login: 'alice', credentialKind: 'session', credentialId: row.id });
      expect(versions.map(({ tag }) => tag).sort()).toEqual([`account:${alice.id}`, `session:${row.id}`]);
    });

    it('not with a token or a session', async () => {
      const { token } = await identity.createToken(alice, { name: 'no session' });
      const { secret: session } = await (await identity.as(alice)).sessions.open({});
      for (const credential of [{ token }, { session }]) {
        const { sessions } = await identity.as(credential);
        await expect(sessions.open({})).rejects.toMatchObject({ code: 'forbidden' });
      }
    });

    it('and close the presented one, with exactly one piece of news', async () => {
      const { secret: session } = await (await identity.as(alice)).sessions.open({});
      const { secret: other } = await (await identity.as(alice)).sessions.open({});
      const { caller, versions } = await identity.whoIs({ session });
      const before = versions.find(({ tag }) => tag.startsWith('session:'))?.version ?? 0n;
      const { sessions } = await identity.as({ session });
      const at = identity.heard.length;
      await Promise.all([sessions.close({}), sessions.close({})]);
      expect(identity.newsSince(at)).toEqual([[`session:${caller?.credentialId} ${before + 1n}`]]);
      await expect(identity.whoIs({ session })).rejects.toMatchObject({ code: 'unauthenticated' });
      expect((await identity.whoIs({ session: other })).caller?.login).toBe('alice');
      const { sessions: byPassword } = await identity.as(alice);
      await expect(byPassword.close({})).rejects.toMatchObject({ code: 'invalid' });
    });
  });

  it('have a client whose every model agrees with the tables', async () => {
    const { db } = identity.database;
    await db.account.findFirst();
    await db.password.findFirst();
    await db.session.findFirst();
    await db.token.findFirst();
    await db.signingKey.findFirst();
  });
});
