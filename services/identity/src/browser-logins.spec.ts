import { createHash, randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { BrowserLogins } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Users } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity, sha256Of } from './identity.fixture.js';

jest.setTimeout(120_000);

const CLIENT = { clientId: 'b4ad7f1d-c784-46b5-a9fe-106e50441f5a', redirectUri: 'http://127.0.0.1:8000/auth/oidc' };

describe('logins by the browser', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };
  let number = 0;

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

  const sessionOf = async () => (await (await identity.as(alice)).sessions.open({})).secret;
  const loginsAs = async (credential: Parameters<RunningIdentity['as']>[0]) => {
    const { assertion } = await identity.as(credential);
    return clientOf(BrowserLogins, identity.bus, { assertion, timeoutMs: 10_000 });
  };
  const asGateway = async () => {
    const assertion = await identity.trustOf('gateway').assertionFor('identity');
    return clientOf(BrowserLogins, identity.bus, { assertion, timeoutMs: 10_000 });
  };
  const whoIs = (accessToken: string, audiences: string[] = ['identity']) =>
    identity.callers().whoIs({ credential: { case: 'browserSha256', value: sha256Of(accessToken) }, audiences });

  /** As far as the code. */
  async function begin(session?: string) {
    const codeVerifier = randomBytes(48).toString('base64url');
    const codeChallenge = createHash('sha256').update(codeVerifier).digest('base64url');
    const logins = await loginsAs({ session: session ?? (await sessionOf()) });
    const { code } = await logins.authorize({ ...CLIENT, codeChallenge });
    return { ...CLIENT, code, codeVerifier };
  }

  /** The token that the program makes itself in the end. */
  async function makeToken(accessToken: string, name = `client ${++number}`) {
    const { assertions } = await whoIs(accessToken);
    const tokens = clientOf(Tokens, identity.bus, { assertion: assertions.identity ?? '', timeoutMs: 10_000 });
    return tokens.create({ name, scopes: [], failIfExists: false });
  }

  it('give the program a token of the user, as its password would have', async () => {
    const asked = await begin();
    expect(asked.code).toMatch(/^vic-[a-z0-9]{32}$/);
    const { accessToken, expiresInSeconds } = await (await asGateway()).redeem(asked);
    expect([accessToken, expiresInSeconds]).toEqual([expect.stringMatching(/^via-[a-z0-9]{32}$/), 300n]);
    expect((await whoIs(accessToken)).caller).toMatchObject({ login: 'alice', credentialKind: 'browser' });
    const { token, described } = await makeToken(accessToken);
    expect(described).toMatchObject({ ownerLogin: 'alice', makerLogin: 'alice', scopes: ['all'] });
    expect((await identity.whoIs({ token })).caller?.login).toBe('alice');
    const { rows } = await identity.database.pool.query(
      'SELECT action, credential FROM audit WHERE owner_id = $1 ORDER BY id DESC LIMIT 3',
      [alice.id],
    );
    expect(rows).toEqual([
      { action: 'token.create', credential: 'browser' },
      { action: 'login.redeem', credential: '' },
      { action: 'login.authorize', credential: 'session' },
    ]);
  });

  it('keep only hashes', async () => {
    const asked = await begin();
    const { accessToken } = await (await asGateway()).redeem(asked);
    const { rows } = await identity.database.pool.query('SELECT b::text AS row FROM browser_logins b');
    const stored = JSON.stringify(rows) + identity.logged.join();
    for (const secret of [asked.code, asked.codeVerifier, accessToken]) {
      expect(stored).not.toContain(secret);
      expect(stored).not.toContain(Buffer.from(secret).toString('hex'));
    }
  });

  it.each([
    ['another verifier', { codeVerifier: 'x'.repeat(43) }],
    ['a short verifier', { codeVerifier: 'x' }],
    ['no verifier', { codeVerifier: '' }],
    ['the address of another program', { redirectUri: 'http://127.0.0.1:8001/auth/oidc' }],
    ['no address', { redirectUri: '' }],
    ['another program', { clientId: 'another' }],
  ])('refuse a code with %s, and it is spent', async (_, wrong) => {
    const asked = await begin();
    const logins = await asGateway();
    await expect(logins.redeem({ ...asked, ...wrong })).rejects.toMatchObject({ code: 'invalid' });
    await expect(logins.redeem(asked)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('refuse a challenge in the place of its verifier', async () => {
    const asked = await begin();
    const codeVerifier = createHash('sha256').update(asked.codeVerifier).digest('base64url');
    await expect((await asGateway()).redeem({ ...asked, codeVerifier })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('refuse a code that nobody gave, and one older than a minute', async () => {
    const logins = await asGateway();
    const unknown = await logins.redeem({ ...(await begin()), code: 'vic-x' }).catch((error) => error);
    const asked = await begin();
    identity.aheadMs = 60_001;
    const old = await (await asGateway()).redeem(asked).catch((error) => error);
    expect([unknown.code, old.code, old.message]).toEqual(['invalid', 'invalid', unknown.message]);
  });

  it('take a code once, however often it comes at once', async () => {
    const asked = await begin();
    const logins = await asGateway();
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => logins.redeem(asked)));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    // The others were replays, so that what the first got has ended.
    const first = tries.find((each) => each.status === 'fulfilled');
    const accessToken = first?.status === 'fulfilled' ? first.value.accessToken : '';
    await expect(whoIs(accessToken)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('end the token that was made of a code which comes again', async () => {
    const asked = await begin();
    const logins = await asGateway();
    const { accessToken } = await logins.redeem(asked);
    const { token } = await makeToken(accessToken);
    const { token: other } = await identity.createToken(alice, { name: `other ${++number}` });
    await expect(logins.redeem(asked)).rejects.toMatchObject({ code: 'invalid' });
    await expect(identity.whoIs({ token })).rejects.toThrow('revoked');
    expect((await identity.whoIs({ token: other })).caller?.login).toBe('alice');
  });

  it('make one token each, and only for a few minutes', async () => {
    const { accessToken } = await (await asGateway()).redeem(await begin());
    const both = await Promise.allSettled([makeToken(accessToken), makeToken(accessToken)]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(makeToken(accessToken)).rejects.toMatchObject({ code: 'unauthenticated' });
    const { accessToken: late } = await (await asGateway()).redeem(await begin());
    identity.aheadMs = 300_001;
    await expect(whoIs(late)).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('end with the session that they came from, and with the account', async () => {
    const session = await sessionOf();
    const [asked, redeemed] = [await begin(session), await begin(session)];
    const logins = await asGateway();
    const { accessToken } = await logins.redeem(redeemed);
    await (await identity.as({ session })).sessions.close({});
    await expect(logins.redeem(asked)).rejects.toMatchObject({ code: 'invalid' });
    await expect(whoIs(accessToken)).rejects.toMatchObject({ code: 'unauthenticated' });

    const { accessToken: another } = await logins.redeem(await begin());
    const { assertion } = await identity.as(ADMIN);
    const users = clientOf(Users, identity.bus, { assertion, timeoutMs: 10_000 });
    await users.change({ login: 'alice', disabled: true });
    await expect(whoIs(another)).rejects.toMatchObject({ code: 'unauthenticated' });
    await users.change({ login: 'alice', disabled: false });
  });

  it('open nothing but the way to a token', async () => {
    const { accessToken } = await (await asGateway()).redeem(await begin());
    for (const audiences of [['packages'], ['identity', 'authz']]) {
      await expect(whoIs(accessToken, audiences)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    await expect(identity.whoIs({ token: accessToken })).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(identity.whoIs({ session: accessToken })).rejects.toMatchObject({ code: 'unauthenticated' });
    const { assertions } = await whoIs(accessToken);
    const options = { assertion: assertions.identity ?? '', timeoutMs: 10_000 };
    const asProgram = clientOf(Tokens, identity.bus, options);
    const calls = [
      asProgram.list({}),
      asProgram.revoke({ which: { case: 'all', value: true } }),
      clientOf(Users, identity.bus, options).change({ login: 'alice', name: 'x' }),
      clientOf(BrowserLogins, identity.bus, options).authorize({ ...CLIENT, codeChallenge: 'x'.repeat(43) }),
    ];
    const refused = await Promise.allSettled<unknown>(calls);
    expect(refused).toMatchObject(calls.map(() => ({ status: 'rejected', reason: { code: 'forbidden' } })));
  });

  it('begin with a session, not with a password or a token', async () => {
    const { token } = await identity.createToken(alice, { name: `t ${++number}` });
    const request = { ...CLIENT, codeChallenge: 'x'.repeat(43) };
    for (const credential of [alice, { token }]) {
      await expect((await loginsAs(credential)).authorize(request)).rejects.toMatchObject({ code: 'forbidden' });
    }
    await expect(clientOf(BrowserLogins, identity.bus).authorize(request)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it.each([
    ['an unknown program', { clientId: 'another' }, 'not_found'],
    ['another port', { redirectUri: 'http://127.0.0.1:8001/auth/oidc' }, 'invalid'],
    ['another host', { redirectUri: 'http://evil.example/auth/oidc' }, 'invalid'],
    ['more behind the address', { redirectUri: 'http://127.0.0.1:8000/auth/oidc/../x' }, 'invalid'],
    ['a challenge that is none', { codeChallenge: 'plain' }, 'invalid'],
  ])('do not begin with %s', async (_, wrong, code) => {
    const logins = await loginsAs({ session: await sessionOf() });
    const request = { ...CLIENT, codeChallenge: 'x'.repeat(43), ...wrong };
    await expect(logins.authorize(request)).rejects.toMatchObject({ code });
  });

  it('are redeemed for services only', async () => {
    const asked = await begin();
    await expect(clientOf(BrowserLogins, identity.bus).redeem(asked)).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await loginsAs(alice)).redeem(asked)).rejects.toMatchObject({ code: 'unauthenticated' });
    const found = await (await asGateway()).findProgram({ clientId: CLIENT.clientId });
    expect(found).toMatchObject({ name: 'the anaconda client', redirectUris: [CLIENT.redirectUri] });
  });
});
