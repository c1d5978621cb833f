import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { sweepObjects } from '@vivarium/indexing/object-sweep';
import { stoppedBeforeDelete } from '@vivarium/indexing/sweep.fixture';
import { encodePypiManifest } from '@vivarium/pypi/manifest';
import { aFile, openStage, PUBLIC, type Stage } from './conda-index.fixture.js';
import { check } from './fsck.js';
import { condaSweep } from './sweep.js';

jest.setTimeout(60_000);

const DAY_MS = 24 * 3_600_000;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.stop());

function set(channelId: string, name: string, ...versions: readonly string[]): void {
  const files = versions.map((version) => aFile(name, version));
  stage.feed.set(
    channelId,
    name,
    files.length === 0 ? undefined : { packageId: `id ${name}`, audience: PUBLIC, files },
  );
}

const run = (blobs = stage.blobs, graceMs = 0, clock = Date.now) =>
  condaSweep({ ...stage.ports(), blobs, clock }).run({ dryRun: false, graceMs });

async function objects(): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of ['index/', 'heads/']) for await (const { key } of stage.blobs.list(prefix)) keys.push(key);
  return keys.sort();
}

// Locked as a whole: two of these at once, or one and a sweep, would come to the rows in different orders.
const forgetRetired = () =>
  stage.pool.query(`BEGIN; LOCK TABLE retired_shards IN SHARE ROW EXCLUSIVE MODE;
    UPDATE retired_shards SET retired_at = retired_at - interval '8 days'; COMMIT`);

async function expectSound(...channelIds: readonly string[]): Promise<void> {
  for (const channelId of channelIds) {
    expect((await check(stage.ports(), channelId, { repair: false })).differences).toEqual([]);
  }
}

