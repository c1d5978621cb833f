import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import type { Blobs } from '@vivarium/blobs/blobs';
import { Heads, Invalidations } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { aFile, openStage, PUBLIC, privateTo, SIGNED_IN, type Stage } from './conda-index.fixture.js';
import { findHead } from './find-head.js';
import { forgetRetired, retiredShard } from './retired-shard.js';
import { manifestOf, recordsIn, viewOf } from './view.fixture.js';

jest.setTimeout(120_000);

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.stop());

/** Names of the files that a view of the place shows, the same in every format. */
async function filesIn(channelId: string, subdir = 'linux-64', label = 'main', audienceIds?: readonly string[]) {
  const { hash } = await findHead(stage.pool, channelId, { label, subdir });
  if (hash === '') return [];
  const manifest = await manifestOf(stage.blobs, hash);
  const view = await viewOf(stage.blobs, manifest, ({ id }) => audienceIds?.includes(id) ?? true);
  return [...recordsIn(view).keys()].sort();
}

async function until(isTrue: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  for (const endMs = performance.now() + withinMs; !(await isTrue()); ) {
    if (performance.now() > endMs) throw new Error(`It did not become true: ${isTrue}`);
    await sleep(2);
  }
}

function isReadable(channelId: string): boolean {
  const generation = BigInt(stage.feed.generationOf(channelId));
  return stage.readable.some((event) => event.channelId === channelId && event.generation >= generation);
}

