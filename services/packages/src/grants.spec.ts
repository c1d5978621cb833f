import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(60_000);

describe('the packages of a group', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bea: Caller;
  let mia: Caller;
  let eve: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bea, mia, eve] = [running.user('ann'), running.user('bea'), running.user('mia'), running.user('eve')];
    const acme = running.organization('acme', ann);
    running.organization('rival', eve);
    running.group(acme, { name: 'devs', permission: 'write' }, [bea]);
    running.group(acme, { name: 'auditors', permission: 'read', all: true }, []);
    running.group(acme, { name: 'idle', permission: 'read' }, [mia]);
    const packages = await running.packages(ann);
    for (const name of ['engine', 'secret', 'vault']) {
      await packages.create({ channel: 'acme', name, visibility: 'private' });
    }
    await (await running.packages(eve)).create({ channel: 'rival', name: 'plans', visibility: 'private' });
    await running.pool.query("UPDATE channels SET default_visibility = 'private' WHERE login IN ('acme', 'rival')");
  });
  afterAll(() => running.stop());

  const ask = async (who: Caller | undefined, group: string, name: string, channel = 'acme') => ({
    put: async () => (await running.grants(who)).put({ channel, group, package: name }),
    remove: async () => (await running.grants(who)).remove({ channel, group, package: name }),
  });
  const put = async (who: Caller | undefined, group: string, name: string) => (await ask(who, group, name)).put();
  const remove = async (who: Caller | undefined, group: string, name: string) => (await ask(who, group, name)).remove();
  const list = async (who: Caller | undefined, group: string, page = {}) =>
    (await (await running.grants(who)).listOfGroup({ channel: 'acme', group, ...page })).packages.map(
      ({ name }) => name,
    );
  const seen = async (who: Caller) =>
    (await running.packages(who)).list({ channel: 'acme' }).then(
      ({ packages }) => packages.map(({ name }) => name),
      ({ code }) => code,
    );
  const channel = async () =>
    (await running.pool.query("SELECT generation::int, floor::int FROM channels WHERE login = 'acme'")).rows[0];

  it('are added one by one, and read by its members at once', async () => {
    expect(await seen(bea)).toEqual([]);
    const before = await channel();
    await put(ann, 'devs', 'secret');
    await put(ann, 'devs', 'Engine');
    expect(await seen(bea)).toEqual(['engine', 'secret']);
    expect(await list(ann, 'devs')).toEqual(['engine', 'secret']);
    expect(await channel()).toEqual({ generation: before.generation + 2, floor: before.floor });
    // What is there already changes nothing.
    await put(ann, 'devs', 'secret');
    expect((await channel()).generation).toBe(before.generation + 2);
    const { rows } = await running.pool.query("SELECT * FROM audit WHERE action = 'group.add_package' ORDER BY id");
    expect(rows).toMatchObject([
      { owner_id: 'id-acme', resource: 'group acme/devs', after: { package: 'secret', permission: 'write' } },
      { owner_id: 'id-acme', resource: 'group acme/devs', after: { package: 'engine', permission: 'write' } },
    ]);
  });

  it('are pages by name', async () => {
    const grants = await running.grants(ann);
    const first = await grants.listOfGroup({ channel: 'acme', group: 'devs', limit: 1 });
    expect([first.packages.map(({ name }) => name), first.more]).toEqual([['engine'], true]);
    const second = await grants.listOfGroup({ channel: 'acme', group: 'devs', limit: 1, after: 'engine' });
    expect([second.packages.map(({ name }) => name), second.more]).toEqual([['secret'], false]);
  });

  it('are all of the channel, if the group covers all: none of them can be added or taken out', async () => {
    expect(await list(ann, 'auditors')).toEqual(['engine', 'secret', 'vault']);
    const before = await channel();
    await put(ann, 'auditors', 'vault');
    await put(ann, 'owners', 'vault');
    expect(await channel()).toEqual(before);
    await expect(remove(ann, 'auditors', 'vault')).rejects.toMatchObject({ code: 'conflict' });
  });

  it('are shown to its members as far as they may read them', async () => {
    expect(await list(bea, 'devs')).toEqual(['engine', 'secret']);
    expect(await list(mia, 'devs')).toEqual([]);
    expect(await list(mia, 'auditors')).toEqual([]);
    await expect(list(eve, 'devs')).rejects.toMatchObject({ code: 'not_found' });
    await expect(list(undefined, 'devs')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('are taken out, and the floor rises', async () => {
    const before = await channel();
    await remove(ann, 'devs', 'engine');
    expect(await channel()).toEqual({ generation: before.generation + 1, floor: before.generation + 1 });
    expect(await seen(bea)).toEqual(['secret']);
    await expect(remove(ann, 'devs', 'engine')).rejects.toMatchObject({
      code: 'not_found',
      message: 'The group acme/devs does not cover engine.',
    });
    expect(await running.differences(['id-acme'])).toEqual([]);
  });

  it('make one audience of equal ones, in whatever order they were given', async () => {
    const packages = await running.packages(ann);
    for (const name of ['even', 'odd']) await packages.create({ channel: 'acme', name, visibility: 'private' });
    const audiences = async () =>
      (
        await running.pool.query(
          "SELECT DISTINCT audience_id FROM packages WHERE channel_id = 'id-acme' AND name IN ('even', 'odd')",
        )
      ).rows.length;
    expect(await audiences()).toBe(1);
    await put(ann, 'devs', 'even');
    await put(ann, 'idle', 'even');
    expect(await audiences()).toBe(2);
    await put(ann, 'idle', 'odd');
    await put(ann, 'devs', 'odd');
    expect(await audiences()).toBe(1);
    await remove(ann, 'devs', 'odd');
    expect(await audiences()).toBe(2);
    await remove(ann, 'devs', 'even');
    expect(await audiences()).toBe(1);
    for (const name of ['even', 'odd']) await packages.delete({ channel: 'acme', name });
  });

  it.each([
    ['a group that is none', 'nobodies', 'secret', 'group "acme/nobodies" does not exist'],
    ['a package that is none', 'devs', 'absent', 'package "acme/absent" does not exist'],
    ['a package of another channel', 'devs', 'plans', 'package "acme/plans" does not exist'],
  ])('are not those of %s', async (_, group, name, message) => {
    await expect(put(ann, group, name)).rejects.toMatchObject({ code: 'not_found', message });
    await expect(remove(ann, group, name)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('are chosen by owners only; strangers learn nothing', async () => {
    for (const who of [bea, mia]) {
      await expect(put(who, 'devs', 'vault')).rejects.toMatchObject({ code: 'forbidden' });
      await expect(put(who, 'nobodies', 'absent')).rejects.toMatchObject({ code: 'forbidden' });
    }
    const told = async (where: string) =>
      (await ask(eve, 'devs', 'secret', where))
        .put()
        .catch(({ code, message }) => `${code} ${message.replace(where, '*')}`);
    expect(await told('acme')).toBe(await told('nowhere'));
    expect(await told('acme')).toMatch(/^not_found /);
    await expect(put(undefined, 'devs', 'secret')).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  it('are chosen by a token for groups alone, and by none that is limited or lacks that scope', async () => {
    const groups = running.token(ann, 'groups', { scopes: ['api:modify-group'] });
    await put(groups, 'devs', 'vault');
    await remove(groups, 'devs', 'vault');
    for (const token of [
      running.token(ann, 'writing', { scopes: ['api:read', 'api:write'] }),
      running.token(ann, 'limited', {
        scopes: ['all'],
        restrictions: create(RestrictionsSchema, { packages: ['v*'] }),
      }),
    ]) {
      await expect(put(token, 'devs', 'vault')).rejects.toMatchObject({ code: 'forbidden' });
    }
  });
});
