import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { stoppedBeforeDelete } from '@vivarium/indexing/sweep.fixture';
import { check } from './fsck.js';
import { aFile, openStage, PUBLIC, privateTo, SIGNED_IN, type Stage } from './pypi-index.fixture.js';
import { pypiSweep } from './sweep.js';

jest.setTimeout(120_000);

const DAY_MS = 24 * 3_600_000;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  stage.feed.pageSize = 300;
});
afterAll(() => stage.stop());

function set(channelId: string, name: string, audience = PUBLIC, ...versions: readonly string[]): void {
  const files = versions.map((version) => aFile(name, version, { labels: ['main', 'dev'] }));
  stage.feed.set(channelId, name, files.length === 0 ? undefined : { packageId: `id ${name}`, audience, files });
}

async function aChannel(channelId: string): Promise<void> {
  for (let at = 0; at < 9; at++) {
    const audience = [PUBLIC, SIGNED_IN, privateTo('g')][at % 3] ?? PUBLIC;
    set(channelId, `${channelId}-${at}`, audience, '1', '2');
  }
  await stage.worker().fold(channelId);
}

const find = async (channelId: string, repair = false) =>
  (await check(stage.ports(), channelId, { repair, settleMs: 200 })).differences;
const sql = (text: string, ...values: unknown[]) => stage.pool.query(text, values);
const run = (blobs = stage.blobs, graceMs = 0, clock = Date.now) =>
  pypiSweep({ ...stage.ports(), blobs, clock }).run({ dryRun: false, graceMs });

async function objects(): Promise<string[]> {
  const keys: string[] = [];
  for (const prefix of ['index/', 'heads/']) for await (const { key } of stage.blobs.list(prefix)) keys.push(key);
  return keys.sort();
}

describe('the sweep of Python indexes', () => {
  it('removes superseded pages and manifests after the grace, and nothing of conda', async () => {
    const zstd = indexKey('a'.repeat(64));
    await stage.blobs.put(zstd, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]));
    const worker = stage.worker();
    set('plain', 'plain', PUBLIC, '1');
    await worker.fold('plain');
    const first = await objects();
    set('plain', 'plain', PUBLIC, '1', '2');
    await worker.fold('plain');
    // The two labels hold the same: four pages and a manifest.
    expect(await objects()).toHaveLength(first.length + 5);
    expect(await run(stage.blobs, DAY_MS, () => Date.now() + 2 * DAY_MS)).toMatchObject([{ count: 5 }]);
    expect(await objects()).toHaveLength(first.length + 5);
    expect(await run()).toMatchObject([{ what: 'objects that no index named', count: 5 }]);
    expect(await objects()).toHaveLength(first.length);
    expect(await stage.blobs.head(zstd)).toBeDefined();
    expect(await find('plain')).toEqual([]);
  });

  it('stopped before it deletes does not hit what is published meanwhile', async () => {
    const worker = stage.worker();
    set('stopped', 'stopped', PUBLIC, '1');
    await worker.fold('stopped');
    set('stopped', 'stopped', PUBLIC, '2');
    await worker.fold('stopped');
    const stopped = stoppedBeforeDelete(stage.blobs, 'index/');
    const sweeping = run(stopped.blobs);
    await stopped.reached;
    set('stopped', 'stopped', PUBLIC, '1');
    await worker.fold('stopped');
    expect(await find('stopped')).toEqual([]);
    stopped.letGo();
    await sweeping;
    expect(await find('stopped')).toEqual([]);
    await run();
    expect(await find('stopped')).toEqual([]);
  });
});

const WRONG = 'f'.repeat(64);
const pageOf = (column: string) => async (channelId: string) => {
  const { rows } = await sql(
    `SELECT ${column} AS hash FROM projects WHERE channel_id = $1 AND name = $2`,
    channelId,
    `${channelId}-1`,
  );
  return indexKey(String(rows[0]?.hash));
};
const manifestOf = async (channelId: string) => {
  const { rows } = await sql('SELECT manifest_hash AS hash FROM heads WHERE channel_id = $1', channelId);
  return headKey(String(rows[0]?.hash));
};
const takeAway = (keyOf: (channelId: string) => Promise<string>) => async (channelId: string) =>
  stage.blobs.delete(await keyOf(channelId));
const spoil = (keyOf: (channelId: string) => Promise<string>) => async (channelId: string) =>
  stage.blobs.put(await keyOf(channelId), Buffer.from('spoilt'));

