import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { jest } from '@jest/globals';
import { type BlobsConfig, openBlobs } from '@vivarium/blobs/open-blobs';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aWheel } from '@vivarium/testkit/builders';
import { ODD, POISON, SOUND } from '@vivarium/testkit/poison';
import { slowTarBz2 } from '@vivarium/testkit/poison-tar-bz2';
import type { Inspector } from './inspection.js';
import { INSPECTOR_LIMITS, threadInspector } from './inspector-threads.js';
import { RunningPackages, type Sent } from './packages.fixture.js';

jest.setTimeout(120_000);

const MEGABYTE = 1024 ** 2;
// What one upload may need, with garbage that nobody collected yet; and what all together may leave.
const UPLOAD_LIMIT_MB = 200;
const LEFT_LIMIT_MB = 150;
// What a sentence must hold, so that a publisher knows what to do.
const REMEDY =
  /Add it|Build|Remove|Rename|Keep|Mend|Compress|Name it|Upload|Correct|Check|put all|must |larger than|at most|only|more than|one top|accepted|Write|keep one|is named/;

function sentOf(channel: string, basename: string, bytes: Uint8Array): Sent {
  const filename = basename.slice(basename.lastIndexOf('/') + 1);
  const [, version = ''] = /^\w+-([^-]+?)(?:-|\.(?:tar|zip|whl|conda))/i.exec(filename) ?? [];
  const name = filename.slice(0, Math.max(filename.indexOf('-'), 0));
  const kind = /\.(?:conda|tar\.bz2)$/.test(basename) && basename.includes('/') ? 'conda' : 'pypi';
  return { channel, package: name, version, basename, kind, bytes };
}

