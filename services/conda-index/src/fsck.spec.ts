import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import type { Audience } from '@vivarium/access/audience';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { aFile, openStage, PUBLIC, privateTo, SIGNED_IN, type Stage } from './conda-index.fixture.js';
import { check } from './fsck.js';
import { condaSweep } from './sweep.js';

jest.setTimeout(120_000);

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  stage.feed.pageSize = 300;
});
afterAll(() => stage.stop());

function set(channelId: string, name: string, audience: Audience, ...versions: readonly string[]): void {
  const files = versions.flatMap((version) => [
    aFile(name, version, { labels: ['main', 'dev'] }),
    aFile(name, version, { format: 'tar.bz2', subdir: 'noarch' }),
  ]);
  stage.feed.set(channelId, name, files.length === 0 ? undefined : { packageId: `id ${name}`, audience, files });
}

/** A channel of its own with 24 names in three audiences, and one superseded shard. */
async function aChannel(channelId: string): Promise<void> {
  for (let at = 0; at < 24; at++) {
    const audience = [PUBLIC, SIGNED_IN, privateTo('g')][at % 3] ?? PUBLIC;
    set(channelId, `${channelId}-${at}`, audience, '1', '2');
  }
  const worker = stage.worker();
  await worker.fold(channelId);
  set(channelId, `${channelId}-0`, PUBLIC, '1', '2', '3');
  await worker.fold(channelId);
}

const find = async (channelId: string, repair = false) =>
  (await check(stage.ports(), channelId, { repair, settleMs: 200 })).differences;

const sql = (text: string, ...values: unknown[]) => stage.pool.query(text, values);

async function hashIn(text: string, channelId: string): Promise<string> {
  const { rows } = await sql(text, channelId);
  return String(rows[0]?.hash);
}

const SHARD = 'SELECT shard_hash AS hash FROM shards WHERE channel_id = $1 ORDER BY name LIMIT 1';
const CHUNK =
  'SELECT conda[1] AS hash FROM chunks WHERE channel_id = $1 AND cardinality(conda) > 0 ORDER BY prefix LIMIT 1';
const HEAD = 'SELECT manifest_hash AS hash FROM heads WHERE channel_id = $1 ORDER BY label, subdir LIMIT 1';
const RETIRED = 'SELECT hash FROM retired_shards WHERE channel_id = $1 ORDER BY label, subdir LIMIT 1';
const WRONG = 'f'.repeat(64);

const takeAway = (key: (hash: string) => string, which: string) => async (channelId: string) =>
  stage.blobs.delete(key(await hashIn(which, channelId)));
const spoil = (key: (hash: string) => string, which: string) => async (channelId: string) =>
  stage.blobs.put(key(await hashIn(which, channelId)), Buffer.from('spoilt'));

const DAMAGES: readonly [string, RegExp, (channelId: string) => Promise<unknown>][] = [
  ['a missing shard', /^the object index\/\w+, the shard of .* is missing$/, takeAway(indexKey, SHARD)],
  ['a spoilt shard', /^the object index\/\w+, the shard of .* has the SHA-256 \w{64}$/, spoil(indexKey, SHARD)],
  ['a missing chunk', /^the object index\/\w+, a chunk of .* is missing$/, takeAway(indexKey, CHUNK)],
  ['a spoilt chunk', /^the object index\/\w+, a chunk of .* has the SHA-256/, spoil(indexKey, CHUNK)],
  ['a missing manifest', /^the object heads\/\w+, the manifest of .* is missing$/, takeAway(headKey, HEAD)],
  ['a spoilt manifest', /^the object heads\/\w+, the manifest of .* has the SHA-256/, spoil(headKey, HEAD)],
  [
    'a missing superseded shard',
    /^the object index\/\w+, a superseded shard in .* is missing$/,
    takeAway(indexKey, RETIRED),
  ],
  ['a spoilt superseded shard', /a superseded shard in .* has the SHA-256/, spoil(indexKey, RETIRED)],
  [
    'a head that names another manifest',
    /^the conda head of .* names the manifest f{64}, and its rows make \w{64}$/,
    (id) => sql(`UPDATE heads SET manifest_hash = '${WRONG}' WHERE channel_id = $1 AND subdir = 'noarch'`, id),
  ],
  [
    'a lost head',
    /^the conda head of .* names the manifest none/,
    (id) => sql("DELETE FROM heads WHERE channel_id = $1 AND label = 'dev'", id),
  ],
  [
    'a head where nothing is',
    /^the conda head of win-64 of label main names the manifest \w{64}, and its rows make none$/,
    (id) =>
      sql(
        `INSERT INTO heads SELECT channel_id, label, 'win-64', manifest_hash, generation FROM heads
         WHERE channel_id = $1 AND label = 'main' AND subdir = 'noarch'`,
        id,
      ),
  ],
  [
    'a name that the rows lost',
    /^the conda index shows of .*-7 in linux-64 of label dev: nothing; its files make: shard \w{64}/,
    (id) => sql("DELETE FROM shards WHERE channel_id = $1 AND name = $2 AND label = 'dev'", id, `${id}-7`),
  ],
  [
    'a name that is not there any more',
    /^the conda index shows of ghost in .*: shard \w{64} of package .*; its files make: nothing$/,
    (id) =>
      sql(
        `INSERT INTO shards SELECT channel_id, label, subdir, 'ghost', package_id, audience_id, audience, shard_hash, text_bytes,
         newest_ms FROM shards WHERE channel_id = $1 AND name = $2 AND label = 'dev'`,
        id,
        `${id}-7`,
      ),
  ],
  [
    'a shard with the records of another name',
    /^the conda index shows of .*-8 in/,
    (id) =>
      sql(
        `UPDATE shards SET shard_hash = (SELECT shard_hash FROM shards WHERE channel_id = $1 AND name = $2 AND label = 'dev')
         WHERE channel_id = $1 AND name = $3`,
        id,
        `${id}-7`,
        `${id}-8`,
      ),
  ],
  [
    'a name that is shown to others than may read it',
    /^the conda index shows of .*-2 in .* for public; its files make: .* for a-\w+$/,
    (id) =>
      sql(
        `UPDATE shards SET audience_id = 'public', audience = (SELECT audience FROM shards WHERE channel_id = $1 AND name = $2 LIMIT 1)
         WHERE channel_id = $1 AND name = $3`,
        id,
        `${id}-0`,
        `${id}-2`,
      ),
  ],
  [
    'a chunk with the records of other names',
    /^the chunks of the names .* do not hold the records of its shards/,
    (id) =>
      sql(
        `UPDATE chunks SET conda = (SELECT conda FROM chunks WHERE channel_id = $1 AND audience_id = 'authenticated'
           AND label = 'dev' LIMIT 1) WHERE channel_id = $1 AND audience_id = 'public' AND label = 'dev'`,
        id,
      ),
  ],
  [
    'lost chunks',
    /^the chunks of the names .* do not hold the records of its shards/,
    (id) => sql("DELETE FROM chunks WHERE channel_id = $1 AND audience_id = 'public'", id),
  ],
  [
    'chunks of no names',
    /^there are chunks of the names "0101…" of public in .*, and no such names$/,
    (id) =>
      sql(
        `INSERT INTO chunks SELECT channel_id, label, subdir, audience_id, '0101', tar_bz2, conda FROM chunks
         WHERE channel_id = $1 AND audience_id = 'public' AND label = 'dev' LIMIT 1`,
        id,
      ),
  ],
  [
    'an index that stopped',
    /^the conda index shows generation 25, and the channel has 26$/,
    async (id) => set(id, `${id}-1`, SIGNED_IN, '9'),
  ],
];

