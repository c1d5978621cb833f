import { jest } from '@jest/globals';
import { Invalidations, Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { type Invalidation, InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { invalidationSubject } from '@vivarium/invalidation/invalidations';
import { subscribeEvent } from '@vivarium/rpc/events';
import { clientOf } from '@vivarium/rpc/rpc';
import { RunningAuthz } from './authz.fixture.js';

jest.setTimeout(60_000);

describe('authz', () => {
  let authz: RunningAuthz;
  let owners: string;
  const heard: Invalidation[] = [];

  beforeAll(async () => {
    authz = await RunningAuthz.start();
    await subscribeEvent(authz.bus, InvalidationSchema, invalidationSubject('authz'), (each) => heard.push(each));
    owners = await authz.addOrganization('acme', 'alice');
  });
  afterAll(() => authz.stop());

  async function ask(accountId: string, channelId: string, accountKind = 'user', channelKind = 'organization') {
    const views = clientOf(Views, authz.bus, { assertion: await authz.assertionOf('packages') });
    const { standing, versions } = await views.viewOf({ accountId, accountKind, channelId, channelKind });
    const [version] = versions;
    expect(versions).toHaveLength(1);
    expect(version?.tag).toBe(`standing:${channelId}`);
    return { owner: standing?.owner, member: standing?.member, groups: standing?.groups, version: version?.version };
  }

  it('knows a user as the owner of its own channel, which has no version but 0', async () => {
    expect(await ask('bob', 'bob', 'user', 'user')).toEqual({ owner: true, member: false, groups: [], version: 0n });
  });

  it('knows an organization as the owner of its own channel and as nothing elsewhere', async () => {
    expect(await ask('acme', 'acme', 'organization')).toMatchObject({ owner: true, groups: [] });
    const other = await authz.addOrganization('umbrella', 'acme');
    expect(other).not.toBe(owners);
    expect(await ask('acme', 'umbrella', 'organization')).toMatchObject({ owner: false, member: false, groups: [] });
  });

  it('knows a stranger as nobody', async () => {
    expect(await ask('mallory', 'acme')).toMatchObject({ owner: false, member: false, groups: [] });
    expect(await ask('mallory', 'bob', 'user', 'user')).toMatchObject({ owner: false, member: false, groups: [] });
    expect(await ask("' OR true --", 'acme')).toMatchObject({ owner: false, groups: [] });
  });

  it('knows the members of the group owners as owners', async () => {
    const { owner, member, groups } = await ask('alice', 'acme');
    expect([owner, member]).toEqual([true, true]);
    expect(groups).toMatchObject([{ id: owners, name: 'owners', permission: 'admin', all: true }]);
  });

  it('gives a member its groups with their permissions, and only those of the channel asked about', async () => {
    const readers = await authz.addGroup('acme', { name: 'readers', permission: 'read', allPackages: true });
    const builders = await authz.addGroup('acme', { name: 'builders', permission: 'write', allPackages: false });
    const elsewhere = await authz.addOrganization('initech', 'peter');
    for (const groupId of [readers, builders, elsewhere]) {
      await authz.addMember(groupId, 'carol');
    }
    const { owner, member, groups } = await ask('carol', 'acme');
    expect([owner, member]).toEqual([false, true]);
    expect(groups?.map(({ id, name, permission, all }) => [id, name, permission, all]).sort()).toEqual(
      [
        [readers, 'readers', 'read', true],
        [builders, 'builders', 'write', false],
      ].sort(),
    );
  });

  it('raises the version and says so exactly once at every change', async () => {
    const before = await ask('dave', 'acme');
    const at = heard.length;
    await authz.addMember(owners, 'dave');
    const added = await ask('dave', 'acme');
    expect(added.owner).toBe(true);
    expect(added.version).toBe((before.version ?? 0n) + 1n);
    await authz.removeMember(owners, 'dave');
    const removed = await ask('dave', 'acme');
    expect(removed).toEqual({ ...before, version: (before.version ?? 0n) + 2n });
    const news = heard.slice(at).map(({ facts }) => facts.map(({ tag, version }) => [tag, version]));
    expect(news).toEqual([[['standing:acme', added.version]], [['standing:acme', removed.version]]]);
  });

  it('gives every one of many changes at once a version of its own', async () => {
    const { version: before = 0n } = await ask('alice', 'acme');
    const groupId = await authz.addGroup('acme', { name: 'crowd', permission: 'read', allPackages: false });
    const at = heard.length;
    const names = Array.from({ length: 20 }, (_, index) => `member-${index}`);
    await Promise.all(names.map((accountId) => authz.addMember(groupId, accountId)));
    const versions = heard.slice(at).flatMap(({ facts }) => facts.map(({ version }) => version));
    expect(versions.toSorted((a, b) => Number(a - b))).toEqual(names.map((_, index) => before + 2n + BigInt(index)));
    expect((await ask('member-7', 'acme')).groups).toMatchObject([{ name: 'crowd' }]);
  });

  it('never leaves an organization without an owner, whoever leaves at the same time', async () => {
    const solo = await authz.addOrganization('solo', 'ann');
    await authz.addMember(solo, 'ben');
    const before = await ask('ann', 'solo');
    const leaving = await Promise.allSettled(['ann', 'ben'].map((accountId) => authz.removeMember(solo, accountId)));
    expect(leaving.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await authz.db.member.count({ where: { groupId: solo } })).toBe(1);
    expect((await ask('ann', 'solo')).version).toBe((before.version ?? 0n) + 1n);
  });

  it.each([
    ['a second organization of one account', () => authz.addOrganization('acme', 'x')],
    [
      'a second group of one name',
      () => authz.addGroup('acme', { name: 'owners', permission: 'read', allPackages: false }),
    ],
    [
      'a group with a slash in its name',
      () => authz.addGroup('acme', { name: 'a/b', permission: 'read', allPackages: false }),
    ],
    [
      'a group of no organization',
      () => authz.addGroup('nobody', { name: 'x1', permission: 'read', allPackages: false }),
    ],
    ['a member of no group', () => authz.addMember('none', 'x')],
    ['the removal of a stranger', () => authz.removeMember(owners, 'mallory')],
  ])('refuses %s and changes nothing', async (_, change) => {
    const [before, at] = [await ask('alice', 'acme'), heard.length];
    await expect(change()).rejects.toMatchObject({
      name: 'Fault',
      code: expect.stringMatching(/conflict|invalid|not_found/),
    });
    expect(await ask('alice', 'acme')).toEqual(before);
    expect(heard).toHaveLength(at);
  });

  it('does not say done while a gateway may remember the former standing, though the change is made', async () => {
    const hooli = await authz.addOrganization('hooli', 'gavin');
    // It holds a lease and never says that it has heard anything.
    await authz.db.$executeRaw`
      INSERT INTO authz.leases (holder, until, acked_epoch, acked) VALUES ('silent', now() + interval '1 hour', '', 0)`;
    try {
      const late = { code: 'unavailable', message: expect.stringMatching(/is made, but a gateway may not have heard/) };
      await expect(authz.addMember(hooli, 'dinesh')).rejects.toMatchObject(late);
    } finally {
      await authz.db.$executeRaw`DELETE FROM authz.leases WHERE holder = 'silent'`;
    }
    expect(await ask('dinesh', 'hooli')).toMatchObject({ owner: true });
  });

  it('tells identity, and nobody else, who owns an organization', async () => {
    const initrode = await authz.addOrganization('initrode', 'bill');
    await authz.addMember(initrode, 'anne');
    const staff = await authz.addGroup('initrode', { name: 'staff', permission: 'admin', allPackages: true });
    await authz.addMember(staff, 'milton');
    const as = async (service: string) => clientOf(Views, authz.bus, { assertion: await authz.assertionOf(service) });
    const ownersOf = async (organizationId: string) =>
      (await (await as('identity')).ownersOf({ organizationId })).accountIds;
    expect(await ownersOf('initrode')).toEqual(['anne', 'bill']);
    expect(await ownersOf('bill')).toEqual([]);
    for (const service of ['packages', 'gateway', 'platform']) {
      const asked = (await as(service)).ownersOf({ organizationId: 'initrode' });
      await expect(asked).rejects.toMatchObject({ code: 'forbidden' });
    }
  });

  it('answers services only', async () => {
    const question = { accountId: 'alice', accountKind: 'user', channelId: 'acme', channelKind: 'organization' };
    await expect(clientOf(Views, authz.bus).viewOf(question)).rejects.toMatchObject({ code: 'forbidden' });
    const forged = { assertion: `${await authz.assertionOf('packages')}x` };
    await expect(clientOf(Views, authz.bus, forged).viewOf(question)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('leases its facts to a gateway up to the last number that it has announced', async () => {
    const leases = clientOf(Invalidations, authz.bus, { assertion: await authz.assertionOf('gateway') });
    const { epoch, seq, leaseMs } = await leases.lease({ holder: 'gateway-1' });
    expect(leaseMs).toBeGreaterThan(0n);
    expect([epoch, seq]).toEqual([heard.at(-1)?.epoch, heard.at(-1)?.seq]);
  });

  it('has a client whose every model agrees with the tables', async () => {
    await authz.db.organization.findFirst();
    await authz.db.group.findFirst();
    await authz.db.member.findFirst();
  });
});
