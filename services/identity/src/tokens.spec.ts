import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, type Credential, RunningIdentity, sha256Of, versionOf } from './identity.fixture.js';

jest.setTimeout(60_000);

const DAY = 86_400_000;

describe('tokens', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };
  let bob: typeof alice;

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
    bob = await identity.createUser('bob');
    const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: acme });
    identity.owners.add(`org-acme ${alice.id}`);
  });
  afterAll(() => identity.stop());
  afterEach(() => {
    identity.aheadMs = 0;
  });

  const revoke = async (credential: Credential, name?: string, organization = '') => {
    const { tokens } = await identity.as(credential);
    const which = name === undefined ? { case: 'presented', value: true } : { case: 'name', value: name };
    return tokens.revoke({ which: which as { case: 'name'; value: string }, owner: organization });
  };
  const isLiving = (token: string) =>
    identity.whoIs({ token }).then(
      () => true,
      () => false,
    );
  const namesOf = async (credential: Credential, organization = '') => {
    const { tokens } = await (await identity.as(credential)).tokens.list({ owner: organization });
    return tokens.map(({ name }) => name);
  };

  it('are stored as their SHA-256 and nowhere else', async () => {
    const { token } = await identity.createToken(alice, { name: 'secret', hostname: 'h', url: 'u' });
    await identity.whoIs({ token });
    const { pool } = identity.database;
    const { rows: tables } = await pool.query("SELECT tablename FROM pg_tables WHERE schemaname = 'identity'");
    let stored = '';
    for (const { tablename } of tables) {
      const { rows } = await pool.query(`SELECT t::text AS row FROM "${tablename}" t`);
      stored += rows.map(({ row }) => row).join('\n');
    }
    expect(stored).toContain(sha256Of(token).toString('hex'));
    for (const part of [token, token.slice(4, 36), Buffer.from(token).toString('hex')]) {
      expect(stored).not.toContain(part);
    }
    expect(identity.logged.join()).not.toContain(token);
  });

  it('are made with what the anaconda client asks for, by default for a year and with all scopes', async () => {
    const { described } = await identity.createToken(alice, {
      name: 'binstar_client:root@vm',
      scopes: [],
      hostname: 'vm',
      url: 'http://127.0.0.1:8080/api',
      address: '192.0.2.1',
    });
    expect(described).toMatchObject({
      name: 'binstar_client:root@vm',
      ownerLogin: 'alice',
      scopes: ['all'],
      hostname: 'vm',
      url: 'http://127.0.0.1:8080/api',
      address: '192.0.2.1',
      lastUsedAtMs: 0n,
      remainingUses: -1n,
    });
    expect(Number(described?.expiresAtMs) - Number(described?.createdAtMs)).toBe(365 * DAY);
  });

  it.each([
    ['an empty name', { name: ' ' }],
    ['a name with a line break', { name: 'a\nb' }],
    ['a name with a zero byte', { name: 'a\u0000b' }],
    ['a name without end', { name: 'x'.repeat(129) }],
    ['an unknown scope', { name: 'n', scopes: ['everything'] }],
    ['an age of nothing', { name: 'n', maxAgeSeconds: 0n }],
    ['an age of a century', { name: 'n', maxAgeSeconds: 3_153_600_000n }],
    ['no use at all', { name: 'n', uses: 0n }],
    ['a restriction that is none', { name: 'n', restrictions: { cidrs: ['here'] } }],
  ])('are not made with %s', async (_, request) => {
    const before = await namesOf(alice);
    await expect(identity.createToken(alice, request)).rejects.toMatchObject({ code: 'invalid' });
    expect(await namesOf(alice)).toEqual(before);
  });

  it('take what a client says of itself cut to size and made printable', async () => {
    const { described } = await identity.createToken(alice, {
      name: 'chatty',
      hostname: `a\u0000b\n${'h'.repeat(1_000)}`,
      url: 'u'.repeat(10_000),
      address: 'x'.repeat(100),
    });
    expect(described?.hostname).toBe(`a b ${'h'.repeat(251)}`);
    expect([described?.url.length, described?.address.length]).toEqual([500, 64]);
  });

  it('do not take a name in use when that is not wanted, and take it over when it is', async () => {
    const { token: old } = await identity.createToken(alice, { name: 'twice' });
    await expect(identity.createToken(alice, { name: 'twice' })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('has a token named "twice" already'),
    });
    expect(await isLiving(old)).toBe(true);
    const at = identity.heard.length;
    const { token: young } = await identity.createToken(alice, { name: 'twice', failIfExists: false });
    expect([await isLiving(old), await isLiving(young)]).toEqual([false, true]);
    expect(identity.newsSince(at)).toHaveLength(1);
    expect((await namesOf(alice)).filter((name) => name === 'twice')).toHaveLength(1);
    // Another account's names are its own.
    await identity.createToken(bob, { name: 'twice' });
  });

  it('take the name of an expired or used-up one without asking', async () => {
    await identity.createToken(alice, { name: 'lapsed', maxAgeSeconds: 60n });
    identity.aheadMs = 61_000;
    const { token } = await identity.createToken(alice, { name: 'lapsed' });
    expect(await isLiving(token)).toBe(true);
    const { described } = await identity.createToken(alice, { name: 'single', uses: 1n });
    await (await identity.asService()).use({ tokenId: described?.id ?? '' });
    await identity.createToken(alice, { name: 'single' });
  });

  it('of one name are made one at a time', async () => {
    const { tokens } = await identity.as(alice);
    const make = () => tokens.create({ name: 'race', scopes: ['all'], failIfExists: true });
    const made = await Promise.allSettled(Array.from({ length: 12 }, make));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const each of made) if (each.status === 'rejected') expect(each.reason.code).toBe('conflict');
    const replace = () => tokens.create({ name: 'race', scopes: ['all'], failIfExists: false });
    const replaced = await Promise.all(Array.from({ length: 8 }, replace));
    const living = await Promise.all(replaced.map(({ token }) => isLiving(token)));
    expect(living.filter(Boolean)).toHaveLength(1);
  });

  it('mint only what is no broader than themselves', async () => {
    const { token } = await identity.createToken(alice, {
      name: 'parent',
      scopes: ['api:write', 'conda:download'],
      maxAgeSeconds: 3_600n,
      restrictions: { packages: ['foo*'] },
    });
    const mint = (request: object) =>
      identity.createToken({ token }, { name: 'child', failIfExists: false, ...request });
    for (const broader of [
      { scopes: ['all'] },
      { scopes: [] },
      { scopes: ['conda:download', 'pypi:download'] },
      { scopes: ['conda:download'], maxAgeSeconds: 7_200n },
      { scopes: ['conda:download'], restrictions: { packages: ['*'] } },
    ]) {
      await expect(mint(broader)).rejects.toMatchObject({ code: 'forbidden' });
    }
    const { described } = await mint({ scopes: ['conda:download'] });
    expect(described?.restrictions?.packages).toEqual(['foo*']);
    expect(Number(described?.expiresAtMs)).toBeLessThanOrEqual(Date.now() + 3_600_000);
    const narrower = await mint({ scopes: ['conda:download'], restrictions: { packages: ['foo-bar'] } });
    expect(narrower.described?.restrictions?.packages).toEqual(['foo-bar']);
  });

  it.each([
    ['without api:write', { scopes: ['conda', 'pypi', 'api:read'] }],
    ['with a limited number of uses', { scopes: ['all'], uses: 5n }],
  ])('mint nothing %s', async (_, request) => {
    const { token } = await identity.createToken(alice, { name: 'barren', failIfExists: false, ...request });
    const child = identity.createToken({ token }, { name: 'child-of-barren', scopes: ['conda:download'] });
    await expect(child).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('die with the one that made them, in one piece of news', async () => {
    const { token: parent } = await identity.createToken(alice, { name: 'grandparent' });
    const { token: child } = await identity.createToken({ token: parent }, { name: 'child-1' });
    const { token: grandchild } = await identity.createToken({ token: child }, { name: 'child-2' });
    const { token: other } = await identity.createToken(alice, { name: 'unrelated' });
    const at = identity.heard.length;
    await revoke(alice, 'grandparent');
    expect(await Promise.all([parent, child, grandchild, other].map(isLiving))).toEqual([false, false, false, true]);
    expect(identity.newsSince(at).map((facts) => facts.length)).toEqual([3]);
  });

  it('die with the one that made them, also when they are made at that very moment', async () => {
    for (let round = 0; round < 10; round++) {
      const name = `moment-${round}`;
      const { token } = await identity.createToken(alice, { name });
      const [parent, own] = [await identity.as({ token }), await identity.as(alice)];
      const children = Array.from({ length: 4 }, (_, index) =>
        parent.tokens.create({ name: `${name}-${index}`, scopes: ['all'], failIfExists: true }),
      );
      const [made] = await Promise.all([
        Promise.allSettled(children),
        own.tokens.revoke({ which: { case: 'name', value: name } }),
      ]);
      for (const each of made) if (each.status === 'fulfilled') expect(await isLiving(each.value.token)).toBe(false);
    }
  });

  it('may renew themselves under their name, and never outlive the one that made them by that', async () => {
    const { token: root } = await identity.createToken(alice, { name: 'root' });
    const { token: first } = await identity.createToken({ token: root }, { name: 'renewed' });
    const renewal = await identity.createToken({ token: first }, { name: 'renewed', failIfExists: false });
    expect([await isLiving(first), await isLiving(renewal.token)]).toEqual([false, true]);
    const coup = identity.createToken({ token: renewal.token }, { name: 'root', failIfExists: false });
    await expect(coup).rejects.toMatchObject({ code: 'forbidden' });
    expect([await isLiving(root), await isLiving(renewal.token)]).toEqual([true, true]);
    await revoke(alice, 'root');
    expect(await isLiving(renewal.token)).toBe(false);
  });

  it('that are limited to a part take the names of none but themselves and what they made', async () => {
    const { token: wide } = await identity.createToken(alice, { name: 'wide' });
    const part = { name: 'part', restrictions: { packages: ['foo*'] } };
    const { token } = await identity.createToken(alice, part);
    const replace = (name: string) => identity.createToken({ token }, { name, failIfExists: false });
    await expect(replace('wide')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('replacing the token "wide"'),
    });
    expect(await isLiving(wide)).toBe(true);
    await replace('part of part');
    await replace('part of part');
    expect(await isLiving((await replace('part')).token)).toBe(true);
  });

  it('are revoked by their name, with a version and exactly one piece of news', async () => {
    const { token, described } = await identity.createToken(alice, { name: 'gone' });
    const before = versionOf((await identity.whoIs({ token })).versions, 'token:') ?? 0n;
    const at = identity.heard.length;
    await revoke(alice, 'gone');
    expect(await isLiving(token)).toBe(false);
    expect(identity.newsSince(at)).toEqual([[`token:${described?.id} ${before + 1n}`]]);
    expect(await namesOf(alice)).not.toContain('gone');
    await expect(revoke(alice, 'gone')).rejects.toMatchObject({ code: 'not_found' });
    expect(identity.newsSince(at)).toHaveLength(1);
  });

  it('are revoked by whoever presents them, whatever their scopes', async () => {
    const { token } = await identity.createToken(alice, { name: 'logout', scopes: ['conda:download'] });
    const { tokens } = await identity.as({ token });
    await tokens.revoke({ which: { case: 'presented', value: true } });
    expect(await isLiving(token)).toBe(false);
    await expect(revoke(alice)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('are revoked twice at the same moment with one piece of news', async () => {
    const { token } = await identity.createToken(alice, { name: 'both' });
    const { tokens } = await identity.as({ token });
    const at = identity.heard.length;
    const end = () => tokens.revoke({ which: { case: 'presented', value: true } });
    await Promise.all([end(), end(), end()]);
    expect(identity.newsSince(at)).toHaveLength(1);
  });

  it('are not found under names of others, nor under names that cannot be', async () => {
    await identity.createToken(bob, { name: 'of-bob' });
    for (const name of ['of-bob', '', 'x\u0000y', 'x'.repeat(10_000)]) {
      await expect(revoke(alice, name)).rejects.toMatchObject({ code: 'not_found' });
    }
    expect(await namesOf(bob)).toContain('of-bob');
  });

  it('revoke and list others only with the scope for it', async () => {
    const { token } = await identity.createToken(alice, { name: 'reader', scopes: ['conda:download'] });
    await identity.createToken(alice, { name: 'victim' });
    await expect(revoke({ token }, 'victim')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('api:write'),
    });
    await expect(namesOf({ token })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('api:read'),
    });
    const { token: manager } = await identity.createToken(alice, { name: 'manager', scopes: ['api'] });
    expect(await namesOf({ token: manager })).toContain('victim');
    await revoke({ token: manager }, 'victim');
    expect(await namesOf(alice)).not.toContain('victim');
  });

  it('do nothing any more from the moment of their revocation, also with an assertion made before', async () => {
    const { token } = await identity.createToken(alice, { name: 'late' });
    const { tokens } = await identity.as({ token });
    await revoke(alice, 'late');
    const create = tokens.create({ name: 'too-late', scopes: ['all'], failIfExists: true });
    await expect(create).rejects.toMatchObject({ code: 'unauthenticated' });
    const remove = tokens.revoke({ which: { case: 'name', value: 'reader' } });
    await expect(remove).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(tokens.describe({})).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('describe themselves without a scope, and never show a secret again', async () => {
    const { token, described } = await identity.createToken(alice, { name: 'self', scopes: ['pypi:download'] });
    const { tokens } = await identity.as({ token });
    const answer = await tokens.describe({});
    expect(answer.token).toMatchObject({ id: described?.id, name: 'self', scopes: ['pypi:download'] });
    const list = await (await identity.as(alice)).tokens.list({});
    const text = JSON.stringify([answer, list], (_, value) => (typeof value === 'bigint' ? `${value}` : value));
    expect(text).not.toContain('viv-');
    expect(text).not.toContain(sha256Of(token).toString('hex'));
    await expect((await identity.as(alice)).tokens.describe({})).rejects.toMatchObject({ code: 'invalid' });
  });

  it('are nothing for anonymous callers', async () => {
    const anybody = await identity.as(alice).then(({ tokens }) => tokens);
    const none = { assertion: '' };
    await expect(anybody.list({}, none)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  describe('of an organization', () => {
    it('are made by its owners, and act for it alone', async () => {
      const { token, described } = await identity.createToken(alice, { name: 'org-ci', organization: 'Acme' });
      expect(described?.ownerLogin).toBe('acme');
      const { caller, versions } = await identity.whoIs({ token });
      expect(caller).toMatchObject({
        accountId: 'org-acme',
        login: 'acme',
        accountKind: 'organization',
        superuser: false,
      });
      expect(versions.map(({ tag }) => tag).sort()).toEqual(
        [`account:${alice.id}`, 'account:org-acme', 'standing:org-acme', `token:${described?.id}`].sort(),
      );
      expect(await namesOf(alice, 'acme')).toEqual(['org-ci']);
      expect(await namesOf(alice)).not.toContain('org-ci');
    });

    it('are hidden from strangers like those of an organization that does not exist', async () => {
      const attempt = async (organization: string) => {
        const fault = await identity.createToken(bob, { name: 'x', organization }).catch((error) => error);
        return `${fault.code}: ${fault.message.replace(organization, '…')}`;
      };
      expect(await attempt('acme')).toBe(await attempt('nowhere'));
      expect(await attempt('alice')).toBe(await attempt('nowhere'));
      expect(await attempt('acme')).toMatch(/^not_found/);
      await expect(namesOf(bob, 'acme')).rejects.toMatchObject({ code: 'not_found' });
      await expect(revoke(bob, 'org-ci', 'acme')).rejects.toMatchObject({ code: 'not_found' });
    });

    it('are not for its mere members', async () => {
      identity.members.add(`org-acme ${bob.id}`);
      await expect(namesOf(bob, 'acme')).rejects.toMatchObject({ code: 'forbidden' });
      identity.members.delete(`org-acme ${bob.id}`);
    });

    it('are not reached by a token that is restricted to other channels', async () => {
      const request = { name: 'elsewhere', restrictions: { channels: ['some-other-channel'] } };
      const { token } = await identity.createToken(alice, request);
      await expect(namesOf({ token }, 'acme')).rejects.toMatchObject({ code: 'forbidden' });
    });

    it('are suspended while their maker is no owner, and say so', async () => {
      const { token, described } = await identity.createToken(alice, { name: 'suspended', organization: 'acme' });
      const acting = await identity.as({ token });
      const { caller } = await identity.whoIs({ token });
      identity.owners.delete(`org-acme ${alice.id}`);
      try {
        await expect(identity.whoIs({ token })).rejects.toMatchObject({
          code: 'unauthenticated',
          message: expect.stringMatching(/this token of acme is suspended, because alice/),
        });
        const service = await identity.asService();
        await expect(service.recheck({ ...(caller && { caller }) })).rejects.toMatchObject({ code: 'unauthenticated' });
        const mint = acting.tokens.create({ name: 'escape', scopes: ['all'], failIfExists: true });
        await expect(mint).rejects.toMatchObject({ code: 'unauthenticated' });
      } finally {
        identity.owners.add(`org-acme ${alice.id}`);
      }
      expect((await identity.whoIs({ token })).caller?.credentialId).toBe(described?.id);
    });

    it('are suspended while the account of their maker is disabled, though it is an owner', async () => {
      const carl = await identity.createUser('carl');
      identity.owners.add(`org-acme ${carl.id}`);
      const { token } = await identity.createToken(carl, { name: 'of-carl', organization: 'acme' });
      const setDisabled = (disabled: boolean) =>
        identity.database.pool.query('UPDATE accounts SET disabled = $2 WHERE id = $1', [carl.id, disabled]);
      await setDisabled(true);
      await expect(identity.whoIs({ token })).rejects.toMatchObject({
        code: 'unauthenticated',
        message: expect.stringMatching(/this token of acme is suspended, because carl/),
      });
      await setDisabled(false);
      expect(await isLiving(token)).toBe(true);
    });

    it('stay bound to the maker of the one that made them', async () => {
      const { token } = await identity.createToken(alice, { name: 'org-parent', organization: 'acme' });
      const { token: child } = await identity.createToken({ token }, { name: 'org-child', scopes: ['conda'] });
      identity.owners.delete(`org-acme ${alice.id}`);
      try {
        expect(await isLiving(child)).toBe(false);
      } finally {
        identity.owners.add(`org-acme ${alice.id}`);
      }
      expect(await isLiving(child)).toBe(true);
    });

    it('are revoked by its owners, and by the same name none of their own', async () => {
      await identity.createToken(alice, { name: 'shared-name' });
      const { token } = await identity.createToken(alice, { name: 'shared-name', organization: 'acme' });
      await revoke(alice, 'shared-name', 'acme');
      expect(await isLiving(token)).toBe(false);
      expect(await namesOf(alice)).toContain('shared-name');
    });
  });

  it('have a limit in number, so that a list of them has an end', async () => {
    const dora = await identity.createUser('dora');
    await identity.database.pool.query(
      `INSERT INTO tokens (id, name, owner_id, maker_id, sha256, scopes, created_at, expires_at)
       SELECT 'filler-' || n, 'filler ' || n, $1, $1, sha256(n::text::bytea), '{all}', now(), now() + interval '1 day'
       FROM generate_series(1, 500) n`,
      [dora.id],
    );
    expect(await namesOf(dora)).toHaveLength(500);
    await expect(identity.createToken(dora, { name: 'one more' })).rejects.toMatchObject({ code: 'conflict' });
    await identity.createToken(dora, { name: 'filler 7', failIfExists: false });
  });
});