/** What is still referred to: memory that an allocator keeps for later does not count. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('poison', () => {
  let running: RunningPackages;
  let ann: Caller;
  let usual: Inspector;
  let inspector: Inspector;
  let config: BlobsConfig;
  let peakBytes = 0;
  let highestBytes = 0;
  let restBytes = 0;
  let heaviest = { bytes: 0, title: '' };
  let sampling: NodeJS.Timeout;

  beforeAll(async () => {
    // A thread loads what is built.
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root, encoding: 'utf8' });
    expect([built.stderr, built.status]).toEqual(['', 0]);
    config = { folder: await mkdtemp(join(tmpdir(), 'vivarium-poison-')) };
    usual = threadInspector(config);
    inspector = usual;
    running = await RunningPackages.start({
      blobs: await openBlobs(config),
      inspector: () => ({ inspect: (task) => inspector.inspect(task), close: () => usual.close() }),
    });
    ann = running.user('ann');
    await Promise.all(['one', 'two', 'three'].map((name) => running.upload(ann, neighbour(name))));
    restBytes = heldBytes();
    sampling = setInterval(() => {
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
      highestBytes = Math.max(highestBytes, peakBytes);
    }, 5);
  });
  afterAll(async () => {
    clearInterval(sampling);
    await running.stop();
    await rm(config.folder, { recursive: true, force: true });
  });

  function neighbour(name: string): Sent {
    const { filename, bytes } = aWheel({ name, version: '1.0' });
    return { channel: 'ann', package: name, version: '1.0', basename: filename, kind: 'pypi', bytes };
  }

  /** Every row but the stages' own, and every object. */
  async function everything(): Promise<unknown> {
    const tables = ['channels', 'packages', 'grants', 'releases', 'blobs', 'pins', 'files', 'labels', 'file_labels'];
    const digests = [...tables, 'changes', 'outbox', 'outbox_seq'].map(
      (table) => `(SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM ${table} t) AS ${table}`,
    );
    const { rows } = await running.pool.query(`SELECT ${digests.join(', ')}`);
    const keys: string[] = [];
    for await (const { key } of running.blobs.list('')) keys.push(key);
    return { rows, keys: keys.sort() };
  }

  async function refusalOf(sent: Sent, caller = ann): Promise<{ readonly code: unknown; readonly message: string }> {
    const answer = await running.upload(caller, sent).catch((error: unknown) => error);
    if (answer instanceof Error && 'code' in answer) return { code: answer.code, message: answer.message };
    throw new Error(`${sent.basename} was not refused`, { cause: answer });
  }

  describe.each(Object.entries(POISON))('in %s', (_, casesOf) => {
    let before: unknown;
    beforeAll(async () => {
      before = await everything();
    });

    it.each(casesOf().map((each) => [each.title, each] as const))(
      '%s is refused and leaves nothing',
      async (title, each) => {
        const sent = sentOf('ann', each.basename, each.bytes());
        const startBytes = process.memoryUsage.rss();
        peakBytes = startBytes;
        const refusal = await refusalOf(sent);
        if (peakBytes - startBytes > heaviest.bytes) heaviest = { bytes: peakBytes - startBytes, title };
        expect(refusal).toEqual({ code: each.code, message: expect.stringMatching(each.says) });
        expect(refusal.message).toMatch(REMEDY);
        expect(await everything()).toEqual(before);
      },
    );
  });

  it.each(SOUND)('%s cut short at any thousandth byte is refused and leaves nothing', async (basename, bytesOf) => {
    const bytes = bytesOf();
    const before = await everything();
    const cuts = Array.from({ length: Math.ceil(bytes.length / 1_000) }, (_, at) => at * 1_000);
    expect(cuts.length).toBeGreaterThan(30);
    for (let at = 0; at < cuts.length; at += 8) {
      const some = cuts.slice(at, at + 8).map((end) => refusalOf(sentOf('ann', basename, bytes.subarray(0, end))));
      for (const refusal of await Promise.all(some)) {
        expect(refusal).toEqual({ code: 'invalid', message: expect.stringMatching(REMEDY) });
      }
    }
    expect(await everything()).toEqual(before);
    const whole = running.user(`whole${bytes.length}`);
    expect(await running.upload(whole, sentOf(whole.login, basename, bytes))).toMatchObject({ created: true });
  });

  it.each(ODD.map((each, at) => [...each, `odd${at}`] as const))(
    '%s %s is accepted',
    async (basename, _, bytesOf, login) => {
      const answer = await running.upload(running.user(login), sentOf(login, basename, bytesOf()));
      expect(answer).toMatchObject({ created: true, package: { name: 'poison' } });
    },
  );

  it('takes little memory while it is refused, and gives it back', () => {
    const heaviestMb = Math.round(heaviest.bytes / MEGABYTE);
    const leftMb = Math.round((heldBytes() - restBytes) / MEGABYTE);
    if (process.env.VIVARIUM_PRINT_MEMORY === '1') {
      const rssMb = Math.round(highestBytes / MEGABYTE);
      const text = `poison: at most ${heaviestMb} MB, ${heaviest.title}; ${leftMb} MB left; RSS at most ${rssMb} MB`;
      process.stderr.write(`${text}\n`);
    }
    expect(heaviestMb).toBeLessThan(UPLOAD_LIMIT_MB);
    expect(leftMb).toBeLessThan(LEFT_LIMIT_MB);
  });

  it('that takes long is ended, and its neighbours are published meanwhile, however much of it one account sends', async () => {
    const hasty = threadInspector(config, { ...INSPECTOR_LIMITS, timeMs: 5_000 });
    inspector = hasty;
    try {
      // Both threads are up before the clock counts.
      await Promise.all(['four', 'five', 'six'].map((name) => running.upload(ann, neighbour(name))));
      const before = await everything();
      const mallory = running.user('mallory');
      const slow = sentOf('mallory', 'noarch/poison-1.0-0.tar.bz2', slowTarBz2(600));
      const started = performance.now();
      const refusalAt = async (sent: Sent) => {
        const answer = await refusalOf(sent, mallory);
        return { answer, afterMs: performance.now() - started };
      };
      const [refusal, next] = [refusalAt(slow), refusalAt({ ...slow, basename: 'noarch/poison-1.0-1.tar.bz2' })];
      for (const name of ['seven', 'eight', 'nine']) {
        expect(await running.upload(ann, neighbour(name))).toMatchObject({ created: true });
      }
      const neighboursMs = performance.now() - started;
      const { answer, afterMs } = await refusal;
      expect(answer).toEqual({ code: 'invalid', message: expect.stringMatching(/poison.*longer than 5 s to open/) });
      expect(afterMs).toBeGreaterThan(neighboursMs);
      expect(afterMs).toBeLessThan(30_000);
      expect((await next).answer.message).toMatch(/longer than 5 s to open/);
      expect(await running.upload(ann, neighbour('ten'))).toMatchObject({ created: true });
      const after = JSON.stringify(await everything());
      expect(after).not.toBe(JSON.stringify(before));
      expect(after).not.toContain('staging/');
      const { rows } = await running.pool.query("SELECT 1 FROM packages WHERE name = 'poison' AND channel_id = $1", [
        'id-mallory',
      ]);
      expect(rows).toEqual([]);
    } finally {
      inspector = usual;
      await hasty.close();
    }
  });
});
