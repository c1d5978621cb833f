import { jest } from '@jest/globals';
import { Inbox } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { Fault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';
import { noticeExpiry, type OwnersOf } from './notices-of-expiry.js';

jest.setTimeout(120_000);

const DAY = 86_400_000;
const days = (count: number) => BigInt(count * 86_400);

describe('a token that ends soon', () => {
  let identity: RunningIdentity;
  let alice: { login: string; password: string; id: string };
  beforeAll(async () => {
    identity = await RunningIdentity.start();
    const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
    await ensureFirstAdmin(identity.database.db, rules, ADMIN);
    alice = await identity.createUser('alice');
  });
  afterAll(() => identity.stop());

  const inboxOf = async (user: typeof alice) => {
    const { assertion } = await identity.as(user);
    return (await clientOf(Inbox, identity.bus, { assertion }).list({})).messages;
  };
  const ownersOf = async (organizationId: string) =>
    [...identity.owners]
      .map((who) => who.split(' '))
      .flatMap(([id, user]) => (id === organizationId ? [user ?? ''] : []));
  const notice = (aheadMs: number, owners: OwnersOf = ownersOf) =>
    noticeExpiry(identity.database.db, owners, identity.clock() + aheadMs);

  it('is told of once, 14 days before, to whoever made it', async () => {
    const acme = { id: 'org-acme', login: 'acme', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: acme });
    identity.owners.add(`org-acme ${alice.id}`);
    await identity.createToken(alice, { name: 'month', maxAgeSeconds: days(30) });
    await identity.createToken(alice, { name: 'release', organization: 'acme', maxAgeSeconds: days(30) });
    await identity.createToken(alice, { name: 'year' });
    // Who makes one for a week knows that it ends.
    await identity.createToken(alice, { name: 'week', maxAgeSeconds: days(7) });
    await identity.createToken(alice, { name: 'gone', maxAgeSeconds: days(30) });
    const { tokens } = await identity.as(alice);
    await tokens.revoke({ which: { case: 'name', value: 'gone' } });

    expect(await notice(0)).toBe(0);
    expect(await notice(15 * DAY)).toBe(0);
    const [one, two] = await Promise.all([notice(16.5 * DAY), notice(16.5 * DAY)]);
    expect(one + two).toBe(2);
    expect(await notice(17 * DAY)).toBe(0);
    const texts = (await inboxOf(alice)).map(({ kind, text }) => `${kind}: ${text}`);
    expect(texts.toSorted()).toEqual([
      expect.stringMatching(/^token.expires: The token "release" of acme expires on \d{4}-\d\d-\d\d\./),
      expect.stringMatching(/^token.expires: Your token "month" expires on \d{4}-\d\d-\d\d\./),
    ]);
  });

  it('of an organization is told of to its owners, whoever made it, and later if authz does not answer', async () => {
    const [carol, dan] = [await identity.createUser('carol'), await identity.createUser('dan')];
    const globex = { id: 'org-globex', login: 'globex', kind: 'organization', createdAt: new Date() };
    await identity.database.db.account.create({ data: globex });
    identity.owners.add(`org-globex ${carol.id}`);
    await identity.createToken(carol, { name: 'deploy', organization: 'globex', maxAgeSeconds: days(30) });
    identity.owners.delete(`org-globex ${carol.id}`);
    for (const { id } of [alice, dan]) identity.owners.add(`org-globex ${id}`);
    const away: OwnersOf = () => Promise.reject(new Fault('unavailable', 'authz does not answer'));
    expect(await notice(20 * DAY, away)).toBe(0);
    const counts = await Promise.all([notice(20 * DAY), notice(20 * DAY)]);
    expect(counts[0] + counts[1]).toBe(1);
    // Who becomes an owner afterwards is not told of it alone.
    identity.owners.add(`org-globex ${carol.id}`);
    expect(await notice(21 * DAY)).toBe(0);
    for (const [owner, told] of [
      [alice, 1],
      [dan, 1],
      [carol, 0],
    ] as const) {
      const texts = (await inboxOf(owner)).map(({ text }) => text);
      expect(texts.filter((text) => text.startsWith('The token "deploy" of globex expires on'))).toHaveLength(told);
    }
  });

  it('is not told of when it has ended, or to an account that is disabled', async () => {
    const bob = await identity.createUser('bob');
    await identity.createToken(bob, { name: 'old', maxAgeSeconds: days(30) });
    expect(await notice(31 * DAY)).toBe(0);
    await identity.database.db.account.update({ where: { id: bob.id }, data: { disabled: true } });
    expect(await notice(20 * DAY)).toBe(0);
    await identity.database.db.account.update({ where: { id: bob.id }, data: { disabled: false } });
    expect(await notice(20 * DAY)).toBe(1);
  });
});
