import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, RestrictionsSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string, version = '1.0', subdir = 'noarch'): Sent {
  const built = aCondaPackage({ name, version, subdir });
  return {
    channel,
    package: name,
    version,
    basename: `${subdir}/${built.filename}`,
    kind: 'conda',
    bytes: built.bytes,
  };
}

function wheel(channel: string, name: string): Sent {
  const { filename, bytes } = aWheel({ name, version: '1.0' });
  return { channel, package: name, version: '1.0', basename: filename, kind: 'pypi', bytes };
}

/** What an answer tells, and nothing that differs by chance. */
async function toldBy(answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    (value) => value,
    ({ code, message }: { code: string; message: string }) => ({ code, message }),
  );
}

describe('access', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
    bob = running.user('bob');
    await running.upload(ann, conda('ann', 'open'));
    await (await running.packages(ann)).create({ channel: 'ann', name: 'secret', visibility: 'private' });
    await running.upload(ann, conda('ann', 'secret'));
    running.user('zed');
    const zed = running.user('zed');
    await (await running.packages(zed)).create({ channel: 'zed', name: 'hidden', visibility: 'private' });
    await running.pool.query("UPDATE channels SET default_visibility = 'private' WHERE login = 'zed'");
  });
  afterAll(() => running.stop());
  afterEach(() => {
    running.beforeRecheck = async () => undefined;
    running.indexing = true;
  });

  it.each([
    ['anybody', () => undefined],
    ['somebody else', () => bob],
  ])('answers %s the same for a hidden package and for a missing one', async (_, who) => {
    const [packages, releases, files] = await Promise.all([
      running.packages(who()),
      running.releases(who()),
      running.files(who()),
    ]);
    const stages = await running.stages(who());
    const asked = (name: string): Promise<unknown>[] => [
      packages.find({ channel: 'ann', name, withFiles: true }),
      packages.update({ channel: 'ann', name, visibility: 'public' }),
      packages.delete({ channel: 'ann', name }),
      packages.create({ channel: 'ann', name, visibility: 'public' }),
      releases.find({ channel: 'ann', package: name, version: '1.0' }),
      releases.create({ channel: 'ann', package: name, version: '2.0' }),
      releases.delete({ channel: 'ann', package: name, version: '1.0' }),
      files.find({ channel: 'ann', package: name, version: '1.0', basename: `noarch/${name}-1.0-0.conda` }),
      files.delete({ channel: 'ann', package: name, version: '1.0', basename: `noarch/${name}-1.0-0.conda` }),
      stages.open({
        channel: 'ann',
        package: name,
        version: '1.0',
        basename: `noarch/${name}-1.0-0.conda`,
        kind: 'conda',
      }),
    ];
    const hidden = await Promise.all(asked('secret').map(toldBy));
    const missing = await Promise.all(asked('absent').map(toldBy));
    expect(JSON.stringify(hidden).replaceAll('secret', 'absent')).toBe(JSON.stringify(missing));
    expect(hidden[0]).toMatchObject({ code: 'not_found' });
    const { packages: listed } = await packages.list({ channel: 'ann' });
    expect(listed.map(({ name }) => name)).toEqual(['open']);
  });

  it('answers the same for a hidden channel and for a missing one', async () => {
    for (const [who, code] of [
      [undefined, 'unauthenticated'],
      [bob, 'not_found'],
    ] as const) {
      const packages = await running.packages(who);
      const told = async (channel: string) => [
        await toldBy(packages.list({ channel })),
        await toldBy(packages.find({ channel, name: 'hidden' })),
        await toldBy((await running.stages(who)).admit({ channel, kind: 'conda' })),
      ];
      const [hidden, missing] = [await told('zed'), await told('nil')];
      expect(JSON.stringify(hidden).replaceAll('zed', 'nil')).toBe(JSON.stringify(missing));
      expect(hidden[0]).toMatchObject({ code });
    }
  });

  it('asks the same of others for a hidden channel and for a missing one', async () => {
    const { channels } = await running.gateway();
    for (const who of [undefined, bob]) {
      const [packages, stages] = [await running.packages(who), await running.stages(who)];
      const asked = async (channel: string) => {
        running.heard.length = 0;
        await toldBy(packages.list({ channel }));
        await toldBy(packages.find({ channel, name: 'hidden' }));
        await toldBy(stages.admit({ channel, kind: 'conda' }));
        await toldBy(channels.find({ login: channel }));
        return [...running.heard];
      };
      expect(await asked('zed')).toEqual(await asked('nil'));
      // Once in each of the four calls, and what one is there in three of them.
      expect(running.heard).toHaveLength(who === undefined ? 4 : 7);
    }
  });

  it('gives the gateway the same answer, with the same versions, for hidden and missing files', async () => {
    const { files } = await running.gateway();
    const at = (basename: string, view: object) =>
      files.at({ channelId: 'id-ann', label: 'main', kind: 'conda', basename, view });
    const stranger = {};
    const hidden = await at('noarch/secret-1.0-0.conda', stranger);
    expect(hidden).toEqual(await at('noarch/absent-1.0-0.conda', stranger));
    expect(hidden).toMatchObject({ found: false, versions: [{ tag: 'channel:id-ann' }] });
    expect((await at('noarch/secret-1.0-0.conda', { everything: true, signedIn: true })).found).toBe(true);
    const cut = { everything: true, signedIn: true, globs: ['open*'] };
    expect((await at('noarch/secret-1.0-0.conda', cut)).found).toBe(false);
    expect((await at('noarch/open-1.0-0.conda', stranger)).found).toBe(true);
  });

  it('lets only the gateway ask where a file is, and only indexers read the feed', async () => {
    const at = { channelId: 'id-ann', label: 'main', kind: 'conda', basename: 'noarch/open-1.0-0.conda' };
    await expect((await running.files(ann)).at(at)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect((await running.files(undefined)).at(at)).rejects.toMatchObject({ code: 'forbidden' });
    await expect((await running.feed('gateway')).changes({ channelId: 'id-ann', kind: 'conda' })).rejects.toMatchObject(
      {
        code: 'forbidden',
      },
    );
    await expect((await running.stages(ann)).expect({ stageId: 'f'.repeat(32) })).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('tells before the first byte whether anything may be uploaded', async () => {
    const admit = async (caller: Caller | undefined, kind: string) =>
      toldBy((await running.stages(caller)).admit({ channel: 'ann', kind }));
    const token = (id: string, scopes: string[]) => running.token(ann, id, { scopes });
    expect(await admit(ann, 'conda')).toMatchObject({ maxBytes: 10n * 2n ** 30n });
    expect(await admit(token('t1', ['conda:upload']), 'conda')).toHaveProperty('maxBytes');
    expect(await admit(token('t1', ['conda:upload']), 'pypi')).toMatchObject({ code: 'forbidden' });
    expect(await admit(token('t2', ['repos']), 'conda')).toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('conda:upload'),
    });
    expect(await admit(bob, 'conda')).toMatchObject({ code: 'forbidden' });
    expect(await admit(undefined, 'conda')).toMatchObject({ code: 'unauthenticated' });
  });

  it('names files so that nobody can count what else went on in the channel', async () => {
    const beginning = async (name: string) => {
      const { file } = await running.upload(ann, conda('ann', 'open', name));
      return { id: file?.id ?? '', time: Number(file?.uploadedAtMs ?? 0) };
    };
    const first = await beginning('5.0');
    await running.upload(ann, conda('ann', 'secret', '5.0'));
    const second = await beginning('5.1');
    for (const { id, time } of [first, second]) expect(Number.parseInt(id.slice(0, 12), 16)).toBe(time);
    expect(first.id < second.id).toBe(true);
  });

  it('gives bytes to nobody who may only look at what is there before an upload', async () => {
    await running.upload(ann, { ...conda('ann', 'secret', '3.0', 'linux-64'), labels: ['dev'] });
    const place = { channel: 'ann', package: 'secret', version: '3.0', basename: 'linux-64/secret-3.0-0.conda' };
    const open = { ...place, package: 'open', version: '1.0', basename: 'noarch/open-1.0-0.conda' };
    const restricted = (id: string, restrictions: MessageInitShape<typeof RestrictionsSchema>) =>
      running.token(ann, id, { restrictions: create(RestrictionsSchema, restrictions) });
    const told = async (caller: Caller, bytes: boolean, at = place) => {
      const found = await toldBy((await running.files(caller)).find({ ...at, bytes }));
      const { blobKey, message } = found as { blobKey?: string; message?: string };
      return message ?? (blobKey !== '' ? 'bytes' : 'no bytes');
    };
    for (const [caller, refusal] of [
      [running.token(ann, 'b1', { scopes: ['conda:upload'] }), 'lacks the scope api:read'],
      [running.token(ann, 'b2', { scopes: ['api:write'] }), 'lacks the scope api:read'],
      [restricted('b3', { labels: ['main'] }), 'is limited to the labels main'],
      [restricted('b4', { subdirs: ['osx-64'] }), 'is limited to the subdirs osx-64'],
    ] as const) {
      expect([await told(caller, false), await told(caller, true)]).toEqual([
        'no bytes',
        expect.stringContaining(refusal),
      ]);
      expect(await told(caller, true, open)).toBe('bytes');
    }
    expect(await told(restricted('b5', { labels: ['dev'], subdirs: ['linux-64'] }), true)).toBe('bytes');
    for (const scope of ['api:read', 'conda']) {
      expect(await told(running.token(ann, 'b6', { scopes: [scope] }), true)).toBe('bytes');
    }
  });

  it('lets a collaborator upload to its package and nowhere else', async () => {
    const { rows } = await running.pool.query("SELECT id FROM packages WHERE name = 'secret'");
    const grant = [rows[0].id, 'id-bob'];
    await running.pool.query("INSERT INTO grants VALUES ($1, 'user', $2, 'write')", grant);
    expect(await toldBy((await running.stages(bob)).admit({ channel: 'ann', kind: 'conda' }))).toHaveProperty(
      'maxBytes',
    );
    // The audience is changed with the grants, by what will change grants.
    expect(await running.upload(bob, conda('ann', 'secret', '1.1'))).toMatchObject({ created: true });
    await expect(running.upload(bob, conda('ann', 'open', '1.1'))).rejects.toMatchObject({ code: 'forbidden' });
    await expect(running.upload(bob, conda('ann', 'other'))).rejects.toMatchObject({ code: 'forbidden' });
    await running.pool.query('DELETE FROM grants WHERE package_id = $1', [rows[0].id]);
  });

  it.each<[string, (at: number) => Promise<unknown> | undefined, string]>([
    ['the token is revoked', async () => running.revoked.add('late'), 'unauthenticated'],
    [
      'the label is locked',
      () =>
        running.pool.query(
          "INSERT INTO labels VALUES ('id-ann', 'dev', true) ON CONFLICT (channel_id, name) DO UPDATE SET locked = true",
        ),
      'forbidden',
    ],
    ['the account loses its rights', async () => running.standings.set('id-ann id-ann', { owner: false }), 'forbidden'],
  ])('enters nothing when %s between the arrival of the bytes and the commit', async (_, change, code) => {
    const token = running.token(ann, 'late');
    // Everything was in order when the commit began; it changes under its hands.
    for (const moment of [1, 2]) {
      const path = await running.send(token, { ...wheel('ann', `late-${code}-${moment}`), labels: ['dev'] });
      let rechecks = 0;
      running.beforeRecheck = async () => {
        rechecks += 1;
        if (rechecks === moment) await change(moment);
      };
      const before = await running.pool.query('SELECT generation, (SELECT count(*) FROM files) FROM channels');
      await expect((await running.stages(token)).commit(path)).rejects.toMatchObject({ code });
      const after = await running.pool.query('SELECT generation, (SELECT count(*) FROM files) FROM channels');
      expect(after.rows).toEqual(before.rows);
      expect(rechecks).toBeGreaterThanOrEqual(1);
      running.revoked.clear();
      running.standings.clear();
      await running.pool.query("UPDATE labels SET locked = false WHERE name = 'dev'");
    }
  });

  it('spends one use of a limited token for each file that is entered, and enters none without', async () => {
    const token = running.token(ann, 'twice', { limitedUses: true });
    running.uses.set('twice', 1);
    const path = await running.send(token, conda('ann', 'used'));
    const stages = await running.stages(token);
    expect(await stages.commit(path)).toMatchObject({ created: true });
    expect(await stages.commit(path)).toMatchObject({ created: true });
    const late = await running.send(token, conda('ann', 'unused'));
    await expect(stages.commit(late)).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect((await running.packages(ann)).find({ channel: 'ann', name: 'unused' })).rejects.toMatchObject({
      code: 'not_found',
    });
    running.uses.set('twice', 1);
    expect(await stages.commit(late)).toMatchObject({ created: true });
  });

  it('enters a file once though its transaction was cut off in the middle', async () => {
    const path = await running.send(ann, conda('ann', 'cut'));
    let rechecks = 0;
    running.beforeRecheck = async () => {
      rechecks += 1;
      if (rechecks !== 2) return;
      await running.pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND application_name = 'packages test'",
      );
    };
    const stages = await running.stages(ann);
    await expect(stages.commit(path)).rejects.toMatchObject({ code: 'unavailable' });
    expect(await stages.commit(path)).toMatchObject({ created: true, file: { basename: path.basename } });
  });

  it('raises the floor and moves the generation when a package becomes private, before it answers', async () => {
    await running.upload(ann, wheel('ann', 'open-secret'));
    const packages = await running.packages(ann);
    const { channels } = await running.gateway();
    const before = await channels.find({ login: 'ann' });
    const told = await packages.update({ channel: 'ann', name: 'open-secret', visibility: 'private' });
    expect(told).toMatchObject({ readable: true, package: { visibility: 'private' } });
    const { channel, versions } = await channels.find({ login: 'ann' });
    const generation = (before.channel?.generation ?? 0n) + 1n;
    expect(channel).toMatchObject({ generation, floor: generation });
    expect(versions).toMatchObject([{ tag: 'channel:id-ann', version: generation }]);
    const floor = await (await running.blobs.get('floors/id-ann')).bytes(1_000);
    expect(JSON.parse(floor.toString())).toEqual({ floor: Number(generation) });
    const feed = await running.feed();
    const since = { channelId: 'id-ann', afterGeneration: generation - 1n };
    expect((await feed.changes({ ...since, kind: 'conda' })).names).toEqual(['open-secret']);
    expect((await feed.changes({ ...since, kind: 'pypi' })).names).toEqual(['open-secret']);
    const { records } = await feed.records({ channelId: 'id-ann', kind: 'pypi', names: ['open-secret'] });
    expect(records[0]?.audience).toMatchObject({ visibility: 'private' });
    // Widening needs no floor.
    await packages.update({ channel: 'ann', name: 'open-secret', visibility: 'authenticated' });
    expect((await channels.find({ login: 'ann' })).channel).toMatchObject({
      generation: generation + 1n,
      floor: generation,
    });
    await expect(
      (await running.packages(bob)).update({ channel: 'ann', name: 'open-secret', visibility: 'public' }),
    ).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('says pending, not done, while no index can be read', async () => {
    running.indexing = false;
    const answer = await running.upload(ann, conda('ann', 'pending'));
    expect(answer).toMatchObject({ created: true, readable: false });
    const { channels } = await running.gateway();
    const wait = { channelId: 'id-ann', kind: 'conda', generation: answer.generation };
    const waiting = channels.await({ ...wait, waitMs: 4_000n });
    running.indexing = true;
    await running.upload(ann, conda('ann', 'next'));
    expect(await waiting).toMatchObject({ readable: true });
  });
});