const DAMAGES: readonly [string, RegExp, (channelId: string) => Promise<unknown>][] = [
  ['a missing page', /^the object index\/\w+, a page of .*-1 in label .*, is missing$/, takeAway(pageOf('json_hash'))],
  ['a spoilt page', /^the object index\/\w+, a page of .*, has the SHA-256 \w{64}$/, spoil(pageOf('html_gzip_hash'))],
  ['a missing manifest', /^the object heads\/\w+, the manifest of label .*, is missing$/, takeAway(manifestOf)],
  ['a spoilt manifest', /^the object heads\/\w+, the manifest of .*, has the SHA-256/, spoil(manifestOf)],
  [
    'a head that names another manifest',
    /^the Python head of label dev names the manifest f{64}, and its rows make \w{64}$/,
    (id) => sql(`UPDATE heads SET manifest_hash = '${WRONG}' WHERE channel_id = $1 AND label = 'dev'`, id),
  ],
  [
    'a lost head',
    /^the Python head of label dev names the manifest none/,
    (id) => sql("DELETE FROM heads WHERE channel_id = $1 AND label = 'dev'", id),
  ],
  [
    'a project that the rows lost',
    /^the pypi index shows of .*-1 in label dev: nothing; its files make: pages/,
    (id) => sql("DELETE FROM projects WHERE channel_id = $1 AND name = $2 AND label = 'dev'", id, `${id}-1`),
  ],
  [
    'a page that lists other files',
    /^the pypi index shows of .*-1 in label main: pages/,
    (id) =>
      sql(
        `UPDATE projects SET json_hash = (SELECT json_hash FROM projects WHERE channel_id = $1 AND name = $2 LIMIT 1)
         WHERE channel_id = $1 AND name = $3`,
        id,
        `${id}-2`,
        `${id}-1`,
      ),
  ],
  [
    'a project that is shown to others than may read it',
    /^the pypi index shows of .*-2 in .* for public; its files make: .* for a-\w+$/,
    (id) =>
      sql(
        `UPDATE projects SET audience_id = 'public', audience = (SELECT audience FROM projects WHERE channel_id = $1 AND name = $2
         LIMIT 1) WHERE channel_id = $1 AND name = $3`,
        id,
        `${id}-0`,
        `${id}-2`,
      ),
  ],
  [
    'an index that stopped',
    /^the pypi index shows generation 9, and the channel has 10$/,
    async (id) => set(id, `${id}-1`, SIGNED_IN, '9'),
  ],
];

describe('a check of a Python index', () => {
  it('finds nothing in a healthy one, and counts what it looked at', async () => {
    await aChannel('healthy');
    const { differences, lookedAt } = await check(stage.ports(), 'healthy', { repair: false });
    expect(differences).toEqual([]);
    expect(lookedAt).toEqual({ 'pypi names': 9, 'pypi objects': 2 * (9 * 4 + 1) });
  });

  it.each(DAMAGES)('finds %s, and making the index anew mends it', async (kind, says, damage) => {
    const channelId = kind.replaceAll(' ', '-');
    await aChannel(channelId);
    expect(await find(channelId)).toEqual([]);
    await damage(channelId);
    const found = await find(channelId);
    expect(found.map(({ what }) => what)).toEqual(expect.arrayContaining([expect.stringMatching(says)]));
    expect(await find(channelId)).toEqual(found);
    expect(found.every(({ rebuild }) => rebuild)).toBe(true);
    await find(channelId, true);
    await stage.worker().rebuild(channelId);
    expect(await find(channelId)).toEqual([]);
  });

  it('finds nothing while the channel is published into', async () => {
    await aChannel('busy');
    const service = await stage.start();
    let isDone = false;
    let published = 0;
    const publishing = (async () => {
      while (!isDone) {
        set('busy', `busy-${published % 9}`, published % 5 === 0 ? SIGNED_IN : PUBLIC, '1', String(published));
        stage.feed.announce(stage.bus, 'busy');
        published++;
        await sleep(15);
      }
    })();
    const end = performance.now() + 15_000;
    try {
      for (let round = 0; round < 15 && (round < 3 || performance.now() < end); round++) {
        const { differences } = await (await stage.upkeep()).check({ channelId: 'busy' });
        expect(differences.map(({ what }) => what)).toEqual([]);
      }
    } finally {
      isDone = true;
      await publishing;
    }
    expect(published).toBeGreaterThan(20);
    expect(await find('busy')).toEqual([]);
    await service.stop();
  });
});