describe('the running service', () => {
  let service: { stop(): Promise<void> };
  beforeAll(async () => {
    service = await stage.start();
  });
  afterAll(() => service.stop());

  async function publish(
    channelId: string,
    ...change: Parameters<Stage['feed']['set']> extends [string, ...infer R] ? R : never
  ) {
    stage.feed.set(channelId, ...change);
    stage.feed.announce(stage.bus, channelId);
    await until(() => isReadable(channelId));
  }

  it('shows a published file in every format, and says when it can be read', async () => {
    await publish('one', 'zlib', { packageId: 'p1', audience: PUBLIC, files: [aFile('zlib', '1.2.11')] });
    expect(await filesIn('one')).toEqual(['zlib-1.2.11-0.conda']);
    const found = await (await stage.heads()).find({ channelId: 'one', label: 'main', subdir: 'linux-64' });
    expect(found.generation).toBe(1n);
    expect(found.versions).toMatchObject([
      { tag: 'heads:conda:one', version: 1n },
      { tag: 'rebuilds:conda:one', version: 0n },
    ]);
    await publish('one', 'zlib', {
      packageId: 'p1',
      audience: PUBLIC,
      files: [aFile('zlib', '1.2.11'), aFile('zlib', '1.3', { format: 'tar.bz2' })],
    });
    expect(await filesIn('one')).toEqual(['zlib-1.2.11-0.conda', 'zlib-1.3-0.tar.bz2']);
  });

  it('has no manifest where nothing is, and the generation of the channel all the same', async () => {
    await publish('two', 'tool', { packageId: 'p2', audience: PUBLIC, files: [aFile('tool', '1')] });
    for (const [label, subdir] of [
      ['main', 'noarch'],
      ['dev', 'linux-64'],
    ] as const) {
      const found = await (await stage.heads()).find({ channelId: 'two', label, subdir });
      expect([found.generation, found.manifestKey]).toEqual([1n, '']);
    }
    const unknown = await (await stage.heads()).find({ channelId: 'nobody', label: 'main', subdir: 'noarch' });
    expect([unknown.generation, unknown.manifestKey]).toEqual([0n, '']);
    expect(unknown.versions[0]).toMatchObject({ tag: 'heads:conda:nobody', version: 0n });
  });

  it('moves every directory and label of a channel to the same generation', async () => {
    const files = [
      aFile('app', '1', { labels: ['main', 'dev'] }),
      aFile('app', '2', { labels: ['dev'] }),
      aFile('app', '1', { subdir: 'osx-64', labels: ['main'] }),
    ];
    await publish('three', 'app', { packageId: 'p3', audience: PUBLIC, files });
    await publish('three', 'other', { packageId: 'p4', audience: PUBLIC, files: [aFile('other', '1')] });
    const heads = await stage.heads();
    for (const [label, subdir] of [
      ['main', 'linux-64'],
      ['dev', 'linux-64'],
      ['main', 'osx-64'],
    ] as const) {
      expect((await heads.find({ channelId: 'three', label, subdir })).generation).toBe(2n);
    }
    expect(await filesIn('three', 'linux-64', 'dev')).toEqual(['app-1-0.conda', 'app-2-0.conda']);
    expect(await filesIn('three', 'linux-64')).toEqual(['app-1-0.conda', 'other-1-0.conda']);
    // Relabelled: it leaves one label and stays in the other.
    await publish('three', 'app', {
      packageId: 'p3',
      audience: PUBLIC,
      files: [aFile('app', '1', { labels: ['main'] })],
    });
    expect(await filesIn('three', 'linux-64', 'dev')).toEqual([]);
    expect(await filesIn('three', 'osx-64')).toEqual([]);
  });

  it('takes a change that concerns no conda package as a generation, without touching heads', async () => {
    await publish('four', 'a', { packageId: 'p5', audience: PUBLIC, files: [aFile('a', '1')] });
    const before = await (await stage.heads()).find({ channelId: 'four', label: 'main', subdir: 'linux-64' });
    stage.feed.touch('four');
    stage.feed.announce(stage.bus, 'four');
    await until(() => isReadable('four'));
    const after = await (await stage.heads()).find({ channelId: 'four', label: 'main', subdir: 'linux-64' });
    expect(after.generation).toBe(2n);
    expect(after.manifestKey).toBe(before.manifestKey);
  });

  it('finds a change whose event was lost within a second or two', async () => {
    stage.feed.set('five', 'a', { packageId: 'p6', audience: PUBLIC, files: [aFile('a', '1')] });
    await until(() => isReadable('five'), 3_000);
    expect(await filesIn('five')).toEqual(['a-1-0.conda']);
  });

  it('leaves out a record that clients could not read, says so, and holds nothing for it', async () => {
    const bad = { ...aFile('bad', '1'), recordJson: '{"name":"bad"}' };
    await publish('six', 'bad', { packageId: 'p7', audience: PUBLIC, files: [bad, aFile('bad', '2')] });
    await publish('six', 'good', { packageId: 'p8', audience: PUBLIC, files: [aFile('good', '1')] });
    expect(await filesIn('six')).toEqual(['bad-2-0.conda', 'good-1-0.conda']);
    expect(stage.complaints.filter((line) => line.includes('"bad-1-0.conda"'))).toHaveLength(1);
  });

  it('leaves out a name of which it is not clear who may read it, also where it was shown before', async () => {
    await publish('seven', 'x', { packageId: 'p9', audience: PUBLIC, files: [aFile('x', '1')] });
    const forged = { id: 'public', visibility: 'private', principals: [] } as unknown as typeof PUBLIC;
    await publish('seven', 'x', { packageId: 'p9', audience: forged, files: [aFile('x', '1'), aFile('x', '2')] });
    expect(await filesIn('seven')).toEqual([]);
  });

  it('moves a package whose audience changes to another part', async () => {
    const files = [aFile('secret', '1')];
    const staff = privateTo('staff');
    await publish('eight', 'open', { packageId: 'p10', audience: PUBLIC, files: [aFile('open', '1')] });
    await publish('eight', 'secret', { packageId: 'p11', audience: PUBLIC, files });
    await publish('eight', 'secret', { packageId: 'p11', audience: staff, files });
    expect(await filesIn('eight', 'linux-64', 'main', ['public'])).toEqual(['open-1-0.conda']);
    expect(await filesIn('eight', 'linux-64', 'main', [staff.id])).toEqual(['secret-1-0.conda']);
    await publish('eight', 'secret', { packageId: 'p11', audience: SIGNED_IN, files });
    expect(await filesIn('eight', 'linux-64', 'main', [staff.id])).toEqual([]);
    expect(await filesIn('eight', 'linux-64', 'main', ['authenticated'])).toEqual(['secret-1-0.conda']);
  });

  it("leaves a stranger's bytes as they are while others publish privately", async () => {
    await publish('nine', 'open', { packageId: 'p12', audience: PUBLIC, files: [aFile('open', '1')] });
    const heads = await stage.heads();
    const publicPart = async () => {
      const { manifestKey } = await heads.find({ channelId: 'nine', label: 'main', subdir: 'linux-64' });
      const manifest = await manifestOf(stage.blobs, manifestKey);
      const { json, zst, shardIndex } = await viewOf(stage.blobs, manifest, ({ id }) => id === 'public');
      return { part: manifest.parts.filter(({ audience }) => audience.id === 'public'), json, zst, shardIndex };
    };
    const before = await publicPart();
    for (let i = 0; i < 100; i++) {
      const file = aFile(`hidden-${i}`, '1', { indexedAtMs: 1_800_000_000_000 + i });
      stage.feed.set('nine', `hidden-${i}`, { packageId: `h${i}`, audience: privateTo('staff'), files: [file] });
      stage.feed.announce(stage.bus, 'nine');
    }
    await until(() => isReadable('nine'));
    expect(await filesIn('nine')).toHaveLength(101);
    expect(await publicPart()).toEqual(before);
  });

  it('finds a superseded shard for those who may read its package today, and not when the package is gone', async () => {
    const heads = await stage.heads();
    const shardOf = async () => {
      const { manifestKey } = await heads.find({ channelId: 'ten', label: 'main', subdir: 'linux-64' });
      return (await manifestOf(stage.blobs, manifestKey)).parts[0]?.shards.lib ?? '';
    };
    await publish('ten', 'lib', { packageId: 'p13', audience: PUBLIC, files: [aFile('lib', '1')] });
    const old = await shardOf();
    await publish('ten', 'lib', { packageId: 'p13', audience: PUBLIC, files: [aFile('lib', '1'), aFile('lib', '2')] });
    const current = await shardOf();
    const where = { channelId: 'ten', label: 'main', subdir: 'linux-64' };
    for (const hash of [old, current]) {
      expect(await heads.retiredShard({ ...where, hash })).toMatchObject({
        found: true,
        name: 'lib',
        audience: { id: 'public' },
      });
    }
    expect(await heads.retiredShard({ ...where, label: 'dev', hash: old })).toMatchObject({ found: false });
    expect(await heads.retiredShard({ ...where, hash: 'f'.repeat(64) })).toMatchObject({ found: false });
    const staff = privateTo('staff');
    await publish('ten', 'lib', { packageId: 'p13', audience: staff, files: [aFile('lib', '2')] });
    expect(await heads.retiredShard({ ...where, hash: old })).toMatchObject({ audience: { id: staff.id } });
    await publish('ten', 'lib', undefined);
    expect(await filesIn('ten')).toEqual([]);
    expect(await heads.retiredShard({ ...where, hash: current })).toMatchObject({ found: false });
  });

  it('forgets superseded shards after seven days', async () => {
    await publish('eleven', 'lib', { packageId: 'p14', audience: PUBLIC, files: [aFile('lib', '1')] });
    await publish('eleven', 'lib', { packageId: 'p14', audience: PUBLIC, files: [aFile('lib', '2')] });
    const retired = async () => {
      const { rows } = await stage.pool.query("SELECT hash FROM retired_shards WHERE channel_id = 'eleven'");
      return rows.map(({ hash }) => hash);
    };
    const [hash] = await retired();
    const { bus, pool } = stage;
    const at = (days: number) => {
      const clock = () => Date.now() + days * 24 * 60 * 60 * 1000;
      return { bus, pool, clock, trust: { assertionFor: async () => 'anybody' } };
    };
    const where = { label: 'main', subdir: 'linux-64' };
    expect(await retiredShard(at(6.9), 'eleven', where, hash)).toMatchObject({ found: true });
    expect(await retiredShard(at(7.1), 'eleven', where, hash)).toMatchObject({ found: false });
    await forgetRetired(at(6.9));
    expect(await retired()).toEqual([hash]);
    await forgetRetired(at(7.1));
    expect(await retired()).toEqual([]);
  });

  it('answers services only', async () => {
    const anybody = clientOf(Heads, stage.bus);
    const where = { channelId: 'one', label: 'main', subdir: 'linux-64' };
    await expect(anybody.find(where)).rejects.toMatchObject({ code: 'forbidden' });
    await expect(anybody.retiredShard({ ...where, hash: 'a' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(anybody.rebuild({ channelId: 'one' })).rejects.toMatchObject({ code: 'forbidden' });
    const leases = clientOf(Invalidations, stage.bus);
    await expect(leases.lease({ holder: 'g' })).rejects.toMatchObject({ code: 'forbidden' });
  });
});

describe('workers', () => {
  function publish(channelId: string, name: string, versions: readonly string[]) {
    const files = versions.map((version) => aFile(name, version));
    stage.feed.set(channelId, name, { packageId: `${channelId} ${name}`, audience: PUBLIC, files });
  }

  /** A store that stands still after its nth put, whatever it was, or after its first manifest. */
  function gated(nth?: number) {
    let release: () => void = () => undefined;
    let arrive: (key: string) => void = () => undefined;
    const arrived = new Promise<string>((resolve) => (arrive = resolve));
    const open = new Promise<void>((resolve) => (release = resolve));
    let puts = 0;
    const put: Blobs['put'] = async (key, body, options) => {
      const mine = ++puts;
      if (nth !== undefined && mine > nth) await open;
      const result = await stage.blobs.put(key, body, options);
      if (nth === undefined ? !key.startsWith('heads/') : mine < nth) return result;
      arrive(key);
      await open;
      return result;
    };
    const store = new Proxy(stage.blobs, {
      get: (target, property) => (property === 'put' ? put : Reflect.get(target, property).bind(target)),
    });
    return { store, arrived, release };
  }

  it('of one channel, two at once, end at the newest state with nothing lost', async () => {
    const [a, b] = [stage.worker(), stage.worker()];
    for (let i = 0; i < 20; i++) {
      publish('pair', `n${i}`, ['1', `2.${i}`]);
      await Promise.all([a.fold('pair'), b.fold('pair')]);
    }
    expect(await filesIn('pair')).toHaveLength(40);
    const { changedHeads } = await a.rebuild('pair');
    expect(changedHeads).toBe(0);
  });

  it('that was overtaken before its swap folds again from what the other made', async () => {
    publish('race', 'a', ['1']);
    const slow = gated();
    const folding = stage.worker(slow.store).fold('race');
    await slow.arrived;
    publish('race', 'b', ['1']);
    publish('race', 'a', ['1', '2']);
    expect(await stage.worker().fold('race')).toBe(3);
    slow.release();
    expect(await folding).toBe(3);
    expect(await filesIn('race')).toEqual(['a-1-0.conda', 'a-2-0.conda', 'b-1-0.conda']);
  });

  it('that dies between any of its puts and its swap leaves the older state, and another goes on', async () => {
    const dead: { release(): void }[] = [];
    for (let nth = 1; nth <= 4; nth++) {
      const channelId = `crash${nth}`;
      publish(channelId, 'a', ['1']);
      await stage.worker().fold(channelId);
      stage.feed.set(channelId, 'a', {
        packageId: `${channelId} a`,
        audience: PUBLIC,
        files: [aFile('a', '1'), aFile('a', '2'), aFile('a', '3', { format: 'tar.bz2' })],
      });
      const gate = gated(nth);
      dead.push(gate);
      void stage.worker(gate.store).fold(channelId);
      // A shard, two chunks, a manifest.
      expect(await gate.arrived).toMatch(nth === 4 ? /^heads/ : /^index/);
      expect(await filesIn(channelId)).toEqual(['a-1-0.conda']);
      expect(await stage.worker().fold(channelId)).toBe(2);
      expect(await filesIn(channelId)).toEqual(['a-1-0.conda', 'a-2-0.conda', 'a-3-0.tar.bz2']);
    }
    for (const { release } of dead) release();
  });

  it('never move a channel back, and say what is wrong', async () => {
    publish('back', 'a', ['1']);
    publish('back', 'a', ['1', '2']);
    const worker = stage.worker();
    await worker.fold('back');
    const channel = stage.feed.channelsById.get('back');
    if (channel !== undefined) channel.generation = 1;
    await expect(worker.fold('back')).rejects.toMatchObject({ code: 'conflict' });
    await expect(worker.rebuild('back')).rejects.toMatchObject({ code: 'conflict' });
    expect(await filesIn('back')).toHaveLength(2);
    if (channel !== undefined) channel.generation = 2;
  });

  it('repair what is stored wrongly when they are asked to begin anew, and make gateways forget it', async () => {
    for (let i = 0; i < 80; i++) publish('broken', `n${i}`, ['1']);
    const worker = stage.worker();
    await worker.fold('broken');
    await stage.pool.query(`UPDATE heads SET manifest_hash = repeat('0', 64) WHERE channel_id = 'broken'`);
    await stage.pool.query(`DELETE FROM chunks WHERE channel_id = 'broken'`);
    await stage.pool.query(`DELETE FROM shards WHERE channel_id = 'broken' AND name = 'n7'`);
    const service = await stage.start();
    const heads = await stage.heads();
    expect(await heads.rebuild({ channelId: 'broken' })).toMatchObject({ generation: 80n, names: 80, changedHeads: 1 });
    const { versions } = await heads.find({ channelId: 'broken', label: 'main', subdir: 'linux-64' });
    expect(versions).toMatchObject([{ version: 80n }, { tag: 'rebuilds:conda:broken', version: 1n }]);
    await service.stop();
    expect(await filesIn('broken')).toHaveLength(80);
    publish('broken', 'n7', ['1', '2']);
    await worker.fold('broken');
    expect(await filesIn('broken')).toHaveLength(81);
  });
});
