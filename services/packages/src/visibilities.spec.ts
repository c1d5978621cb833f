import { jest } from '@jest/globals';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(120_000);

describe('visibility', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bea: Caller;
  let acme: string;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bea] = [running.user('ann'), running.user('bea')];
    acme = running.organization('acme', ann);
    const packages = await running.packages(ann);
    for (const name of ['one', 'two', 'three']) await packages.create({ channel: 'acme', name });
    await packages.create({ channel: 'acme', name: 'vault', visibility: 'private' });
    await (await running.collaborators(ann)).put({ channel: 'acme', package: 'two', login: 'bea', permission: 'read' });
  });
  afterAll(() => running.stop());

  const set = async (who: Caller | undefined, names: string[], visibility: string, channel = 'acme') =>
    (await running.visibilities(who)).set({ channel, packages: names, visibility }, { timeoutMs: 30_000 });
  const facts = async () =>
    (await running.pool.query(`SELECT generation::int, floor::int FROM channels WHERE id = '${acme}'`)).rows[0];
  const visibilities = async () =>
    Object.fromEntries(
      (
        await running.pool.query(
          `SELECT name, visibility FROM packages WHERE channel_id = '${acme}' AND removed_at IS NULL ORDER BY name`,
        )
      ).rows.map(({ name, visibility }) => [name, visibility]),
    );
  const audits = async () =>
    (await running.pool.query("SELECT * FROM audit WHERE action LIKE '%visibility' ORDER BY id DESC")).rows;
  const seen = async (who: Caller | undefined) =>
    (await running.packages(who)).list({ channel: 'acme' }).then(
      ({ packages }) => packages.map(({ name }) => name),
      ({ code }) => code,
    );

  it('of many packages changes in one generation, and the answer lists those that changed', async () => {
    const before = await facts();
    const { changed, generation, readable } = await set(ann, ['two', 'ONE', 'one', 'vault'], 'private');
    expect([changed, Number(generation), readable]).toEqual([['one', 'two'], before.generation + 1, true]);
    expect(await facts()).toEqual({ generation: before.generation + 1, floor: before.generation + 1 });
    expect(await visibilities()).toEqual({ one: 'private', three: 'public', two: 'private', vault: 'private' });
    expect([await seen(undefined), await seen(bea)]).toEqual([['three'], ['three', 'two']]);
    expect(await audits()).toMatchObject([
      {
        actor: 'ann',
        owner_id: acme,
        action: 'package.visibility',
        resource: 'acme/one, acme/two',
        before: { one: 'public', two: 'public' },
        after: { visibility: 'private', packages: 2 },
      },
    ]);
    expect(await running.differences([acme])).toEqual([]);
  });

  it('that is the same already is no change', async () => {
    const [before, events] = [await facts(), (await audits()).length];
    const { changed, generation } = await set(ann, ['one', 'two'], 'private');
    expect([changed, Number(generation)]).toEqual([[], before.generation]);
    expect([await facts(), (await audits()).length]).toEqual([before, events]);
  });

  it.each([
    ['one that is missing', ['one', 'absent', 'two'], 'not_found', 'package "acme/absent" does not exist'],
    ['no package at all', [], 'invalid', 'Name 1 to 1000 packages; these are 0.'],
    [
      'too many',
      Array.from({ length: 1_001 }, (_, at) => `p${at}`),
      'invalid',
      'Name 1 to 1000 packages; these are 1001.',
    ],
  ])('is refused as a whole with %s', async (_, names, code, message) => {
    const before = [await facts(), await visibilities()];
    await expect(set(ann, names, 'public')).rejects.toMatchObject({ code, message });
    expect([await facts(), await visibilities()]).toEqual(before);
  });

  it('is refused as a whole with one that somebody else administers, and hidden is missing', async () => {
    running.group(acme, { name: 'keepers', permission: 'admin' }, [bea]);
    await (await running.grants(ann)).put({ channel: 'acme', group: 'keepers', package: 'one' });
    const before = [await facts(), await visibilities()];
    await expect(set(bea, ['one', 'three'], 'public')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('acme/three'),
    });
    const told = async (name: string) =>
      set(bea, ['one', name], 'public').catch(({ code, message }) => `${code} ${message.replace(name, '*')}`);
    expect(await told('vault')).toBe(await told('absent'));
    expect([await facts(), await visibilities()]).toEqual(before);
    expect((await set(bea, ['one'], 'authenticated')).changed).toEqual(['one']);
    expect(await seen(running.user('mallory'))).toEqual(['one', 'three']);
    await expect(set(ann, ['one'], 'secret')).rejects.toMatchObject({ code: 'invalid' });
  });

  it('of one package is recorded once, with what was said of it at the same time', async () => {
    const packages = await running.packages(ann);
    const events = (await running.pool.query('SELECT id FROM audit')).rows.length;
    await packages.update({ channel: 'acme', name: 'three', visibility: 'private', attributesJson: '{"summary":"s"}' });
    await packages.update({ channel: 'acme', name: 'three', attributesJson: '{"home":"h","summary":"t"}' });
    await packages.update({ channel: 'acme', name: 'three', visibility: 'private' });
    const { rows } = await running.pool.query('SELECT * FROM audit ORDER BY id DESC');
    expect(rows.length).toBe(events + 2);
    expect(rows[0]).toMatchObject({ action: 'package.update', after: { attributes: ['home', 'summary'] } });
    expect(rows[1]).toMatchObject({
      action: 'package.visibility',
      resource: 'acme/three',
      before: { visibility: 'public' },
      after: { visibility: 'private', attributes: ['summary'] },
    });
  });

  it('of a thousand packages changes at once', async () => {
    await running.pool.query(
      `INSERT INTO packages (id, channel_id, name, visibility, audience_id, audience)
       SELECT 'many-' || n, $1, 'many-' || n, 'public', 'public', '{"id":"public","visibility":"public","principals":[]}'
       FROM generate_series(1, 1000) n`,
      [acme],
    );
    const before = await facts();
    const names = Array.from({ length: 1_000 }, (_, at) => `many-${at + 1}`);
    expect((await set(ann, names, 'private')).changed).toHaveLength(1_000);
    expect((await facts()).generation).toBe(before.generation + 1);
    expect(await running.differences([acme])).toEqual([]);
  });

  describe('of new packages', () => {
    const setDefault = async (who: Caller | undefined, visibility: string, channel = 'acme') =>
      (await running.visibilities(who)).setDefault({ channel, visibility });

    it('is the default of the channel, whatever was said to the contrary by clients that always say public', async () => {
      expect((await setDefault(ann, 'private')).visibility).toBe('private');
      const packages = await running.packages(ann);
      expect((await packages.create({ channel: 'acme', name: 'newer' })).package?.visibility).toBe('private');
      const built = aCondaPackage({ name: 'newest', version: '1.0', subdir: 'noarch' });
      const sent = { channel: 'acme', package: 'newest', version: '1.0', kind: 'conda', bytes: built.bytes };
      const { package: made } = await running.upload(ann, { ...sent, basename: `noarch/${built.filename}` });
      expect(made?.visibility).toBe('private');
      const { filename, bytes } = aWheel({ name: 'newest-wheel', version: '1.0' });
      expect((await running.submit(ann, 'acme', { filename, bytes })).package?.visibility).toBe('private');
      expect((await audits())[0]).toMatchObject({
        action: 'channel.default_visibility',
        owner_id: acme,
        resource: 'channel acme',
        before: { visibility: 'public' },
        after: { visibility: 'private' },
      });
    });

    it('hides a channel of which a stranger may see nothing, and the floor rises', async () => {
      const eve = running.user('eve');
      const list = async (who: Caller | undefined) =>
        (await running.packages(who)).list({ channel: 'eve' }).then(
          ({ packages }) => packages.length,
          ({ code }) => code,
        );
      expect([await list(undefined), await list(bea)]).toEqual([0, 0]);
      await setDefault(eve, 'authenticated', 'eve');
      expect([await list(undefined), await list(bea), await list(eve)]).toEqual(['unauthenticated', 'not_found', 0]);
      const { rows } = await running.pool.query("SELECT generation::int, floor::int FROM channels WHERE login = 'eve'");
      expect(rows).toEqual([{ generation: 1, floor: 1 }]);
      await setDefault(eve, 'public', 'eve');
      expect([await list(undefined), await list(bea)]).toEqual([0, 0]);
    });

    it('is chosen by owners only', async () => {
      await expect(setDefault(bea, 'public')).rejects.toMatchObject({ code: 'forbidden' });
      await expect(setDefault(undefined, 'public')).rejects.toMatchObject({ code: 'unauthenticated' });
      await expect(setDefault(ann, 'open')).rejects.toMatchObject({ code: 'invalid' });
      const managing = running.user('ida');
      running.group(acme, { name: 'managers', permission: 'admin', all: true }, [managing]);
      await expect(setDefault(managing, 'public')).rejects.toMatchObject({ code: 'forbidden' });
      const writing = running.token(ann, 'writing', { scopes: ['api:read', 'api:write'] });
      await expect(setDefault(writing, 'public')).rejects.toMatchObject({ code: 'forbidden' });
    });
  });

  it('private at creation is kept, and twenty creations at once make one package', async () => {
    const packages = await running.packages(ann);
    const asked = { channel: 'acme', name: 'raced', visibility: 'private', attributesJson: '{}' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => packages.create(asked, { timeoutMs: 30_000 })));
    expect(answers.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(answers.map(({ package: made }) => `${made?.id} ${made?.visibility}`)).size).toBe(1);
    const { rows } = await running.pool.query("SELECT visibility FROM packages WHERE name = 'raced'");
    expect(rows).toEqual([{ visibility: 'private' }]);
    // Later ones may say what they like: only the first makes it.
    expect((await packages.create({ ...asked, visibility: 'public' })).package?.visibility).toBe('private');
  });
});
