import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, CallerSchema, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(120_000);

function conda(channel: string, name: string, version = '1.0', labels: readonly string[] = []): Sent {
  const built = aCondaPackage({ name, version, subdir: 'noarch' });
  const basename = `noarch/${built.filename}`;
  return { channel, package: name, version, basename, kind: 'conda', bytes: built.bytes, labels };
}

function wheel(channel: string, name: string, version = '1.0'): Sent {
  const { filename, bytes } = aWheel({ name, version });
  return { channel, package: name, version, basename: filename, kind: 'pypi', bytes };
}

describe('transfer', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;
  let eve: Caller;
  let acme: string;
  let rival: string;

  beforeAll(async () => {
    running = await RunningPackages.start();
    [ann, bob, eve] = [running.user('ann'), running.user('bob'), running.user('eve')];
    acme = running.organization('acme', ann);
    rival = running.organization('rival', eve);
    running.group(acme, { name: 'devs', permission: 'write' }, [bob]);
  });
  afterAll(() => running.stop());
  afterEach(() => {
    running.beforeRecheck = async () => undefined;
  });

  const move = async (who: Caller | undefined, name: string, to: string, channel = 'ann') =>
    (await running.transfers(who)).transfer({ channel, package: name, to }, { timeoutMs: 30_000 });
  const refusal = (answer: Promise<unknown>) =>
    answer.then(
      () => 'done',
      ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
    );
  const find = async (who: Caller | undefined, channel: string, name: string) =>
    (await running.packages(who)).find({ channel, name, withFiles: true }).then(
      (found) => found.package,
      ({ code }) => code as string,
    );
  const facts = async (login: string) =>
    (await running.pool.query('SELECT generation::int, floor::int FROM channels WHERE login = $1', [login])).rows[0];
  const at = async (channelId: string, basename: string, view = { everything: true, signedIn: true }) =>
    (await running.gateway()).files.at({ channelId, label: 'main', kind: 'conda', basename, view });
  const everything = async () => {
    const { rows } = await running.pool.query(
      `SELECT (SELECT json_agg(p ORDER BY id) FROM packages p) AS packages, (SELECT json_agg(f ORDER BY id) FROM files f) AS files,
         (SELECT json_agg(l ORDER BY file_id, label) FROM file_labels l) AS labels, (SELECT json_agg(g) FROM grants g) AS grants,
         (SELECT json_agg(c ORDER BY id) FROM (SELECT id, generation, floor FROM channels) c) AS channels,
         (SELECT count(*) FROM audit) AS audit`,
    );
    return rows[0];
  };

  it('moves releases, files, labels, downloads and what is said of them, in one generation of each channel', async () => {
    await (await running.packages(ann)).create({
      channel: 'ann',
      name: 'tool_box',
      visibility: 'private',
      attributesJson: '{"home":"h"}',
    });
    await running.upload(ann, conda('ann', 'tool_box', '1.0', ['main', 'rc']));
    await running.upload(ann, conda('ann', 'tool_box', '2.0'));
    await running.upload(ann, wheel('ann', 'tool_box'));
    await running.pool.query("UPDATE files SET downloads = 7 WHERE basename LIKE '%tool_box-1.0%'");
    await (await running.collaborators(ann)).put({ channel: 'ann', package: 'tool_box', login: 'bob' });
    const old = await find(ann, 'ann', 'tool_box');
    if (typeof old !== 'object') throw new Error(`not found: ${old}`);
    const [before, target] = [await facts('ann'), { generation: 0, floor: 0, ...(await facts('acme')) }];
    const moved = await move(ann, 'Tool_Box', 'acme');
    expect(moved).toMatchObject({
      readable: true,
      package: { channel: 'acme', name: 'tool_box', visibility: 'private' },
    });
    const now = await find(ann, 'acme', 'tool_box');
    if (typeof now !== 'object') throw new Error(`not found: ${now}`);
    const { id: _, modifiedAtMs: _m, channel: _c, $typeName: _t, ...kept } = old;
    expect(now).toMatchObject(kept);
    expect(now.id).not.toBe(old.id);
    expect(now.files.map(({ downloads, labels }) => [downloads, labels])).toEqual([
      [7n, ['main', 'rc']],
      [0n, ['main']],
      [7n, ['main']],
    ]);
    expect(await facts('ann')).toEqual({ generation: before.generation + 1, floor: before.generation + 1 });
    const after = await facts('acme');
    expect(after.floor).toBe(target.floor);
    expect(Number(moved.generation)).toBe(after.generation);
    // Both indexes hear of exactly its names, once.
    const { rows } = await running.pool.query(
      'SELECT c.login, n.kind, n.name FROM changes n JOIN channels c ON c.id = n.channel_id WHERE n.generation = c.generation ORDER BY 1, 2',
    );
    expect(rows).toEqual([
      { login: 'acme', kind: 'conda', name: 'tool_box' },
      { login: 'acme', kind: 'pypi', name: 'tool-box' },
      { login: 'ann', kind: 'conda', name: 'tool_box' },
      { login: 'ann', kind: 'pypi', name: 'tool-box' },
    ]);
    const audit = await running.pool.query("SELECT * FROM audit WHERE action = 'package.transfer'");
    expect(audit.rows).toMatchObject([
      {
        actor: 'ann',
        owner_id: 'id-ann',
        other_owner_id: acme,
        resource: 'ann/tool_box',
        before: { channel: 'ann', grants: 1 },
        after: { channel: 'acme', visibility: 'private' },
      },
    ]);
    expect(await running.differences(['id-ann', acme])).toEqual([]);
    // What comes next comes last.
    await running.upload(ann, conda('acme', 'tool_box', '3.0'));
    const later = await find(ann, 'acme', 'tool_box');
    expect(typeof later === 'object' && later.files.at(-1)?.version).toBe('3.0');
  });

  it('leaves nothing at the old address, for anybody', async () => {
    const { basename } = conda('ann', 'tool_box');
    expect(await find(ann, 'ann', 'tool_box')).toBe('not_found');
    expect(await find(ann, 'ann', 'tool-box')).toBe('not_found');
    const missing = await at('id-ann', 'noarch/absent-1.0-0.conda');
    expect(await at('id-ann', basename)).toEqual(missing);
    expect((await at(acme, basename)).found).toBe(true);
    expect((await at(acme, basename, { everything: false, signedIn: true })).found).toBe(false);
    const { packages } = await (await running.packages(ann)).list({ channel: 'ann' });
    expect(packages.map(({ name }) => name)).not.toContain('tool_box');
  });

  it('ends what the old id opened: an old shard of it finds nobody who may read it', async () => {
    await running.upload(ann, conda('ann', 'shared'));
    const { rows } = await running.pool.query("SELECT id FROM packages WHERE name = 'shared'");
    const feed = await running.feed();
    expect(await feed.audienceOf({ packageId: rows[0].id })).toMatchObject({ found: true });
    await running.upload(ann, conda('ann', 'shared', '2.0'));
    const removed = conda('ann', 'shared', '2.0');
    await (await running.files(ann)).delete({ ...removed, channel: 'ann' });
    expect((await at('id-ann', removed.basename)).found).toBe(true);
    await move(ann, 'shared', 'acme');
    expect(await feed.audienceOf({ packageId: rows[0].id })).toMatchObject({ found: false });
    // What was deleted shortly before answers for a week, but not at an address that is somebody else's now.
    for (const channelId of ['id-ann', acme]) expect((await at(channelId, removed.basename)).found).toBe(false);
    expect((await at('id-ann', conda('ann', 'shared').basename)).found).toBe(false);
    expect((await at(acme, conda('ann', 'shared').basename, { everything: false, signedIn: false })).found).toBe(true);
  });

  it('takes it away from groups, collaborators and tokens of the old owner at once', async () => {
    await (await running.packages(ann)).create({ channel: 'acme', name: 'given', visibility: 'private' });
    await running.upload(ann, conda('acme', 'given'));
    await (await running.grants(ann)).put({ channel: 'acme', group: 'devs', package: 'given' });
    const fay = running.user('fay');
    await (await running.collaborators(ann)).put({ channel: 'acme', package: 'given', login: 'fay' });
    const restricted = running.token(ann, 'given', {
      restrictions: create(RestrictionsSchema, { channels: [acme], packages: ['given'] }),
    });
    const organizations = running.token(
      create(CallerSchema, {
        accountId: acme,
        login: 'acme',
        accountKind: 'organization',
      }),
      'of acme',
    );
    const seeing = async () =>
      Promise.all(
        [bob, fay, restricted, organizations, ann, eve].map(
          async (who) => typeof (await find(who, 'rival', 'given')) === 'object',
        ),
      );
    for (const who of [bob, fay, restricted, organizations]) {
      expect(await find(who, 'acme', 'given')).toMatchObject({ name: 'given' });
    }
    // Both sides need a right: ann gives it away where she may create.
    running.group(rival, { name: 'builders', permission: 'write', all: true }, [ann]);
    await move(ann, 'given', 'rival', 'acme');
    expect(await seeing()).toEqual([false, false, false, false, true, true]);
    running.standings.delete(`id-ann ${rival}`);
    expect(await seeing()).toEqual([false, false, false, false, false, true]);
    const { rows } = await running.pool.query(
      "SELECT 1 FROM grants g JOIN packages p ON p.id = g.package_id WHERE p.name = 'given'",
    );
    expect(rows).toEqual([]);
    expect((await running.grants(ann)).listOfGroup({ channel: 'acme', group: 'devs' })).resolves.toMatchObject({
      packages: [],
    });
  });

  it('needs admin on the package and create in the other channel, and says nothing of what is hidden', async () => {
    await (await running.packages(ann)).create({ channel: 'acme', name: 'kept', visibility: 'private' });
    await (await running.packages(eve)).create({ channel: 'rival', name: 'plans', visibility: 'private' });
    await running.pool.query("UPDATE channels SET default_visibility = 'private' WHERE login = 'rival'");
    const before = await everything();
    expect(await refusal(move(ann, 'kept', 'bob', 'acme'))).toMatch(/^forbidden ann may not create bob\/kept/);
    const told = async (name: string, to: string) =>
      (await refusal(move(ann, name, to, 'acme'))).replaceAll(to, '*').replaceAll(name, '*');
    expect(await told('kept', 'rival')).toBe(await told('kept', 'nowhere'));
    expect(await told('kept', 'rival')).toMatch(/^not_found /);
    for (const who of [eve, running.user('mallory'), undefined]) {
      const of = async (name: string) => (await refusal(move(who, name, 'rival', 'acme'))).replaceAll(name, '*');
      expect(await of('kept')).toBe(await of('absent'));
      expect(await of('kept')).toMatch(/^not_found /);
    }
    await (await running.grants(ann)).put({ channel: 'acme', group: 'devs', package: 'kept' });
    expect(await refusal(move(bob, 'kept', 'bob', 'acme'))).toMatch(/^forbidden bob may not administer acme\/kept/);
    await (await running.grants(ann)).remove({ channel: 'acme', group: 'devs', package: 'kept' });
    expect(await refusal(move(running.token(ann, 'r', { scopes: ['api:read'] }), 'kept', 'ann', 'acme'))).toMatch(
      /^forbidden/,
    );
    expect(await refusal(move(ann, 'kept', 'acme', 'acme'))).toBe(
      'invalid kept is in acme already: name another account.',
    );
    const { channels: _, audit: _a, ...rows } = await everything();
    const { channels: _c, audit: _b, ...rowsBefore } = before;
    expect({ ...rows, packages: rows.packages.length }).toEqual({
      ...rowsBefore,
      packages: rowsBefore.packages.length,
    });
    await running.pool.query("UPDATE channels SET default_visibility = 'public' WHERE login = 'rival'");
  });

  it('is decided by the rights of the moment it happens', async () => {
    await (await running.packages(ann)).create({ channel: 'ann', name: 'late', visibility: 'private' });
    const before = await everything();
    running.beforeRecheck = async () => {
      running.standings.delete(`id-ann ${acme}`);
    };
    expect(await refusal(move(ann, 'late', 'acme'))).toMatch(/^forbidden/);
    acme = running.organization('acme', ann);
    running.beforeRecheck = async () => {
      running.revoked.add('session-ann');
    };
    expect(await refusal(move(ann, 'late', 'acme'))).toMatch(/^unauthenticated/);
    running.revoked.clear();
    expect(await everything()).toEqual(before);
  });

  describe('that would collide', () => {
    it.each([
      [
        'the name',
        { source: () => conda('ann', 'twin', '1.0'), target: () => conda('acme', 'twin', '2.0'), name: 'twin' },
        'There is a package twin in acme already',
      ],
      [
        'the Python project',
        { source: () => wheel('ann', 'pair_a'), target: () => wheel('acme', 'pair-a', '2.0'), name: 'pair_a' },
        'acme/pair-a holds the Python project pair-a already',
      ],
    ])('with %s is refused whole', async (_, { source, target, name }, sentence) => {
      await running.upload(ann, source());
      await running.upload(ann, target());
      const before = await everything();
      expect(await refusal(move(ann, name, 'acme'))).toBe(
        `conflict ${sentence}: delete it there first, or choose another channel.`,
      );
      expect(await everything()).toEqual(before);
    });

    it('with the name of a file is refused whole, unless that one is deleted', async () => {
      // A file can only be in the way of a package of another name if it says so itself; the row is made by hand.
      await running.upload(ann, conda('ann', 'lone'));
      await running.upload(ann, conda('acme', 'other'));
      const { basename } = conda('ann', 'lone');
      await running.pool.query("UPDATE files SET basename = $1 WHERE channel_id = $2 AND basename LIKE '%other%'", [
        basename,
        acme,
      ]);
      expect(await refusal(move(ann, 'lone', 'acme'))).toBe(
        `conflict There is a file ${basename} in acme already: delete it there first, or choose another channel.`,
      );
      await running.pool.query('UPDATE files SET removed_at = now() WHERE channel_id = $1 AND basename = $2', [
        acme,
        basename,
      ]);
      expect((await move(ann, 'lone', 'acme')).package?.channel).toBe('acme');
      expect((await at(acme, basename)).found).toBe(true);
    });

    it.each([['ann'], ['acme']])('with a locked label of %s is refused whole', async (login) => {
      const name = `locked-${login}`;
      await running.upload(ann, conda('ann', name, '1.0', ['stable']));
      await running.upload(ann, conda('acme', 'any', '1.0', ['stable'])).catch(() => undefined);
      const lock = (locked: boolean) =>
        running.pool.query("UPDATE labels SET locked = $1 WHERE channel_id = $2 AND name = 'stable'", [
          locked,
          `id-${login}`,
        ]);
      await lock(true);
      const before = await everything();
      expect(await refusal(move(ann, name, 'acme'))).toMatch(
        new RegExp(
          `^conflict The label stable of ${login} is locked, and a transfer of ${name} would change its files`,
        ),
      );
      expect(await everything()).toEqual(before);
      await lock(false);
      expect((await move(ann, name, 'acme')).package?.channel).toBe('acme');
    });
  });

  describe('with an upload under way', () => {
    it('lets nothing enter the old channel under the name, whoever commits', async () => {
      await (await running.packages(ann)).create({ channel: 'ann', name: 'racing', visibility: 'private' });
      await running.upload(ann, conda('ann', 'racing'));
      await running.upload(ann, wheel('ann', 'racing'));
      await (await running.collaborators(ann)).put({ channel: 'ann', package: 'racing', login: 'bob' });
      const paths = [
        [ann, await running.send(ann, conda('ann', 'racing', '2.0'))],
        [ann, await running.send(ann, wheel('ann', 'Racing', '2.0'))],
        [bob, await running.send(bob, conda('ann', 'racing', '3.0'))],
      ] as const;
      await move(ann, 'racing', 'acme');
      const before = await facts('ann');
      const told = await Promise.all(
        paths.map(async ([who, path]) => refusal((await running.stages(who)).commit(path, { timeoutMs: 30_000 }))),
      );
      expect(told.slice(0, 2)).toEqual([
        expect.stringMatching(/^conflict The package of noarch\/racing-2.0-\S+ was transferred or deleted/),
        expect.stringMatching(/^conflict The package of [Rr]acing-2.0-\S+ was transferred or deleted/),
      ]);
      expect(told[2]).toMatch(/^forbidden bob may not create/);
      expect([await find(ann, 'ann', 'racing'), await facts('ann')]).toEqual(['not_found', before]);
      expect((await running.upload(ann, conda('acme', 'racing', '2.0'))).package?.visibility).toBe('private');
    });

    it('that enters at the same moment, comes before or not at all', async () => {
      await (await running.packages(ann)).create({ channel: 'ann', name: 'moment', visibility: 'private' });
      const path = await running.send(ann, conda('ann', 'moment', '2.0'));
      const stages = await running.stages(ann);
      const [entered] = await Promise.all([
        refusal(stages.commit(path, { timeoutMs: 30_000 })),
        move(ann, 'moment', 'acme'),
      ]);
      const found = await find(ann, 'acme', 'moment');
      expect(typeof found === 'object' && found.files.length).toBe(entered === 'done' ? 1 : 0);
      expect(await find(ann, 'ann', 'moment')).toBe('not_found');
      expect(await running.differences(['id-ann', acme])).toEqual([]);
    });
  });

  it('to and fro at the same time ends, with each package in exactly one channel', async () => {
    const names = Array.from({ length: 6 }, (_, index) => `swap-${index}`);
    const home = (index: number) => (index % 2 === 0 ? 'ann' : 'acme');
    const away = (index: number) => (index % 2 === 0 ? 'acme' : 'ann');
    for (const [index, name] of names.entries()) await running.upload(ann, conda(home(index), name));
    const told = await Promise.all(names.map((name, index) => refusal(move(ann, name, away(index), home(index)))));
    expect(told).toEqual(names.map(() => 'done'));
    for (const [index, name] of names.entries()) {
      expect([await find(ann, home(index), name), typeof (await find(ann, away(index), name))]).toEqual([
        'not_found',
        'object',
      ]);
    }
    expect(await running.differences(['id-ann', acme])).toEqual([]);
  });

  it('asked for by many at once happens once', async () => {
    await running.upload(ann, conda('ann', 'wanted'));
    const told = await Promise.all(Array.from({ length: 8 }, () => refusal(move(ann, 'wanted', 'acme'))));
    expect(told.filter((each) => each === 'done')).toHaveLength(1);
    expect(new Set(told.filter((each) => each !== 'done'))).toEqual(
      new Set(['not_found package "ann/wanted" does not exist']),
    );
  });
});
