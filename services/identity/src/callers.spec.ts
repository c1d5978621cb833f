import { jest } from '@jest/globals';
import { Invalidations } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity, sha256Of, versionOf } from './identity.fixture.js';

jest.setTimeout(60_000);

const DAY = 86_400_000;

describe('who is calling', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
  });
  afterAll(() => identity.stop());
  afterEach(() => {
    identity.aheadMs = 0;
  });

  it('is told by a password, however the login is written', async () => {
    const { caller, versions } = await identity.whoIs({ login: ' Alice ', password: alice.password });
    expect(caller).toMatchObject({
      accountId: alice.id,
      login: 'alice',
      accountKind: 'user',
      superuser: false,
      credentialKind: 'password',
      credentialId: '',
    });
    expect(versions.map(({ tag }) => tag)).toEqual([`account:${alice.id}`]);
  });

  it('refuses a wrong password, an unknown login and a malformed one with one and the same answer', async () => {
    const { db } = identity.database;
    await db.account.create({ data: { id: 'org-1', login: 'acme', kind: 'organization', createdAt: new Date() } });
    const attempts = [
      { login: 'alice', password: 'not the password' },
      { login: 'alice', password: '' },
      { login: 'alice', password: 'x'.repeat(5_000) },
      { login: 'nobody', password: 'not the password' },
      { login: 'not a login', password: 'not the password' },
      { login: 'acme', password: 'not the password' },
      { login: 'nul\u0000', password: 'not the password' },
    ];
    const answers = await Promise.all(attempts.map((attempt) => refusalOf(identity.whoIs(attempt))));
    expect(new Set(answers)).toEqual(
      new Set(['unauthenticated: the login or the password is wrong; check both and try again']),
    );
  });

  it('takes as long to refuse an unknown login as a wrong password', async () => {
    const times: { unknown: number; wrong: number }[] = [];
    for (let round = 0; round < 11; round++) {
      times.push({
        unknown: await timeOf(() => identity.whoIs({ login: 'nobody', password: 'not the password' })),
        wrong: await timeOf(() => identity.whoIs({ login: 'alice', password: 'not the password' })),
      });
    }
    const [unknown, wrong] = [medianOf(times.map((each) => each.unknown)), medianOf(times.map((each) => each.wrong))];
    expect(unknown).toBeGreaterThan(wrong / 2);
    expect(unknown).toBeLessThan(wrong * 2);
  });

  it('is told by a token, with its scopes, restrictions and the versions of its facts', async () => {
    const { token, described } = await identity.createToken(alice, {
      name: 'ci',
      scopes: ['repos', 'conda:upload'],
      restrictions: { channels: [alice.id], packages: ['foo*'] },
    });
    expect(token).toMatch(/^viv-[a-z0-9]{32}-[a-z0-9]{6}$/);
    const { caller, versions } = await identity.whoIs({ token });
    expect(caller).toMatchObject({
      login: 'alice',
      credentialKind: 'token',
      credentialId: described?.id,
      tokenName: 'ci',
      scopes: ['repos', 'conda:upload'],
      restrictions: { channels: [alice.id], packages: ['foo*'], labels: [], subdirs: [], cidrs: [] },
      expiresAtMs: described?.expiresAtMs,
      limitedUses: false,
    });
    expect(versions.map(({ tag }) => tag).sort()).toEqual([`account:${alice.id}`, `token:${described?.id}`]);
  });

  it('says of a token whether it is unknown, expired or revoked, when, and what to do', async () => {
    const remedy = 'create a new one with "anaconda auth --create" or on the web page';
    expect(await refusalOf(identity.whoIs({ token: 'viv-never' }))).toBe(
      `unauthenticated: this token is unknown to this server; ${remedy}`,
    );
    const { token, described } = await identity.createToken(alice, { name: 'short', maxAgeSeconds: 3_600n });
    const end = new Date(Number(described?.expiresAtMs));
    identity.aheadMs = 3_599_000;
    expect((await identity.whoIs({ token })).caller?.login).toBe('alice');
    identity.aheadMs = 3_600_000;
    expect(await refusalOf(identity.whoIs({ token }))).toBe(
      `unauthenticated: this token expired on ${end.toISOString().slice(0, 10)}; ${remedy}`,
    );
    identity.aheadMs = 0;
    await (await identity.as({ token })).tokens.revoke({ which: { case: 'presented', value: true } });
    expect(await refusalOf(identity.whoIs({ token }))).toBe(
      `unauthenticated: this token was revoked on ${new Date().toISOString().slice(0, 10)}; ${remedy}`,
    );
  });

  it('says that an account is disabled or deleted, by token, session and right password, and to nobody else', async () => {
    const bob = await identity.createUser('bob');
    const { token } = await identity.createToken(bob, { name: 'x' });
    const { secret: session } = await (await identity.as(bob)).sessions.open({});
    const where = { login: 'bob' };
    await identity.database.db.account.update({ where, data: { disabled: true } });
    const answers = async () =>
      new Set(await Promise.all([{ token }, { session }, bob].map((each) => refusalOf(identity.whoIs(each)))));
    expect(await answers()).toEqual(
      new Set(['unauthenticated: the account bob is disabled; ask an administrator of this server to enable it']),
    );
    expect(await refusalOf(identity.whoIs({ login: 'bob', password: 'wrong password' }))).toMatch(/is wrong/);
    await identity.database.db.account.update({ where, data: { deletedAt: new Date() } });
    expect(await answers()).toEqual(
      new Set(['unauthenticated: the account bob was deleted; sign in with another one']),
    );
  });

  it('signs an assertion for each service asked for, which that service accepts and no other', async () => {
    const { assertions } = await identity.whoIs(alice, ['packages', 'authz', 'packages']);
    expect(Object.keys(assertions).sort()).toEqual(['authz', 'packages']);
    const call = { assertion: assertions.packages, deadlineMs: 0, signal: new AbortController().signal, subject: 'x' };
    const caller = await identity.trustOf('packages').callerOf(call);
    expect(caller).toMatchObject({ kind: 'account', login: 'alice', accountId: alice.id });
    for (const other of ['authz', 'identity', 'conda-index']) {
      await expect(identity.trustOf(other).callerOf(call)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    identity.aheadMs = 7_000;
    await expect(identity.trustOf('packages').callerOf(call)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('refuses a question without a credential or for no service of the house', async () => {
    await expect(identity.callers().whoIs({})).rejects.toMatchObject({ code: 'invalid' });
    await expect(identity.whoIs(alice, ['../x'])).rejects.toMatchObject({ code: 'invalid' });
    const many = Array.from({ length: 17 }, (_, index) => `s${'x'.repeat(index)}`);
    await expect(identity.whoIs(alice, many)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('publishes keys and no private part of them', async () => {
    const { jwksJson } = await identity.callers().keys({});
    const { keys } = JSON.parse(jwksJson);
    expect(keys).toHaveLength(2);
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']);
  });

  it('rechecks a caller for services by today, and for nobody else', async () => {
    const { token, described } = await identity.createToken(alice, { name: 'rechecked', scopes: ['conda'] });
    const { caller } = await identity.whoIs({ token });
    if (caller === undefined) throw new Error('there is no caller');
    const service = await identity.asService();
    expect((await service.recheck({ caller })).caller).toEqual(caller);
    await expect(identity.callers().recheck({ caller })).rejects.toMatchObject({ code: 'forbidden' });
    const forged = { ...caller, accountId: 'somebody-else' };
    expect(await refusalOf(service.recheck({ caller: forged }))).toMatch(/^unauthenticated: this token is unknown/);
    // What a caller claims beside its ids does not count.
    const boasting = { ...caller, superuser: true, scopes: ['all'], login: 'admin' };
    expect((await service.recheck({ caller: boasting })).caller).toEqual(caller);
    await (await identity.as(alice)).tokens.revoke({ which: { case: 'name', value: 'rechecked' } });
    expect(await refusalOf(service.recheck({ caller }))).toMatch(/^unauthenticated: this token was revoked/);
    expect(described?.id).toBe(caller.credentialId);
  });

  it('rechecks sessions and passwords too', async () => {
    const carol = await identity.createUser('carol');
    const { secret: session } = await (await identity.as(carol)).sessions.open({});
    const [bySession, byPassword] = [await identity.whoIs({ session }), await identity.whoIs(carol)];
    const service = await identity.asService();
    for (const { caller } of [bySession, byPassword]) {
      expect((await service.recheck({ caller })).caller).toMatchObject({
        login: 'carol',
        credentialKind: caller?.credentialKind,
        credentialId: caller?.credentialId,
      });
    }
    const { accounts } = await identity.as(ADMIN);
    await accounts.setPassword({ login: 'carol', password: 'another password' });
    for (const { caller } of [bySession, byPassword]) {
      await expect(service.recheck({ caller })).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });

  it('gives exactly as many uses as a token has, whoever asks at the same time', async () => {
    const { token, described } = await identity.createToken(alice, { name: 'ten', uses: 10n });
    const { caller } = await identity.whoIs({ token });
    expect(caller?.limitedUses).toBe(true);
    const service = await identity.asService();
    const tokenId = described?.id ?? '';
    const uses = await Promise.allSettled(Array.from({ length: 50 }, () => service.use({ tokenId })));
    const left = uses.flatMap((use) => (use.status === 'fulfilled' ? [Number(use.value.remaining)] : []));
    expect(left.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const refused = uses.flatMap((use) => (use.status === 'rejected' ? [use.reason] : []));
    for (const each of refused) expect(each).toMatchObject({ code: 'unauthenticated' });
    expect(await refusalOf(identity.whoIs({ token }))).toMatch(/^unauthenticated: this token has no uses left/);
    await expect(identity.callers().use({ tokenId })).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('takes no use from a token without a limit, and gives none to a revoked or unknown one', async () => {
    const { described } = await identity.createToken(alice, { name: 'endless' });
    const service = await identity.asService();
    expect((await service.use({ tokenId: described?.id ?? '' })).remaining).toBe(-1n);
    await expect(service.use({ tokenId: 'unknown' })).rejects.toMatchObject({ code: 'unauthenticated' });
    await (await identity.as(alice)).tokens.revoke({ which: { case: 'name', value: 'endless' } });
    await expect(service.use({ tokenId: described?.id ?? '' })).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('notes when and from where a token was last used, once a minute, without a new version', async () => {
    const { token } = await identity.createToken(alice, { name: 'used' });
    const first = await identity.whoIs({ token }, [], '192.0.2.7');
    const noted = await eventually(
      () => used('used'),
      (row) => row.lastUsedAt !== null,
    );
    expect(noted.lastUsedAddress).toBe('192.0.2.7');
    identity.aheadMs = 59_000;
    await identity.whoIs({ token }, [], '192.0.2.8');
    identity.aheadMs = 61_000;
    const third = await identity.whoIs({ token }, [], '2001:db8::1');
    const again = await eventually(
      () => used('used'),
      (row) => row.lastUsedAddress !== '192.0.2.7',
    );
    expect(again.lastUsedAddress).toBe('2001:db8::1');
    expect(versionOf(third.versions, 'token:')).toBe(versionOf(first.versions, 'token:'));
  });

  it('answers although the last use cannot be written', async () => {
    const { token } = await identity.createToken(alice, { name: 'unwritten' });
    const { pool } = identity.database;
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
      CREATE TRIGGER refuse BEFORE UPDATE OF last_used_at ON tokens FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      expect((await identity.whoIs({ token })).caller?.login).toBe('alice');
      await eventually(
        async () => identity.logged.join(),
        (lines) => lines.includes('last use of a credential'),
      );
    } finally {
      await pool.query('DROP TRIGGER refuse ON tokens; DROP FUNCTION refuse()');
    }
  });

  it('ends a session that nobody used for twelve hours, and any after fourteen days', async () => {
    const opened = await (await identity.as(alice)).sessions.open({ userAgent: 'a browser' });
    const session = opened.secret;
    const start = Date.now();
    expect(Math.round((Number(opened.expiresAtMs) - start) / DAY)).toBe(14);
    for (let hours = 0; hours < 14 * 24 - 11; hours += 11) {
      identity.aheadMs = hours * 3_600_000;
      const { caller } = await identity.whoIs({ session });
      expect(Number(caller?.expiresAtMs)).toBeLessThanOrEqual(Number(opened.expiresAtMs));
      if (hours > 0) {
        const at = identity.clock() - 60_000;
        await eventually(
          () => sessionRow(session),
          (row) => row.lastUsedAt.getTime() > at,
        );
      }
    }
    identity.aheadMs = 14 * DAY + 1_000;
    expect(await refusalOf(identity.whoIs({ session }))).toBe('unauthenticated: this session has ended; sign in again');
    identity.aheadMs = 0;
    const { secret: idle } = await (await identity.as(alice)).sessions.open({});
    identity.aheadMs = DAY / 2 + 1_000;
    expect(await refusalOf(identity.whoIs({ session: idle }))).toMatch(/this session has ended/);
  });

  it('leases its facts to gateways, and to services only', async () => {
    const assertion = await identity.trustOf('gateway').assertionFor('identity');
    const { seq, epoch } = await clientOf(Invalidations, identity.bus, { assertion }).lease({ holder: 'gateway-9' });
    expect([epoch, seq]).toEqual([identity.heard.at(-1)?.epoch, identity.heard.at(-1)?.seq]);
    const anybody = clientOf(Invalidations, identity.bus).lease({ holder: 'gateway-9' });
    await expect(anybody).rejects.toMatchObject({ code: 'forbidden' });
    await identity.database.pool.query('DELETE FROM leases');
  });

  const used = (name: string) => identity.database.db.token.findFirstOrThrow({ where: { name } });
  const sessionRow = (session: string) =>
    identity.database.db.session.findUniqueOrThrow({ where: { sha256: new Uint8Array(sha256Of(session)) } });
});

async function refusalOf(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => 'no refusal',
    (fault) => `${fault.code}: ${fault.message}`,
  );
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work().catch(() => undefined);
  return performance.now() - began;
}

function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

async function eventually<T>(read: () => Promise<T>, isDone: (value: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 200; tries++) {
    const value = await read();
    if (isDone(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not happen');
}
