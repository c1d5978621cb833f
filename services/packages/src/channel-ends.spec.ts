import { jest } from '@jest/globals';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { AccessFacts } from '@vivarium/contracts/gen/vivarium/packages/v1/access_facts_pb';
import { ChannelEnds } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_ends_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { aCondaPackage } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string): Sent {
  const { filename, bytes } = aCondaPackage({ name, version: '1.0', subdir: 'noarch' });
  return { channel, package: name, version: '1.0', basename: `noarch/${filename}`, kind: 'conda', bytes };
}

describe('the end of a channel', () => {
  let running: RunningPackages;
  let ann: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
    for (const login of ['acme', 'empty', 'locked', 'unasked']) {
      running.accounts.set(login, { id: `id-${login}`, kind: 'organization' });
      running.standings.set(`id-ann id-${login}`, { owner: true, member: true });
    }
    for (const name of ['one', 'two']) await running.upload(ann, conda('acme', name));
  });
  afterAll(() => running.stop());

  const ends = async (service = 'authz') =>
    clientOf(ChannelEnds, running.bus, { assertion: await running.assertionOf(service), timeoutMs: 20_000 });
  const close = async (login: string, deletePackages = false, service = 'authz') =>
    (await ends(service)).close({ id: `id-${login}`, login, deletePackages, actor: ann });
  const counts = async () =>
    (
      await running.pool.query(
        `SELECT (SELECT count(*)::int FROM packages WHERE removed_at IS NULL) p,
           (SELECT count(*)::int FROM releases WHERE removed_at IS NULL) r,
           (SELECT count(*)::int FROM files WHERE removed_at IS NULL) f`,
      )
    ).rows[0];

  it('does not come while it holds packages, which it names', async () => {
    const before = await running.state();
    const message = expect.stringContaining('acme still holds packages: one, two.');
    await expect(close('acme')).rejects.toMatchObject({ code: 'conflict', message });
    expect(await running.state()).toEqual(before);
  });

  it('does not come while a label with files is locked', async () => {
    await running.upload(ann, { ...conda('locked', 'kept'), labels: ['frozen'] });
    await running.pool.query("UPDATE labels SET locked = true WHERE name = 'frozen'");
    await expect(close('locked', true)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('The label frozen of locked is locked'),
    });
    await running.pool.query("UPDATE labels SET locked = false WHERE name = 'frozen'");
    expect((await close('locked', true)).packages).toBe(1n);
  });

  it('takes everything along, raises the floor, and says so to the indexers; once', async () => {
    const path = await running.send(ann, conda('acme', 'late'));
    const { rows: changes } = await running.pool.query("SELECT 1 FROM changes WHERE channel_id = 'id-acme'");
    expect((await close('acme', true)).packages).toBe(2n);
    expect((await close('acme', true)).packages).toBe(0n);
    expect(await counts()).toEqual({ p: 0, r: 0, f: 0 });
    const { rows } = await running.pool.query(
      `SELECT c.floor = c.generation AS floored, (SELECT count(*)::int FROM changes ch
         WHERE ch.channel_id = c.id AND ch.generation = c.generation) AS told FROM channels c WHERE id = 'id-acme'`,
    );
    expect(rows).toEqual([{ floored: true, told: changes.length }]);
    const { rows: events } = await running.pool.query(
      "SELECT actor, action, before FROM audit WHERE owner_id = 'id-acme' AND action LIKE 'channel.%'",
    );
    expect(events).toEqual([
      { actor: 'ann', action: 'channel.delete_packages', before: { packages: 2, first: ['one', 'two'] } },
    ]);
    // What was on its way does not enter.
    const stages = await running.stages(ann);
    await expect(stages.commit(path, { timeoutMs: 20_000 })).rejects.toMatchObject({ code: 'not_found' });
    const uploaded = running.upload(ann, conda('acme', 'new'));
    await expect(uploaded).rejects.toMatchObject({ code: 'not_found' });
    await expect((await running.packages(ann)).list({ channel: 'acme' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('is a fact with a version, unlike a channel that never was', async () => {
    const { channels } = await running.gateway();
    const { channel, versions } = await channels.find({ login: 'acme' });
    expect([channel, versions]).toMatchObject([undefined, [{ tag: 'channel:id-acme' }]]);
    await expect(channels.find({ login: 'never' })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('comes to channels that nobody asked for yet, and to empty ones', async () => {
    const { channels } = await running.gateway();
    await channels.find({ login: 'empty' });
    expect((await close('empty')).packages).toBe(0n);
    expect((await close('unasked')).packages).toBe(0n);
    for (const login of ['empty', 'unasked']) expect((await channels.find({ login })).channel).toBeUndefined();
    const { rows } = await running.pool.query("SELECT 1 FROM audit WHERE owner_id IN ('id-empty', 'id-unasked')");
    expect(rows).toEqual([]);
  });

  it('is for authz to say', async () => {
    await expect(close('empty', true, 'gateway')).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('facts of decisions', () => {
  let running: RunningPackages;
  let ann: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
    const packages = await running.packages(ann);
    for (const name of ['secret', 'gone']) await packages.create({ channel: 'ann', name, visibility: 'private' });
    await running.pool.query(`INSERT INTO grants (package_id, kind, principal_id, permission)
      SELECT id, 'user', 'id-bob', CASE name WHEN 'secret' THEN 'read' ELSE 'write' END FROM packages
      UNION ALL SELECT id, 'group', 'devs', 'admin' FROM packages WHERE name = 'secret'`);
    await packages.delete({ channel: 'ann', name: 'gone' });
  });
  afterAll(() => running.stop());

  const facts = async (service = 'authz') =>
    clientOf(AccessFacts, running.bus, { assertion: await running.assertionOf(service) });

  it('are those of the package in any spelling; no package is an answer', async () => {
    const found = await (await facts()).ofPackage({ channelId: 'id-ann', name: 'SECRET' });
    expect(found).toMatchObject({ found: true, visibility: 'private', names: ['secret'] });
    expect(found.grants.map(({ kind, id, permission }) => `${kind} ${id} ${permission}`).sort()).toEqual([
      'group devs admin',
      'user id-bob read',
    ]);
    for (const asked of [
      { channelId: 'id-ann', name: 'gone' },
      { channelId: 'id-bob', name: 'secret' },
    ]) {
      expect((await (await facts()).ofPackage(asked)).found).toBe(false);
    }
  });

  it('are what principals are granted in the channel, removed packages left aside', async () => {
    const granted = async (userId: string, groupIds: string[]) => {
      const { grants } = await (await facts()).grantedTo({ channelId: 'id-ann', userId, groupIds });
      return grants.map(({ kind, permission }) => `${kind} ${permission}`).sort();
    };
    expect(await granted('id-bob', ['devs'])).toEqual(['group admin', 'user read']);
    expect(await granted('id-bob', [])).toEqual(['user read']);
    expect(await granted('id-eve', ['others'])).toEqual([]);
  });

  it('are told to authz only', async () => {
    for (const service of ['gateway', 'identity']) {
      const asked = (await facts(service)).ofPackage({ channelId: 'id-ann', name: 'secret' });
      await expect(asked).rejects.toMatchObject({ code: 'forbidden' });
    }
  });
});
