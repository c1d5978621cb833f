import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(60_000);

describe('a change that a gateway may not have heard of', () => {
  let identity: RunningIdentity;
  let user: { login: string; password: string; id: string };

  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    user = await identity.createUser('alice');
  });
  afterAll(() => identity.stop());

  it('is made, and answered as unavailable with a sentence that says so', async () => {
    const { secret: session } = await (await identity.as(user)).sessions.open({});
    await identity.createToken(user, { name: 'revoked' });
    const dora = await identity.createUser('dora');
    const former = await identity.createToken(user, { name: 'replaced' });
    const [asAdmin, asAlice, asSession] = await Promise.all([
      identity.as(ADMIN),
      identity.as(user),
      identity.as({ session }),
    ]);
    // It holds a lease and never says that it has heard anything.
    await identity.database.pool.query(
      "INSERT INTO leases (holder, until, acked_epoch, acked) VALUES ('silent', now() + interval '1 hour', '', 0)",
    );

    const replacement = { name: 'replaced', scopes: ['all'], failIfExists: false };
    const changes = {
      'a session is closed': asSession.sessions.close({}),
      'a user is made': asAdmin.accounts.createUser({ login: 'bob', email: 'bob@example.org', password: 'a password' }),
      'a password is changed': asAdmin.accounts.setPassword({ login: 'dora', password: 'another password' }),
      'a token is revoked': asAlice.tokens.revoke({ which: { case: 'name', value: 'revoked' } }),
      'a token is replaced': asAlice.tokens.create(replacement),
    };
    const faults = await Promise.all(
      Object.entries(changes).map(async ([change, answer]) => [change, await answer.then(() => 'done', saidOf)]),
    );
    expect(faults).toEqual([
      ['a session is closed', notEverywhere('The session has ended')],
      ['a user is made', notEverywhere('The user bob is made')],
      ['a password is changed', notEverywhere('The password is changed and the sessions have ended')],
      ['a token is revoked', notEverywhere('The token is revoked')],
      ['a token is replaced', notEverywhere('Ask again for the new token: the former one of that name is revoked')],
    ]);
    await expect(identity.whoIs(dora)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(identity.whoIs({ session })).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(identity.whoIs({ token: former.token })).rejects.toMatchObject({ code: 'unauthenticated' });
    expect((await identity.whoIs({ login: 'bob', password: 'a password' })).caller?.login).toBe('bob');
    const { tokens } = await (await identity.as(user)).tokens.list({});
    expect(tokens.map(({ name }) => name)).toEqual(['replaced']);

    // Once it has gone, what was refused for its sake is answered.
    await identity.database.pool.query("DELETE FROM leases WHERE holder = 'silent'");
    const again = await identity.createToken(user, replacement);
    expect((await identity.whoIs({ token: again.token })).caller?.login).toBe('alice');
  });

  it('does not hold a token that takes the name of a dead one', async () => {
    const { pool } = identity.database;
    await identity.createToken(ADMIN, { name: 'short', maxAgeSeconds: 60n });
    identity.aheadMs = 120_000;
    await pool.query(
      "INSERT INTO leases (holder, until, acked_epoch, acked) VALUES ('silent', now() + interval '1 hour', '', 0)",
    );
    const { token } = await identity.createToken(ADMIN, { name: 'short', failIfExists: true });
    expect((await identity.whoIs({ token })).caller?.login).toBe('admin');
  });
});

function notEverywhere(done: string): string {
  return `unavailable: ${done}, but a gateway may not have heard of it for some seconds.`;
}

function saidOf({ code, message }: { code: string; message: string }): string {
  return `${code}: ${message}`;
}
