import { jest } from '@jest/globals';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage } from '@vivarium/testkit/builders';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(60_000);

describe('collaborators', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;
  let eve: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bob, eve] = [running.user('ann'), running.user('bob'), running.user('eve')];
    running.organization('acme', ann);
    await (await running.packages(ann)).create({ channel: 'ann', name: 'secret', visibility: 'private' });
    await (await running.packages(ann)).create({ channel: 'ann', name: 'other', visibility: 'private' });
    await (await running.packages(ann)).create({ channel: 'ann', name: 'open' });
  });
  afterAll(() => running.stop());

  const at = { channel: 'ann', package: 'secret' };
  const put = async (who: Caller | undefined, login: string, permission = '', place = at) =>
    (await running.collaborators(who)).put({ ...place, login, permission });
  const remove = async (who: Caller | undefined, login: string, place = at) =>
    (await running.collaborators(who)).remove({ ...place, login });
  const list = async (who: Caller | undefined, place = at) =>
    (await (await running.collaborators(who)).list(place)).collaborators.map(
      ({ login, name, permission }) => `${login} (${name}) ${permission}`,
    );
  const reads = async (who: Caller | undefined, name = 'secret') =>
    (await running.packages(who)).find({ channel: 'ann', name }).then(
      () => true,
      () => false,
    );
  const facts = async () => {
    const { rows } = await running.pool.query(
      `SELECT c.generation::int, c.floor::int, p.audience->'principals' AS principals, p.audience_id = p.audience->>'id' AS agrees
       FROM packages p JOIN channels c ON c.id = p.channel_id WHERE c.login = 'ann' AND p.name = 'secret'`,
    );
    return rows[0];
  };
  const audited = async (action: string) =>
    (await running.pool.query('SELECT * FROM audit WHERE action = $1 ORDER BY id DESC', [action])).rows;

  it('write unless asked otherwise, on this package only, and are listed by login', async () => {
    const before = await facts();
    expect((await put(ann, 'bob')).collaborator).toMatchObject({ login: 'bob', permission: 'write' });
    await put(ann, 'EVE', 'read');
    expect(await list(ann)).toEqual(['bob (the name of bob) write', 'eve (the name of eve) read']);
    expect(await facts()).toEqual({
      generation: before.generation + 2,
      // Nobody lost anything.
      floor: before.floor,
      principals: ['user:id-bob', 'user:id-eve'],
      agrees: true,
    });
    expect([await reads(bob), await reads(eve), await reads(bob, 'other')]).toEqual([true, true, false]);
    const built = aCondaPackage({ name: 'secret', version: '1.0', subdir: 'noarch' });
    const file = { package: 'secret', version: '1.0', basename: `noarch/${built.filename}`, kind: 'conda' };
    await expect((await running.stages(eve)).open({ channel: 'ann', ...file })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('read only'),
    });
    expect((await running.upload(bob, { channel: 'ann', ...file, bytes: built.bytes })).created).toBe(true);
  });

  it('have the permission that was given last; the same again changes nothing', async () => {
    await put(ann, 'bob', 'read');
    expect(await list(ann)).toContain('bob (the name of bob) read');
    const [before, events] = [await facts(), await audited('collaborator.put')];
    expect(events[0]).toMatchObject({
      actor: 'ann',
      owner_id: 'id-ann',
      resource: 'collaborator bob of ann/secret',
      before: { permission: 'write' },
      after: { permission: 'read' },
    });
    await put(ann, 'bob', 'read');
    expect([await facts(), (await audited('collaborator.put')).length]).toEqual([before, events.length]);
  });

  it('lose their right when they are removed, and the floor rises with the same generation', async () => {
    await put(ann, 'bob');
    const before = await facts();
    await remove(ann, 'bob');
    const after = await facts();
    expect(after).toMatchObject({ generation: before.generation + 1, floor: before.generation + 1 });
    expect(after.principals).toEqual(['user:id-eve']);
    expect(await reads(bob)).toBe(false);
    expect(await audited('collaborator.remove')).toMatchObject([
      { resource: 'collaborator bob of ann/secret', before: { permission: 'write' }, after: null },
    ]);
    await expect(remove(ann, 'bob')).rejects.toMatchObject({
      code: 'not_found',
      message: 'bob is no collaborator of ann/secret.',
    });
  });

  it('are no matter of the floor where everybody may read', async () => {
    const before = await facts();
    const open = { channel: 'ann', package: 'open' };
    await put(ann, 'bob', 'write', open);
    await remove(ann, 'bob', open);
    expect(await facts()).toMatchObject({ generation: before.generation + 2, floor: before.floor });
  });

  it('are users that exist: an organization and a missing account are one answer', async () => {
    const told = async (login: string) =>
      put(ann, login).catch(({ code, message }) => `${code} ${message.replace(login, '*')}`);
    expect(await told('nobody')).toBe('not_found There is no user "*".');
    expect(await told('acme')).toBe(await told('nobody'));
    expect(await told('../x')).toBe(await told('nobody'));
    await expect(put(ann, 'ann')).rejects.toMatchObject({ code: 'invalid' });
    await expect(put(ann, 'bob', 'admin')).rejects.toMatchObject({ code: 'invalid' });
  });

  it('are managed by those who administer the package, and hidden with it from all others', async () => {
    await put(ann, 'bob', 'write');
    for (const ask of [() => put(bob, 'eve'), () => remove(bob, 'bob'), () => list(bob)]) {
      await expect(ask()).rejects.toMatchObject({ code: 'forbidden' });
    }
    const mallory = running.user('mallory');
    for (const [who, place] of [
      [mallory, at],
      [undefined, at],
    ] as const) {
      for (const ask of [
        (where: typeof at) => put(who, 'eve', '', where),
        (where: typeof at) => put(who, 'no-such-user', '', where),
        (where: typeof at) => remove(who, 'bob', where),
        (where: typeof at) => list(who, where),
      ]) {
        const told = async (where: typeof at) =>
          ask(where).catch(({ code, message }: { code: string; message: string }) => ({ code, message }));
        const [hidden, missing] = [await told(place), await told({ ...at, package: 'absent' })];
        expect(JSON.stringify(hidden).replaceAll('secret', 'absent')).toBe(JSON.stringify(missing));
        expect(hidden).toMatchObject({ code: 'not_found' });
      }
    }
    const token = running.token(ann, 'reading', { scopes: ['api:read'] });
    await expect(put(token, 'eve')).rejects.toMatchObject({ code: 'forbidden' });
    running.revoked.add('session-ann');
    await expect(put(ann, 'mallory')).rejects.toMatchObject({ code: 'unauthenticated' });
    running.revoked.delete('session-ann');
    expect(await reads(mallory)).toBe(false);
  });

  it('of a channel stay one row each, however many add them at the same time', async () => {
    const before = await facts();
    await Promise.all(Array.from({ length: 12 }, (_, index) => put(ann, index % 2 ? 'bob' : 'eve', 'write')));
    expect(await list(ann)).toEqual(['bob (the name of bob) write', 'eve (the name of eve) write']);
    expect((await facts()).generation).toBeLessThanOrEqual(before.generation + 2);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });
});