describe('the sweep of conda indexes', () => {
  it('removes superseded objects after the grace, and superseded shards after seven days', async () => {
    const worker = stage.worker();
    set('plain', 'a', '1');
    set('plain', 'b', '1');
    await worker.fold('plain');
    const first = await objects();
    await run();
    expect(await objects()).toEqual(first);
    set('plain', 'a', '1', '2');
    await worker.fold('plain');
    const both = await objects();
    // Another head, chunk and shard.
    expect(both).toHaveLength(first.length + 3);
    const found = await run(stage.blobs, DAY_MS, () => Date.now() + 2 * DAY_MS);
    expect(found).toMatchObject([{ what: 'objects found that no index names', count: 2 }]);
    expect(await objects()).toEqual(both);
    expect(await run()).toMatchObject([{ what: 'objects that no index named', count: 2 }]);
    // The old shard is kept.
    expect(await objects()).toHaveLength(first.length + 1);
    await expectSound('plain');

    await forgetRetired();
    expect(await run()).toMatchObject([
      { what: 'shards superseded more than 7 days ago', count: 1 },
      { what: 'objects found that no index names', count: 1 },
      { what: 'objects that no index named', count: 1 },
    ]);
    expect(await objects()).toHaveLength(first.length);
    expect(await run()).toEqual([]);
    await expectSound('plain');
  });

  it('leaves what another service put, and takes what a fold left that did not get through', async () => {
    const page = Buffer.from('<!DOCTYPE html><html></html>');
    const manifest = encodePypiManifest({ parts: [] });
    const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    const others = [indexKey(hashOf(page)), headKey(hashOf(manifest))];
    await stage.blobs.put(others[0] ?? '', page);
    await stage.blobs.put(others[1] ?? '', manifest);
    const before = await objects();
    const left = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]);
    await stage.blobs.put(indexKey(hashOf(left)), left);
    expect(await run()).toMatchObject([{ count: 1 }, { count: 1, sizeBytes: left.length }]);
    expect(await objects()).toEqual(before);
  });

  it('gives way to a fold that names a doomed object again before it is deleted', async () => {
    const worker = stage.worker();
    set('again', 'a', '1');
    await worker.fold('again');
    set('again', 'a', '2');
    await worker.fold('again');
    await forgetRetired();
    await run(stage.blobs, DAY_MS, () => Date.now() + 2 * DAY_MS);
    set('again', 'a', '1');
    await worker.fold('again');
    await run();
    await expectSound('again');
  });

  it('that takes what a fold has put and not yet named makes it put that again', async () => {
    let swept: readonly { readonly what: string; readonly count: number }[] = [];
    const blobs = new Proxy(stage.blobs, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (name !== 'put') return value.bind(target);
        return async (...given: Parameters<typeof target.put>) => {
          const result = await target.put(...given);
          // The manifest is put last.
          if (given[0].startsWith('heads/') && swept.length === 0) swept = await run();
          return result;
        };
      },
    });
    set('hasty', 'hasty', '1');
    await stage.worker(blobs).fold('hasty');
    expect(swept).toMatchObject([{ count: 3 }, { what: 'objects that no index named', count: 3 }]);
    await expectSound('hasty');
    await run();
    await expectSound('hasty');
  });

  it('stopped before it deletes does not hit what is published meanwhile', async () => {
    // Names of their own: what another channel names stays anyway.
    for (const [name, prefix] of [
      ['stopped-index', 'index/'],
      ['stopped-head', 'heads/'],
    ] as const) {
      const channelId = name;
      const worker = stage.worker();
      set(channelId, name, '1');
      await worker.fold(channelId);
      set(channelId, name, '2');
      await worker.fold(channelId);
      await forgetRetired();
      const stopped = stoppedBeforeDelete(stage.blobs, prefix);
      const sweeping = run(stopped.blobs);
      await stopped.reached;
      set(channelId, name, '1');
      // Not held up by the sweep that stands still.
      await worker.fold(channelId);
      await expectSound(channelId);
      stopped.letGo();
      await sweeping;
      await expectSound(channelId);
      await run();
      await expectSound(channelId);
    }
  });

  it('makes good a delete of a sweep that was overtaken by another one', async () => {
    const worker = stage.worker();
    set('overtaken', 'late', '1');
    await worker.fold('overtaken');
    set('overtaken', 'late', '2');
    await worker.fold('overtaken');
    await forgetRetired();
    const stopped = stoppedBeforeDelete(stage.blobs, 'index/');
    // Without the lock, as if its connection had been cut.
    const { pool, log } = stage.ports();
    await condaSweep({ ...stage.ports(), clock: () => Date.now() + DAY_MS }).run({ dryRun: false, graceMs: DAY_MS });
    const sweeping = sweepObjects(
      { pool, log, blobs: stopped.blobs, clock: Date.now, named: NAMED_BY_SHARDS, isOwn: () => true },
      { graceMs: 0, dryRun: false, listing: [] },
    );
    await stopped.reached;
    await run();
    set('overtaken', 'late', '1');
    await worker.fold('overtaken');
    stopped.letGo();
    await sweeping;
    await expectSound('overtaken');
  });

  it('leaves every index whole, however publishes, rebuilds and sweeps meet', async () => {
    const { pool } = stage.ports();
    let isDone = false;
    const publisher = async (channelId: string) => {
      const worker = stage.worker();
      for (let round = 0; round < 60; round++) {
        // The same few states again and again: what was superseded is wanted again.
        set(channelId, 'a', ...(round % 3 === 0 ? ['1'] : ['1', '2']));
        if (round % 4 === 0) set(channelId, 'b', ...(round % 8 === 0 ? ['1'] : []));
        await worker.fold(channelId);
        if (round % 15 === 14) await worker.rebuild(channelId);
        await forgetRetired();
        await sleep(Math.random() * 15);
      }
    };
    const sweeper = async () => {
      let removed = 0;
      while (!isDone) {
        const swept = await run().catch(() => []);
        for (const { what, count } of swept) if (what === 'objects that no index named') removed += count;
      }
      return removed;
    };
    const channels = ['busy1', 'busy2'];
    // The second one comes in wherever the first lets go of its lock.
    const sweepers = [sweeper(), sweeper()];
    try {
      await Promise.all(channels.map(publisher));
    } finally {
      // Whatever happened: a sweep that only fails would go round for ever.
      isDone = true;
    }
    const removed = await Promise.all(sweepers);
    expect(removed.reduce((a, b) => a + b)).toBeGreaterThan(5);
    await run();
    await expectSound(...channels);
    const { rows } = await pool.query("SELECT * FROM doomed WHERE state <> 'gone'");
    expect(rows).toEqual([]);
  });
});

const NAMED_BY_SHARDS = 'SELECT shard_hash AS hash FROM shards WHERE shard_hash = ANY($1)';
