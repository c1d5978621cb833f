import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import type { Blobs } from '@vivarium/blobs/blobs';
import { blobKey, blobOf, stagingKey } from '@vivarium/blobs/keys';
import { openS3Blobs } from '@vivarium/blobs/s3';
import { openLog } from '@vivarium/boot/log';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { isFault } from '@vivarium/fault/fault';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { noteMissing } from '@vivarium/testkit/missing';
import { findProgram } from '@vivarium/testkit/programs';
import { startServer, type TestServer } from '@vivarium/testkit/servers';
import { RunningPackages, type Sent } from './packages.fixture.js';
import { sweep } from './sweep.js';

jest.setTimeout(120_000);

const HOUR_MS = 3_600_000;

function conda(channel: string, name: string, version = '1.0'): Sent {
  const built = aCondaPackage({ name, version });
  const basename = `${built.subdir}/${built.filename}`;
  return { channel, package: name, version, basename, kind: 'conda', bytes: built.bytes };
}

function wheel(channel: string, name: string): Sent {
  const { filename, bytes } = aWheel({ name, version: '1.0' });
  return { channel, package: name, version: '1.0', basename: filename, kind: 'pypi', bytes };
}

/** The store, stopped before the first delete of a blob's object until it is let go. */
function stoppedBeforeDelete(blobs: Blobs) {
  let reach = () => undefined as unknown;
  let letGo = () => undefined as unknown;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const remove = blobs.delete.bind(blobs);
  const stopped = new Proxy(blobs, {
    get(target, name) {
      if (name === 'delete') {
        return async (key: string) => {
          if (blobOf(key) !== undefined) {
            reach();
            await gate;
          }
          return remove(key);
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { blobs: stopped, reached, letGo: () => void letGo() };
}

describe.each(['folder', 's3'])('the sweep with blobs in %s', (store) => {
  let running: RunningPackages;
  let server: TestServer | undefined;
  let ann: Caller;
  const isThere = store === 'folder' || process.env.TEST_S3_ENDPOINT !== undefined || findProgram('versitygw');
  const test = isThere ? it : it.skip;
  if (!isThere) noteMissing('the sweep on S3', 'versitygw is not installed and TEST_S3_ENDPOINT is not set');

  beforeAll(async () => {
    if (!isThere) return;
    if (store === 's3') server = await startServer('s3');
    const blobs = server === undefined ? {} : { blobs: openS3Blobs(s3ConfigOf(server)) };
    running = await RunningPackages.start(blobs);
    ann = running.user('ann');
  });
  afterAll(async () => {
    await running?.stop();
    await server?.stop();
  });

  const run = (options: Partial<Parameters<typeof sweep>[1]> = {}, blobs = running.blobs, clock = Date.now) => {
    const ports = { pool: running.pool, blobs, clock, log: openLog({ service: 'test', level: 'silent' }) };
    return sweep(ports, { graceMs: 0, dryRun: false, listing: true, ...options });
  };

  const upload = async (sent: Sent) => {
    const { file } = await running.upload(ann, sent);
    return file?.sha256 ?? '';
  };
  /** Removed so long ago that its address does not answer any more. */
  const removeLongAgo = async ({ channel, package: name, version, basename }: Sent) => {
    await (await running.files(ann)).delete({ channel, package: name, version, basename });
    await running.pool.query(
      "UPDATE files SET removed_at = removed_at - interval '8 days' WHERE basename = $1 AND removed_at IS NOT NULL",
      [basename],
    );
  };
  const keysOf = async (sha256: string) => {
    const keys: string[] = [];
    for await (const { key } of running.blobs.list(`blobs/sha256/${sha256.slice(0, 2)}/${sha256}`)) keys.push(key);
    return keys;
  };
  const fetched = async ({ channel, basename, kind }: Sent) => {
    const { files } = await running.gateway();
    const { found, blobKey: key } = await files.at({ channelId: `id-${channel}`, label: 'main', kind, basename });
    expect(found).toBe(true);
    return (await running.blobs.get(key)).bytes(10e6);
  };

  test('removes the bytes of a file that was removed a week ago, after the grace', async () => {
    const [gone, kept] = [conda('ann', 'gone'), conda('ann', 'kept')];
    const [sha256, keptSha256] = [await upload(gone), await upload(kept)];
    await run();
    expect([await keysOf(sha256), await keysOf(keptSha256)]).toEqual([[expect.any(String)], [expect.any(String)]]);
    await (await running.files(ann)).delete(gone);
    await run();
    // Its address still answers.
    expect(await fetched(gone)).toHaveLength(gone.bytes.length);

    await running.pool.query("UPDATE files SET removed_at = removed_at - interval '8 days'");
    expect(await run({ graceMs: HOUR_MS })).toEqual(
      expect.arrayContaining([
        { what: 'files removed more than 7 days ago', count: 1, sizeBytes: 0 },
        { what: 'blobs found that nothing needs', count: 1, sizeBytes: gone.bytes.length },
      ]),
    );
    expect(await keysOf(sha256)).toHaveLength(1);
    expect(await run()).toEqual([{ what: 'blobs that nothing needed', count: 1, sizeBytes: gone.bytes.length }]);
    expect([await keysOf(sha256), await keysOf(keptSha256)]).toEqual([[], [expect.any(String)]]);
    expect(await run()).toEqual([]);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('keeps bytes that another file still has, and a wheel’s metadata', async () => {
    const one = wheel('ann', 'shared');
    const bob = running.user('bob');
    const sha256 = await upload(one);
    await running.upload(bob, { ...one, channel: 'bob' });
    await removeLongAgo(one);
    await run();
    expect(await keysOf(sha256)).toHaveLength(1);
    expect(await fetched({ ...one, channel: 'bob' })).toHaveLength(one.bytes.length);
    expect(await running.differences(['id-ann', 'id-bob'])).toEqual([]);
  });

  test('stopped before it deletes does not hit the same bytes when they are uploaded meanwhile', async () => {
    const sent = conda('ann', 'again');
    const sha256 = await upload(sent);
    const before = await keysOf(sha256);
    await removeLongAgo(sent);
    const stopped = stoppedBeforeDelete(running.blobs);
    const sweeping = run({}, stopped.blobs);
    await stopped.reached;
    expect(await upload(sent)).toBe(sha256);
    expect(await keysOf(sha256)).toHaveLength(2);
    stopped.letGo();
    await sweeping;
    const after = await keysOf(sha256);
    expect(after).toHaveLength(1);
    expect(after).not.toEqual(before);
    expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('takes back its decision, or gives way, when the same bytes come before the grace is over', async () => {
    const sent = conda('ann', 'in-time');
    const sha256 = await upload(sent);
    await removeLongAgo(sent);
    await run({ graceMs: HOUR_MS });
    await upload(sent);
    await run();
    await run();
    expect(await keysOf(sha256)).toHaveLength(1);
    expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('does not take what an upload has stored and not yet entered', async () => {
    for (const sent of [conda('ann', 'paused'), wheel('ann', 'paused-wheel')]) {
      let swept: unknown;
      const path = await running.send(ann, sent);
      running.beforeRecheck = async () => {
        const pins = await running.pool.query('SELECT 1 FROM pins WHERE stage_id = $1', [path.stageId]);
        if (pins.rowCount === 0) return;
        running.beforeRecheck = async () => undefined;
        // As if the bytes had lain there for long.
        swept = await run({}, running.blobs, () => Date.now() + 2 * HOUR_MS);
      };
      await (await running.stages(ann)).commit(path, { timeoutMs: 30_000 });
      expect(swept).toEqual([]);
      expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    }
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('does not take what an upload has put and not yet written down', async () => {
    const sent = conda('ann', 'put-only');
    const path = await running.send(ann, sent);
    const { blobs } = running;
    const copy = blobs.copy.bind(blobs);
    let swept: unknown;
    blobs.copy = async (from, to) => {
      await copy(from, to);
      blobs.copy = copy;
      swept = await run({}, blobs, () => Date.now() + 2 * HOUR_MS);
    };
    await (await running.stages(ann)).commit(path, { timeoutMs: 30_000 });
    expect(swept).toEqual([]);
    expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('leaves no row without bytes when an upload outlives its stage, so that the next one stores them', async () => {
    const sent = conda('ann', 'outlived');
    const path = await running.send(ann, sent);
    const { blobs } = running;
    const copy = blobs.copy.bind(blobs);
    blobs.copy = async (from, to) => {
      await copy(from, to);
      blobs.copy = copy;
      await run({}, blobs, () => Date.now() + 48 * HOUR_MS);
    };
    await expect((await running.stages(ann)).commit(path, { timeoutMs: 30_000 })).rejects.toMatchObject({
      code: 'conflict',
    });
    await upload(sent);
    expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('ends with every file whole, however uploads, removals and sweeps meet', async () => {
    const all = Array.from({ length: 6 }, (_, at) => conda('ann', `busy${at}`));
    const errors: unknown[] = [];
    const publisher = async (sent: Sent) => {
      for (let round = 0; round < 8; round++) {
        await running.upload(ann, sent).catch((error: unknown) => errors.push(error));
        expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
        if (round < 7) await removeLongAgo(sent);
        await sleep(Math.random() * 20);
      }
    };
    let isDone = false;
    const sweeper = async () => {
      let removed = 0;
      while (!isDone) for (const { what, count } of await run()) if (what.startsWith('blobs that')) removed += count;
      return removed;
    };
    const sweeping = Promise.all([sweeper(), sweeper()]);
    try {
      await Promise.all(all.map(publisher));
    } finally {
      isDone = true;
    }
    const [one, two] = await sweeping;
    expect(errors).toEqual([]);
    expect(one + two).toBeGreaterThan(0);
    for (const sent of all) expect((await fetched(sent)).equals(sent.bytes)).toBe(true);
    await run();
    expect(await running.differences(['id-ann'])).toEqual([]);
  });

  test('removes objects that no row names, once they are older than the grace', async () => {
    const kept = await upload(conda('ann', 'beside'));
    const strays = [blobKey('a'.repeat(64), 999_999_999), blobKey(kept, 888_888_888)];
    for (const key of strays) await running.blobs.put(key, Buffer.from('left by a crash'));
    expect(await run({ graceMs: HOUR_MS })).toEqual([]);
    const [swept] = await run({ graceMs: HOUR_MS }, running.blobs, () => Date.now() + 2 * HOUR_MS);
    expect(swept).toEqual({ what: 'objects of blobs that no row names', count: 2, sizeBytes: 30 });
    for (const key of strays) expect(await running.blobs.head(key)).toBeUndefined();
    expect(await keysOf(kept)).toHaveLength(1);
  });

  test('removes received bytes that no upload tells of after a day, not before', async () => {
    const path = await running.send(ann, conda('ann', 'on-its-way'));
    const stray = stagingKey('left-by-a-gateway');
    await running.blobs.put(stray, Buffer.from('half'));
    const aDayOn = (hours: number) => () => Date.now() + hours * HOUR_MS;
    expect(await run({}, running.blobs, aDayOn(23))).toEqual([]);
    expect(await run({}, running.blobs, aDayOn(24.5))).toEqual([
      { what: 'received bytes that no upload tells of', count: 1, sizeBytes: 4 },
    ]);
    expect(await running.blobs.head(stray)).toBeUndefined();
    expect(await (await running.stages(ann)).commit(path)).toMatchObject({ created: true });
  });

  test('forgets what was never committed, with its bytes, once it has expired', async () => {
    const path = await running.send(ann, conda('ann', 'abandoned'));
    const { rows } = await running.pool.query('SELECT staging_key FROM stages WHERE id = $1', [path.stageId]);
    await run();
    expect(await running.blobs.head(rows[0].staging_key)).toBeDefined();
    await run({}, running.blobs, () => Date.now() + 48 * HOUR_MS);
    expect(await running.blobs.head(rows[0].staging_key)).toBeUndefined();
    await expect((await running.stages(ann)).commit(path)).rejects.toMatchObject({ code: 'not_found' });
    expect(await running.upload(ann, conda('ann', 'abandoned'))).toMatchObject({ created: true });
  });

  test('says without doing what it would remove', async () => {
    const sent = conda('ann', 'perhaps');
    await upload(sent);
    await removeLongAgo(sent);
    await running.pool.query('DELETE FROM files WHERE basename = $1', [sent.basename]);
    const before = await running.state();
    const would = await (await running.upkeep()).sweep({ dryRun: true, graceMs: 0n });
    expect(would.swept).toMatchObject([
      { what: 'blobs found that nothing needs', count: 1n, sizeBytes: BigInt(sent.bytes.length) },
    ]);
    expect(await running.state()).toEqual(before);
    await run();
  });

  test('runs once at a time, and only for those who operate the installation', async () => {
    const sent = conda('ann', 'one-at-a-time');
    await upload(sent);
    await removeLongAgo(sent);
    const { blobs } = running;
    const remove = blobs.delete;
    const stopped = stoppedBeforeDelete(blobs);
    blobs.delete = (key) => stopped.blobs.delete(key);
    const upkeep = await running.upkeep();
    const first = upkeep.sweep({ graceMs: 0n });
    await stopped.reached;
    await expect(upkeep.sweep({ graceMs: 0n })).rejects.toMatchObject({ code: 'conflict' });
    stopped.letGo();
    expect((await first).swept).toHaveLength(3);
    blobs.delete = remove;
    const asGateway = await (await running.upkeep('gateway')).sweep({}).catch((error: unknown) => error);
    expect(isFault(asGateway) && asGateway.code).toBe('forbidden');
  });
});

function s3ConfigOf({ env }: TestServer) {
  return {
    endpoint: env.S3_ENDPOINT ?? '',
    region: env.S3_REGION ?? '',
    bucket: env.S3_BUCKET ?? '',
    accessKeyId: env.S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: env.S3_SECRET_ACCESS_KEY ?? '',
  };
}
