import { jest } from '@jest/globals';
import type { Blobs } from '@vivarium/blobs/blobs';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { aCondaPackage, anSdist, aWheel } from '@vivarium/testkit/builders';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(60_000);

function conda(channel: string, name: string, spec: Partial<Parameters<typeof aCondaPackage>[0]> = {}): Sent {
  const built = aCondaPackage({ name, version: '1.0', ...spec });
  const basename = `${built.subdir}/${built.filename}`;
  return { channel, package: name, version: spec.version ?? '1.0', basename, kind: 'conda', bytes: built.bytes };
}

function wheel(channel: string, name: string, spec: Partial<Parameters<typeof aWheel>[0]> = {}): Sent {
  const { filename, bytes } = aWheel({ name, version: '1.0', ...spec });
  return { channel, package: name, version: spec.version ?? '1.0', basename: filename, kind: 'pypi', bytes };
}

/** The store goes away in the next call of this method, before or after it is done. */
function cutOnce(blobs: Blobs, method: 'copy' | 'put' | 'delete', when: string): void {
  const whole = Reflect.get(blobs, method) as (...given: unknown[]) => Promise<unknown>;
  Reflect.set(blobs, method, async (...given: unknown[]) => {
    Reflect.set(blobs, method, whole);
    if (when === 'after') await whole.apply(blobs, given);
    throw new Fault('unavailable', 'The store went away.');
  });
}

