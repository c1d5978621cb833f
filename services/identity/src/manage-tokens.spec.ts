import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, type Credential, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(120_000);

describe('tokens of others, and all at once', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };
  let bob: typeof alice;
  let mia: typeof alice;
  let number = 0;

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    [alice, bob, mia] = [
      await identity.createUser('alice'),
      await identity.createUser('bob'),
      await identity.createUser('mia'),
    ];
    const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: acme });
    identity.owners.add(`org-acme ${alice.id}`);
    identity.members.add(`org-acme ${mia.id}`);
  });
  afterAll(() => identity.stop());

  const make = async (credential: Credential, request: object = {}) => {
    number++;
    const { token, described } = await identity.createToken(credential, { name: `t${number}`, ...request });
    return { token, id: described?.id ?? '', name: `t${number}` };
  };
  const tokensAs = async (credential: Credential) => (await identity.as(credential)).tokens;
  const isLiving = (token: string) =>
    identity.whoIs({ token }).then(
      () => true,
      () => false,
    );
  const byId = (value: string) => ({ which: { case: 'id', value } }) as const;
  const all = (owner = '') => ({ which: { case: 'all', value: true }, owner }) as const;
  const eventsOf = async (action: string) => {
    const text = 'SELECT actor, owner_id, resource, before, after FROM audit WHERE action = $1 ORDER BY id';
    return (await identity.database.pool.query(text, [action])).rows;
  };

  describe('renamed', () => {
    it('keep what they are, and are known by the new name at once', async () => {
      const { token, id, name } = await make(alice);
      const { token: renamed } = await (await tokensAs(alice)).rename({ id, name: ' nightly ' });
      expect(renamed).toMatchObject({ id, name: 'nightly', ownerLogin: 'alice' });
      expect((await identity.whoIs({ token })).caller?.tokenName).toBe('nightly');
      expect((await eventsOf('token.rename')).at(-1)).toMatchObject({
        actor: 'alice',
        owner_id: alice.id,
        before: { name },
        after: { name: 'nightly' },
      });
      await (await tokensAs(alice)).revoke({ which: { case: 'name', value: 'nightly' } });
      expect(await isLiving(token)).toBe(false);
    });

    it('take no name in use, and no name that is none', async () => {
      const [one, two] = [await make(alice), await make(alice)];
      const tokens = await tokensAs(alice);
      await expect(tokens.rename({ id: one.id, name: two.name })).rejects.toMatchObject({ code: 'conflict' });
      for (const name of ['', ' ', 'a\nb', 'n'.repeat(129), 'ci?', 'ci #3', 'a%20b', '..', 'a/./b', 'ci/']) {
        await expect(tokens.rename({ id: one.id, name })).rejects.toMatchObject({ code: 'invalid' });
      }
      const both = await Promise.allSettled([one, two].map(({ id }) => tokens.rename({ id, name: 'only one' })));
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    });

    it('are not by a token that may not write', async () => {
      const { id } = await make(alice);
      const reader = await make(alice, { scopes: ['api:read'] });
      const tokens = await tokensAs({ token: reader.token });
      await expect(tokens.rename({ id, name: 'x' })).rejects.toMatchObject({ code: 'forbidden' });
    });
  });

  describe('by their ids', () => {
    it('end with all that they made', async () => {
      const { token, id } = await make(bob);
      const child = await make({ token });
      expect(await (await tokensAs(bob)).revoke(byId(id))).toMatchObject({ revoked: 2n });
      expect([await isLiving(token), await isLiving(child.token)]).toEqual([false, false]);
      expect((await eventsOf('token.revoke')).at(-1)).toMatchObject({ actor: 'bob', before: { revoked: 2 } });
    });

    it("are nobody's but the owner's: another's and a missing one are one answer", async () => {
      const { token, id } = await make(alice);
      const tokens = await tokensAs(bob);
      const hidden = await tokens.revoke(byId(id)).catch((error) => error);
      const missing = await tokens.revoke(byId('no-such-id')).catch((error) => error);
      expect([hidden.code, missing.code]).toEqual(['not_found', 'not_found']);
      expect(hidden.message.replace(id, 'X')).toBe(missing.message.replace('no-such-id', 'X'));
      await expect(tokens.rename({ id, name: 'mine' })).rejects.toMatchObject({ code: 'not_found' });
      expect(await isLiving(token)).toBe(true);
    });

    it('may end themselves whatever their scopes', async () => {
      const { token, id } = await make(bob, { scopes: ['conda:download'] });
      await (await tokensAs({ token })).revoke(byId(id));
      expect(await isLiving(token)).toBe(false);
    });
  });

  describe('of an organization', () => {
    it('are managed by its owners, by id too', async () => {
      const { token, id } = await make(alice, { organization: 'acme' });
      const { tokens } = await (await tokensAs(alice)).list({ owner: 'acme' });
      expect(tokens).toMatchObject([{ id, ownerLogin: 'acme', makerLogin: 'alice' }]);
      await (await tokensAs(alice)).rename({ id, name: 'release' });
      await (await tokensAs(alice)).revoke(byId(id));
      expect(await isLiving(token)).toBe(false);
      expect((await eventsOf('token.revoke')).at(-1)).toMatchObject({
        owner_id: 'org-acme',
        resource: 'token release of acme',
      });
    });

    it('are out of reach of members, of strangers and of tokens without the scope', async () => {
      const { token, id } = await make(alice, { organization: 'acme' });
      await expect((await tokensAs(mia)).list({ owner: 'acme' })).rejects.toMatchObject({ code: 'forbidden' });
      await expect((await tokensAs(mia)).revoke(all('acme'))).rejects.toMatchObject({ code: 'forbidden' });
      await expect((await tokensAs(mia)).revoke(byId(id))).rejects.toMatchObject({ code: 'not_found' });
      await expect((await tokensAs(bob)).list({ owner: 'acme' })).rejects.toMatchObject({ code: 'not_found' });
      await expect((await tokensAs(bob)).revoke(byId(id))).rejects.toMatchObject({ code: 'not_found' });
      const writer = await make(alice, { scopes: ['api:write', 'api:read'] });
      const asWriter = await tokensAs({ token: writer.token });
      await expect(asWriter.revoke(byId(id))).rejects.toThrow('lacks the scope api');
      expect((await asWriter.list({ owner: 'acme' })).tokens).toHaveLength(1);
      const elsewhere = await make(alice, { restrictions: { channels: ['other'] } });
      const asElsewhere = await tokensAs({ token: elsewhere.token });
      await expect(asElsewhere.list({ owner: 'acme' })).rejects.toThrow('limited to other channels');
      expect(await isLiving(token)).toBe(true);
    });

    it('are all revoked by an owner at once', async () => {
      const made = [await make(alice, { organization: 'acme' }), await make(alice, { organization: 'acme' })];
      const own = await make(alice);
      const { revoked } = await (await tokensAs(alice)).revoke(all('acme'));
      expect(Number(revoked)).toBeGreaterThanOrEqual(2);
      for (const { token } of made) expect(await isLiving(token)).toBe(false);
      expect(await isLiving(own.token)).toBe(true);
      expect((await (await tokensAs(alice)).list({ owner: 'acme' })).tokens).toEqual([]);
    });
  });

  it('of oneself are all revoked at once, the presented one too, in one event', async () => {
    const made = [await make(mia), await make(mia)];
    const [presented] = made;
    const before = (await eventsOf('token.revoke')).length;
    const { revoked } = await (await tokensAs({ token: presented?.token ?? '' })).revoke(all());
    expect(revoked).toBe(2n);
    for (const { token } of made) expect(await isLiving(token)).toBe(false);
    const events = (await eventsOf('token.revoke')).slice(before);
    expect(events).toMatchObject([{ resource: '2 tokens of mia', before: { revoked: 2 } }]);
    expect(await (await tokensAs(mia)).revoke(all())).toMatchObject({ revoked: 0n });
    const reader = await make(mia, { scopes: ['api:read'] });
    await expect((await tokensAs({ token: reader.token })).revoke(all())).rejects.toMatchObject({ code: 'forbidden' });
  });

  it.each([
    ['packages', { packages: ['foo*'] }],
    ['labels', { labels: ['dev'] }],
    ['other channels', { channels: ['org-acme'] }],
  ])('are not managed by one of them that is limited to %s, but for itself', async (_, restrictions) => {
    const [{ id }, limited] = [await make(bob), await make(bob, { restrictions })];
    const tokens = await tokensAs({ token: limited.token });
    const calls = [tokens.revoke(byId(id)), tokens.revoke(all()), tokens.rename({ id, name: 'x' })];
    const refused = { code: 'forbidden', message: expect.stringContaining('is limited to') };
    const answers = await Promise.allSettled<unknown>(calls);
    expect(answers).toMatchObject(calls.map(() => ({ status: 'rejected', reason: refused })));
    const { accounts } = await identity.as({ token: limited.token });
    const change = { login: 'bob', oldPassword: bob.password, password: 'another password' };
    await expect(accounts.setPassword(change)).rejects.toMatchObject({ code: 'forbidden' });
    await tokens.revoke(byId(limited.id));
    expect(await isLiving(limited.token)).toBe(false);
  });

  describe('of anybody', () => {
    it('are seen and revoked by superusers', async () => {
      const [one, two] = [await make(bob, { address: '192.0.2.7' }), await make(bob)];
      await identity.whoIs({ token: one.token }, [], '192.0.2.8');
      const admin = await tokensAs(ADMIN);
      const look = async () => (await admin.list({ owner: 'bob' })).tokens.find(({ id }) => id === one.id);
      // The use is written behind the answer's back.
      while ((await look())?.lastUsedAtMs === 0n) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await look()).toMatchObject({ address: '192.0.2.7', lastUsedAddress: '192.0.2.8' });
      await admin.revoke(byId(one.id));
      expect([await isLiving(one.token), await isLiving(two.token)]).toEqual([false, true]);
      await admin.revoke(all('bob'));
      expect(await isLiving(two.token)).toBe(false);
      await expect(admin.list({ owner: 'nobody' })).rejects.toMatchObject({ code: 'not_found' });
    });

    it('are neither made nor renamed as their owner by a superuser', async () => {
      await expect(make(ADMIN, { organization: 'bob' })).rejects.toMatchObject({ code: 'not_found' });
      await expect(make(ADMIN, { organization: 'acme' })).rejects.toMatchObject({ code: 'not_found' });
      const { id } = await make(bob);
      const renamed = (await tokensAs(ADMIN)).rename({ id, name: 'x' });
      await expect(renamed).rejects.toMatchObject({ code: 'not_found' });
    });

    it('are out of reach of a superuser by a token that is restricted or has not the scope', async () => {
      const { token, id } = await make(bob);
      for (const request of [{ scopes: ['api:write'] }, { restrictions: { cidrs: ['0.0.0.0/0'] } }]) {
        const weak = await tokensAs({ token: (await make(ADMIN, request)).token });
        await expect(weak.revoke(byId(id))).rejects.toMatchObject({ code: 'not_found' });
        await expect(weak.revoke(all('bob'))).rejects.toMatchObject({ code: 'not_found' });
      }
      expect(await isLiving(token)).toBe(true);
    });
  });

  it('tell the channels they are restricted to by login', async () => {
    const { id } = await make(alice, { restrictions: { channels: ['org-acme', bob.id] } });
    const { tokens } = await (await tokensAs(alice)).list({});
    const described = tokens.find((each) => each.id === id);
    expect(described?.channelLogins.toSorted()).toEqual(['acme', 'bob']);
  });
});
