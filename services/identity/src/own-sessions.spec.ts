import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(120_000);

describe('the sessions of an account', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };
  let bob: typeof alice;
  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    [alice, bob] = [await identity.createUser('alice'), await identity.createUser('bob')];
  });
  afterAll(() => identity.stop());

  const open = async (user: typeof alice, userAgent = '') =>
    (await (await identity.as(user)).sessions.open({ address: '192.0.2.1', userAgent })).secret;
  const sessionsAs = async (session: string) => (await identity.as({ session })).sessions;
  const isLiving = (session: string) =>
    identity.whoIs({ session }).then(
      () => true,
      () => false,
    );

  it('are listed with where they were opened, and which one asks', async () => {
    await open(alice, 'an old browser');
    const here = await open(alice, 'a browser');
    const { sessions } = await (await sessionsAs(here)).list({});
    expect(sessions).toMatchObject([
      { address: '192.0.2.1', userAgent: 'a browser', presented: true },
      { userAgent: 'an old browser', presented: false },
    ]);
    expect(JSON.stringify(sessions, (_, value) => (typeof value === 'bigint' ? Number(value) : value))).not.toContain(
      here,
    );
  });

  it('end one by one, at every gateway', async () => {
    const [here, there] = [await open(alice), await open(alice, 'there')];
    const sessions = await sessionsAs(here);
    const id = (await sessions.list({})).sessions.find(({ userAgent }) => userAgent === 'there')?.id ?? '';
    const at = identity.heard.length;
    expect(await sessions.end({ id })).toMatchObject({ ended: 1n });
    expect(identity.newsSince(at)).toEqual([[expect.stringContaining(`session:${id} `)]]);
    expect([await isLiving(here), await isLiving(there)]).toEqual([true, false]);
    await expect(sessions.end({ id })).rejects.toMatchObject({ code: 'not_found' });
  });

  it("are out of others' reach", async () => {
    const [alices, bobs] = [await open(alice), await open(bob)];
    const [own] = (await (await sessionsAs(alices)).list({})).sessions;
    const other = (await sessionsAs(bobs)).end({ id: own?.id ?? '' });
    await expect(other).rejects.toMatchObject({ code: 'not_found' });
    const { token } = await identity.createToken(alice, { name: 'reader', scopes: ['api:read'] });
    const { sessions } = await identity.as({ token });
    expect((await sessions.list({})).sessions.every(({ presented }) => !presented)).toBe(true);
    await expect(sessions.end({})).rejects.toMatchObject({ code: 'forbidden' });
    expect(await isLiving(alices)).toBe(true);
  });

  it('end all at once, in one event', async () => {
    const all = [await open(bob), await open(bob)];
    const { ended } = await (await sessionsAs(all[0] ?? '')).end({});
    expect(Number(ended)).toBeGreaterThanOrEqual(2);
    for (const session of all) expect(await isLiving(session)).toBe(false);
    const { rows } = await identity.database.pool.query(
      "SELECT before FROM audit WHERE action = 'session.close' AND owner_id = $1",
      [bob.id],
    );
    expect(rows).toEqual([{ before: { sessions: Number(ended) } }]);
  });
});