describe('an upload', () => {
  let running: RunningPackages;
  let ann: Caller;
  let bob: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
    bob = running.user('bob');
  });
  afterAll(() => running.stop());

  it('enters a conda package, and can be found, fetched and read by indexers', async () => {
    const sent = conda('ann', 'zlib', { subdir: 'linux-64', runExports: { weak: ['zlib >=1'] } });
    const answer = await running.upload(ann, { ...sent, labels: ['Dev'] });
    expect(answer).toMatchObject({ created: true, readable: true, generation: 1n });
    expect(answer.file).toMatchObject({ basename: sent.basename, labels: ['dev'], kind: 'conda', version: '1.0' });
    expect(answer.package).toMatchObject({
      name: 'zlib',
      visibility: 'public',
      kinds: ['conda'],
      versions: ['1.0'],
      latestVersion: '1.0',
      platforms: { 'linux-64': '1.0' },
      summary: 'zlib, made for a test',
    });

    const gateway = await running.gateway();
    const at = { channelId: 'id-ann', label: 'dev', kind: 'conda', basename: sent.basename };
    const found = await gateway.files.at(at);
    expect(found).toMatchObject({ found: true, name: 'zlib', versions: [{ version: 1n }] });
    const body = await running.blobs.get(found.blobKey);
    expect(Buffer.compare(await body.bytes(1e6), sent.bytes)).toBe(0);
    expect((await gateway.files.at({ ...at, label: 'main' })).found).toBe(false);

    const feed = await running.feed();
    expect(await feed.changes({ channelId: 'id-ann', kind: 'conda' })).toMatchObject({
      generation: 1n,
      names: ['zlib'],
    });
    const { records } = await feed.records({ channelId: 'id-ann', kind: 'conda', names: ['zlib'] });
    expect(records).toMatchObject([{ name: 'zlib', subdir: 'linux-64', labels: ['dev'], version: '1.0' }]);
    expect(JSON.parse(records[0]?.recordJson ?? '')).toMatchObject({
      name: 'zlib',
      run_exports: { weak: ['zlib >=1'] },
    });
  });

  it('enters a wheel with its metadata beside it, and a source distribution', async () => {
    const sent = wheel('ann', 'My.Demo', { requiresPython: '>=3.9' });
    const { package: made, file } = await running.upload(ann, sent);
    expect(made).toMatchObject({ name: 'my.demo', kinds: ['pypi'] });
    const { files } = await running.gateway();
    const at = {
      channelId: 'id-ann',
      label: 'main',
      kind: 'pypi',
      basename: sent.basename,
      sha256: file?.sha256 ?? '',
    };
    expect(await files.at(at)).toMatchObject({ found: true, name: 'my-demo' });
    const metadata = await files.at({ ...at, metadata: true });
    const text = (await (await running.blobs.get(metadata.blobKey)).bytes(1e5)).toString();
    expect(text).toContain('Requires-Python: >=3.9');
    expect((await files.at({ ...at, sha256: '0'.repeat(64) })).found).toBe(false);

    const source = anSdist({ name: 'My.Demo', version: '1.0' });
    const submitted = await running.submit(ann, 'ann', source);
    expect(submitted.package?.id).toBe(made?.id);
    expect((await files.at({ ...at, basename: source.filename, sha256: '', metadata: true })).found).toBe(false);
    const feed = await running.feed('pypi-index');
    const { records } = await feed.records({ channelId: 'id-ann', kind: 'pypi', names: ['my-demo'] });
    expect(records.map(({ filename }) => filename)).toEqual([sent.basename, source.filename]);
    expect(JSON.parse(records[0]?.recordJson ?? '')).toMatchObject({
      requiresPython: '>=3.9',
      metadataSha256: metadata.sha256,
    });
  });

  it('joins the one package that holds a project, whatever spelling a wheel comes under', async () => {
    await (await running.packages(ann)).create({ channel: 'ann', name: 'foo_bar', visibility: 'private' });
    const conda2 = await running.upload(ann, conda('ann', 'foo-bar'));
    expect(conda2.package).toMatchObject({ name: 'foo-bar', visibility: 'public' });
    const first = await running.upload(ann, { ...wheel('ann', 'foo-bar'), package: 'foo_bar' });
    expect(first.package).toMatchObject({ name: 'foo_bar', visibility: 'private' });
    const second = await running.upload(ann, { ...wheel('ann', 'Foo.Bar', { version: '2.0' }), package: 'foo-bar' });
    const third = await running.submit(ann, 'ann', aWheel({ name: 'FOO-bar', version: '3.0' }));
    expect([second.package?.id, third.package?.id]).toEqual([first.package?.id, first.package?.id]);
    expect(third.package?.versions).toEqual(['1.0', '2.0', '3.0']);
    const { records } = await (await running.feed()).records({ channelId: 'id-ann', kind: 'pypi', names: ['foo-bar'] });
    expect(records.map(({ audience }) => audience?.visibility)).toEqual(['private', 'private', 'private']);
  });

  it('makes one package of twenty first uploads at once, and shows all of them', async () => {
    const spellings = ['new_one', 'New-One', 'new.one', 'NEW_ONE'];
    const uploads = Array.from({ length: 20 }, (_, at) => {
      const name = spellings[at % 4] ?? '';
      const sent = wheel('bob', name, { tag: `py3-none-linux_x${at}` });
      return at % 2 === 0
        ? running.upload(bob, sent)
        : running.submit(bob, 'bob', { filename: sent.basename, bytes: sent.bytes });
    });
    const answers = await Promise.all(uploads);
    expect(new Set(answers.map((answer) => answer.package?.id)).size).toBe(1);
    expect(answers.map(({ generation }) => Number(generation)).sort((a, b) => a - b)).toEqual(
      answers.map((_, at) => at + 1),
    );
    expect(answers.every(({ readable, created }) => readable && created)).toBe(true);
    const { records } = await (await running.feed()).records({ channelId: 'id-bob', kind: 'pypi', names: ['new-one'] });
    expect(records).toHaveLength(20);
    const ids = answers.toSorted((a, b) => Number(a.generation - b.generation)).map(({ file }) => file?.id ?? '');
    expect(ids).toEqual(ids.toSorted());
  });

  it('answers the same bytes again as done, adds the labels that were missing, and refuses other bytes', async () => {
    const sent = conda('ann', 'same');
    // Opened before the first is there, as two builders do that run at once.
    const [one, two, three] = [
      await running.send(ann, sent),
      await running.send(ann, sent),
      await running.send(ann, { ...sent, labels: ['dev'] }),
    ];
    const other = await running.send(ann, conda('ann', 'same', { depends: ['python'] }));
    const stages = await running.stages(ann);
    const first = await stages.commit(one);
    expect(await stages.commit(two)).toMatchObject({
      created: false,
      generation: first.generation,
      file: { id: first.file?.id },
    });
    const third = await stages.commit(three);
    expect(third).toMatchObject({
      created: false,
      generation: first.generation + 1n,
      file: { labels: ['dev', 'main'] },
    });
    await expect(stages.commit(other)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('noarch/same-1.0-0.conda already exists in ann with other bytes'),
    });
    await expect(running.send(ann, sent)).rejects.toMatchObject({ code: 'conflict' });
    const submitted = aWheel({ name: 'twice', version: '1.0' });
    expect(await running.submit(ann, 'ann', submitted)).toMatchObject({ created: true });
    expect(await running.submit(ann, 'ann', submitted)).toMatchObject({ created: false });
  });

  it('answers a repeated commit as the first, also ten of them at once', async () => {
    const path = await running.send(ann, conda('ann', 'again'));
    const stages = await running.stages(ann);
    const answers = await Promise.all(Array.from({ length: 10 }, () => stages.commit(path)));
    const [first] = answers;
    expect(first?.created).toBe(true);
    for (const answer of [...answers, await stages.commit(path)]) expect(answer).toEqual(first);
  });

  it('commits what a crash interrupted before, between and after the bytes are stored', async () => {
    const { blobs } = running;
    const methods = ['copy', 'put', 'delete'] as const;
    for (const method of methods) {
      for (const when of ['before', 'after']) {
        const path = await running.send(ann, wheel('ann', `crash-${method}-${when}`));
        cutOnce(blobs, method, when);
        const stages = await running.stages(ann);
        await stages.commit(path).catch(() => undefined);
        expect((await stages.commit(path)).file).toMatchObject({ basename: path.basename });
      }
    }
  });

  it('lets bytes in once, however many send them at the same time', async () => {
    const { bytes, ...path } = conda('ann', 'once');
    const { stageId } = await (await running.stages(ann)).open({ ...path, labels: [] });
    const { stages } = await running.gateway();
    expect(await stages.expect({ stageId })).toMatchObject({ basename: path.basename });
    const sent = await Promise.allSettled(Array.from({ length: 50 }, () => running.receive(stageId, bytes)));
    expect(sent.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = sent.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['conflict']));
    await expect(stages.expect({ stageId })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(running.receive('f'.repeat(32), bytes)).rejects.toMatchObject({ code: 'forbidden' });
    expect(await (await running.stages(ann)).commit({ stageId, ...path })).toMatchObject({ created: true });
  });

  it('knows a stage only by its own account and its own path', async () => {
    running.standings.set('id-bob id-ann', { owner: true });
    const paths = [
      await running.send(ann, conda('ann', 'mine')),
      await running.send(bob, conda('ann', 'his')),
      await running.send(bob, conda('bob', 'mine')),
    ];
    const owners = [ann, bob, bob];
    for (const [at, { stageId }] of paths.entries()) {
      for (const caller of [ann, bob]) {
        for (const [other, path] of paths.entries()) {
          if (at === other && caller === owners[at]) continue;
          const commit = (await running.stages(caller)).commit({ ...path, stageId });
          await expect(commit).rejects.toMatchObject({
            code: 'not_found',
            message: expect.stringContaining('unknown'),
          });
        }
      }
    }
    for (const [at, path] of paths.entries()) {
      expect(await (await running.stages(owners[at])).commit(path)).toMatchObject({ created: true });
    }
    running.standings.delete('id-bob id-ann');
  });

  it.each(['conda', 'pypi', 'file'])('says to start again when the received bytes of a %s are gone', async (kind) => {
    const [package_, bytes] = [`gone-${kind}`, Buffer.from('bytes of no particular kind')];
    const sent = {
      conda: () => conda('ann', package_),
      pypi: () => wheel('ann', package_),
      file: () => ({ channel: 'ann', package: package_, version: '1.0', basename: 'gone.txt', kind: 'file', bytes }),
    }[kind];
    const { channel, bytes: content, ...path } = sent?.() ?? conda('ann', package_);
    const { package: name, version, basename, kind: said } = path;
    const asked = { channel, package: name, version, basename, kind: said };
    const { stageId } = await (await running.stages(ann)).open(asked);
    const key = await running.receive(stageId, content);
    await running.blobs.delete(key);
    const commit = { stageId, channel, package: name, version, basename };
    // Again and again: the upload has ended.
    for (let round = 0; round < 2; round++) {
      await expect((await running.stages(ann)).commit(commit)).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringMatching(/^The bytes of \S+ are not here any more: start the upload again\.$/),
      });
    }
    expect((await running.upload(ann, { ...asked, bytes: content })).created).toBe(true);
  });

  it('needs the bytes before a commit', async () => {
    const { bytes: _, ...path } = conda('ann', 'empty-handed');
    const stages = await running.stages(ann);
    const { stageId } = await stages.open({ ...path, labels: [] });
    await expect(stages.commit({ stageId, ...path })).rejects.toMatchObject({ code: 'conflict' });
  });

  describe('that must not be entered', () => {
    const wrongName = (channel: string) => ({
      ...conda(channel, 'right', { indexOverrides: { name: 'wrong' } }),
    });
    it.each<[string, (channel: string) => Sent]>([
      ['whose archive names another package', wrongName],
      ['whose archive names another subdir', (c) => conda(c, 'right', { indexOverrides: { subdir: 'linux-64' } })],
      ['with a poisoned record', (c) => conda(c, 'right', { indexOverrides: { build_number: '0' } })],
      ['that is no archive', (c) => ({ ...conda(c, 'right'), bytes: Buffer.from('not a package') })],
      ['whose metadata names another project', (c) => wheel(c, 'right', { metadataOverrides: { Name: 'wrong' } })],
      ['whose Requires-Python is none', (c) => wheel(c, 'right', { metadataOverrides: { 'Requires-Python': '3.x' } })],
    ])('%s leaves nothing behind', async (_, sentTo) => {
      const before = await running.state();
      const path = await running.send(ann, sentTo('ann'));
      const stages = await running.stages(ann);
      const refused = await stages.commit(path).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'invalid' });
      expect(await running.state()).toEqual(before);
      // Said again, and not because the bytes are gone.
      await expect(stages.commit(path)).rejects.toMatchObject({ message: (refused as Error).message });
    });

    it.each<[string, Partial<Sent>]>([
      ['package', { package: 'another' }],
      ['version', { version: '2.0' }],
      ['directory', { basename: 'nowhere-64/right-1.0-0.conda' }],
      ['name that climbs', { basename: 'noarch/../right-1.0-0.conda' }],
      ['kind', { kind: 'egg' }],
    ])('with another %s in its address is refused before its bytes', async (_, change) => {
      const { bytes: __, ...path } = { ...conda('ann', 'right'), ...change };
      await expect((await running.stages(ann)).open({ ...path, labels: [] })).rejects.toMatchObject({
        code: 'invalid',
      });
    });

    it('with other bytes than announced is refused', async () => {
      const { bytes, ...path } = conda('ann', 'announced');
      const stages = await running.stages(ann);
      const { stageId } = await stages.open({ ...path, labels: [], sha256: '0'.repeat(64) });
      await running.receive(stageId, bytes);
      await expect(stages.commit({ stageId, ...path })).rejects.toMatchObject({ code: 'invalid' });
    });
  });
});