describe('a check of a conda index', () => {
  it('finds nothing in a healthy one, and counts what it looked at', async () => {
    await aChannel('healthy');
    const { differences, lookedAt } = await check(stage.ports(), 'healthy', { repair: false });
    expect(differences).toEqual([]);
    expect(lookedAt['conda names']).toBe(24);
    // In three directories of two labels: a shard each, and their chunks, manifests, and one superseded shard in each.
    expect(lookedAt['conda objects']).toBeGreaterThan(3 * 24);
    expect(await find('never-heard-of').catch((error: unknown) => error)).toEqual([]);
  });

  it.each(DAMAGES)('finds %s, and making the index anew mends it', async (kind, says, damage) => {
    const channelId = kind.replaceAll(' ', '-');
    await aChannel(channelId);
    expect(await find(channelId)).toEqual([]);
    await damage(channelId);
    const found = await find(channelId);
    expect(found.map(({ what }) => what)).toEqual(expect.arrayContaining([expect.stringMatching(says)]));
    expect(found.every(({ remedy }) => remedy.includes('vivarium fsck --repair'))).toBe(true);
    // Looking changes nothing.
    expect(await find(channelId)).toEqual(found);

    await find(channelId, true);
    await stage.worker().rebuild(channelId);
    // What only the old rows named is forgotten with them.
    expect((await find(channelId, true)).filter(({ repaired }) => repaired !== true)).toEqual([]);
    expect(await find(channelId)).toEqual([]);
  });

  it('says that an index is ahead of its packages, which nothing but a backup mends', async () => {
    await aChannel('ahead');
    await sql("UPDATE states SET generation = 1000 WHERE channel_id = 'ahead'");
    expect(await find('ahead')).toEqual([
      {
        what: 'the conda index shows generation 1000, and the channel has 25',
        remedy: 'restore packages and indexes from one backup',
      },
    ]);
  });

  it('names a record that cannot be indexed', async () => {
    const broken = { ...aFile('broken', '1'), recordJson: '{"name":"broken"}' };
    stage.feed.set('poisoned', 'broken', { packageId: 'b', audience: PUBLIC, files: [broken, aFile('broken', '2')] });
    await stage.worker().fold('poisoned');
    expect((await find('poisoned')).map(({ what }) => what)).toEqual([
      expect.stringMatching(/^broken: linux-64\/broken-1-0.conda: .*left out/),
    ]);
  });

  it('finds nothing while the channel is published into and swept', async () => {
    await aChannel('busy');
    const service = await stage.start();
    let isDone = false;
    let published = 0;
    const publishing = (async () => {
      while (!isDone) {
        set('busy', `busy-${published % 24}`, published % 5 === 0 ? SIGNED_IN : PUBLIC, '1', String(published));
        if (published % 7 === 0) set('busy', 'busy-hot', PUBLIC, String(published));
        stage.feed.announce(stage.bus, 'busy');
        published++;
        await sleep(15);
      }
    })();
    const sweeping = (async () => {
      while (!isDone) {
        // Young enough to be about to be read by the check, old enough to be deleted while it runs.
        await condaSweep(stage.ports()).run({ dryRun: false, graceMs: 200 });
        await sleep(50);
      }
    })();
    const end = performance.now() + 15_000;
    try {
      // What was published makes each look longer than the one before.
      for (let round = 0; round < 15 && (round < 3 || performance.now() < end); round++) {
        const { differences } = await (await stage.upkeep()).check({ channelId: 'busy' });
        expect(differences.map(({ what }) => what)).toEqual([]);
      }
    } finally {
      isDone = true;
      await Promise.all([publishing, sweeping]);
    }
    expect(published).toBeGreaterThan(20);
    expect(await find('busy')).toEqual([]);
    await service.stop();
  });
});
