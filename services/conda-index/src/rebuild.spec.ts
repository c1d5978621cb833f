import { jest } from '@jest/globals';
import type { Audience } from '@vivarium/access/audience';
import type { ToldFile } from '@vivarium/indexing/feed.fixture';
import fc from 'fast-check';
import { aFile, openStage, PUBLIC, privateTo, SIGNED_IN, type Stage } from './conda-index.fixture.js';
import { findHead } from './find-head.js';
import { manifestOf, recordsIn, viewOf } from './view.fixture.js';

jest.setTimeout(300_000);

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  stage.feed.pageSize = 300;
});
afterAll(() => stage.stop());

const AUDIENCES: readonly Audience[] = [PUBLIC, SIGNED_IN, privateTo('a'), privateTo('a', 'b')];
const SUBDIRS = ['noarch', 'linux-64'];
const LABELS = ['main', 'dev'];

/** Everything stored of a channel that the heads depend on; the generation of a head's last change is its history. */
async function stored(channelId: string) {
  const all = async (sql: string) => (await stage.pool.query(sql, [channelId])).rows;
  return {
    shards: await all('SELECT * FROM shards WHERE channel_id = $1 ORDER BY label, subdir, name'),
    chunks: await all('SELECT * FROM chunks WHERE channel_id = $1 ORDER BY label, subdir, audience_id, prefix'),
    heads: await all('SELECT label, subdir, manifest_hash FROM heads WHERE channel_id = $1 ORDER BY label, subdir'),
  };
}

/** What should be seen of a place by one audience, by the truth alone. */
function expected(channelId: string, label: string, subdir: string, audienceId: string): string[] {
  return [...stage.feed.packagesOf(channelId).values()]
    .filter(({ audience }) => audience.id === audienceId)
    .flatMap(({ files }) => files)
    .filter((file) => file.subdir === subdir && file.labels.includes(label))
    .map(({ filename }) => filename)
    .sort();
}

async function checkViews(channelId: string): Promise<void> {
  for (const label of LABELS) {
    for (const subdir of SUBDIRS) {
      const { hash } = await findHead(stage.pool, channelId, { label, subdir });
      const manifest = hash === '' ? undefined : await manifestOf(stage.blobs, hash);
      for (const { id } of AUDIENCES) {
        const seen = manifest && recordsIn(await viewOf(stage.blobs, manifest, (audience) => audience.id === id));
        expect([...(seen?.keys() ?? [])].sort()).toEqual(expected(channelId, label, subdir, id));
      }
    }
  }
}

const file = fc.record({
  version: fc.integer({ min: 1, max: 6 }).map(String),
  subdir: fc.constantFrom(...SUBDIRS),
  format: fc.constantFrom<'conda' | 'tar.bz2'>('conda', 'tar.bz2'),
  labels: fc.subarray(LABELS, { minLength: 1 }),
  indexedAtMs: fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_100 }),
});
const change = fc.record({
  name: fc.integer({ min: 0, max: 149 }).map((i) => `n${i}`),
  audience: fc.constantFrom(...AUDIENCES),
  // None: the package is removed.
  files: fc.array(file, { maxLength: 4 }),
});
// Batches, so that one fold takes several changes at once; long ones, so that leaves are cut and joined.
const batches = fc.array(fc.array(change, { minLength: 1, maxLength: 120 }), { minLength: 2, maxLength: 8 });

describe('an index that grew', () => {
  it('is bit for bit the one that is made anew, and shows what is there', async () => {
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        const channelId = `random${runs++}`;
        const worker = stage.worker();
        for (const batch of all) {
          for (const { name, audience, files } of batch) {
            const told = new Map<string, ToldFile>();
            for (const each of files) {
              const { filename, ...rest } = aFile(name, each.version, each);
              // A name is taken once in a directory.
              told.set(`${each.subdir}/${filename}`, { filename, ...rest });
            }
            const set = told.size > 0 && { packageId: `id ${name}`, audience, files: [...told.values()] };
            stage.feed.set(channelId, name, set || undefined);
          }
          await worker.fold(channelId);
        }
        await checkViews(channelId);
        const grown = await stored(channelId);
        const { changedHeads } = await stage.worker().rebuild(channelId);
        expect(changedHeads).toBe(0);
        expect(await stored(channelId)).toEqual(grown);
        // As it is when everything of the index was lost.
        for (const table of ['states', 'shards', 'chunks', 'heads']) {
          await stage.pool.query(`DELETE FROM ${table} WHERE channel_id = $1`, [channelId]);
        }
        await stage.worker().fold(channelId);
        expect(await stored(channelId)).toEqual(grown);
      }),
      { numRuns: Number(process.env.VIVARIUM_RUNS ?? 12) },
    );
  });

  it('of 200 publishes of 50 names is the one that is made anew', async () => {
    const worker = stage.worker();
    const files = new Map<string, ToldFile[]>();
    for (let i = 0; i < 200; i++) {
      const name = `p${(i * 7) % 50}`;
      const mine = [...(files.get(name) ?? []), aFile(name, `1.${i}`, { subdir: i % 3 === 0 ? 'noarch' : 'linux-64' })];
      files.set(name, mine);
      stage.feed.set('many', name, { packageId: `id ${name}`, audience: PUBLIC, files: mine });
      await worker.fold('many');
    }
    await checkViews('many');
    const grown = await stored('many');
    expect((await worker.rebuild('many')).changedHeads).toBe(0);
    expect(await stored('many')).toEqual(grown);
    expect(grown.shards.length).toBeGreaterThan(50);
  });

  it('cuts a name with more text than a chunk may hold, in the same way each time', async () => {
    // A page of records must fit into a message.
    stage.feed.pageSize = 40;
    const depends = Array.from({ length: 400 }, (_, i) => `some-quite-long-dependency-name-${i} >=1.${i},<2`);
    const huge = Array.from({ length: 500 }, (_, i) => aFile('huge', `1.${i}`, { depends }));
    stage.feed.set('huge', 'huge', { packageId: 'h', audience: PUBLIC, files: huge });
    stage.feed.set('huge', 'small', { packageId: 's', audience: PUBLIC, files: [aFile('small', '1')] });
    const worker = stage.worker();
    await worker.fold('huge');
    stage.feed.set('huge', 'small', { packageId: 's', audience: PUBLIC, files: [aFile('small', '2')] });
    await worker.fold('huge');
    const grown = await stored('huge');
    expect(grown.chunks.flatMap(({ conda }) => conda).length).toBeGreaterThan(2);
    await checkViews('huge');
    expect((await worker.rebuild('huge')).changedHeads).toBe(0);
    expect(await stored('huge')).toEqual(grown);
  });
});
