import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { jest } from '@jest/globals';
import type { Audience } from '@vivarium/access/audience';
import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { Heads, Invalidations } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import type { ToldFile } from '@vivarium/indexing/feed.fixture';
import { decodePypiManifest } from '@vivarium/pypi/manifest';
import { clientOf } from '@vivarium/rpc/rpc';
import fc from 'fast-check';
import { findHead } from './find-head.js';
import { aFile, openStage, PUBLIC, privateTo, SIGNED_IN, type Stage } from './pypi-index.fixture.js';

jest.setTimeout(120_000);

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.stop());

async function manifestIn(channelId: string, label: string) {
  const { hash } = await findHead(stage.pool, channelId, label);
  if (hash === '') return { parts: [] };
  const bytes = await bytesOf(headKey(hash));
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(hash);
  return decodePypiManifest(bytes);
}

async function bytesOf(key: string): Promise<Buffer> {
  return (await stage.blobs.get(key)).bytes(2 ** 24);
}

/** Project → its files, in the label, for the audiences; the same in every form of the page. */
async function projectsIn(channelId: string, label = 'main', audienceIds?: readonly string[]) {
  const found = new Map<string, readonly string[]>();
  for (const { audience, projects } of (await manifestIn(channelId, label)).parts) {
    if (audienceIds?.includes(audience.id) === false) continue;
    for (const [name, pages] of Object.entries(projects)) {
      const [json, jsonGzip, html, htmlGzip] = await Promise.all(
        [pages.json, pages.jsonGzip, pages.html, pages.htmlGzip].map(async (hash) => {
          const bytes = await bytesOf(indexKey(hash));
          expect(createHash('sha256').update(bytes).digest('hex')).toBe(hash);
          return bytes;
        }),
      );
      expect(gunzipSync(jsonGzip ?? '')).toEqual(json);
      expect(gunzipSync(htmlGzip ?? '')).toEqual(html);
      const page = JSON.parse(String(json)) as { name: string; files: { filename: string; url: string }[] };
      expect(page.name).toBe(name);
      const anchors = [...String(html).matchAll(/<a href="([^"#]+)#sha256=[^>]*>([^<]+)<\/a>/g)];
      expect(anchors.map(([, url, filename]) => ({ url, filename }))).toEqual(
        page.files.map(({ url, filename }) => ({ url, filename })),
      );
      expect(found.has(name)).toBe(false);
      found.set(
        name,
        page.files.map(({ filename }) => filename),
      );
    }
  }
  return found;
}

async function until(isTrue: () => boolean, withinMs = 10_000): Promise<void> {
  for (const endMs = performance.now() + withinMs; !isTrue(); ) {
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

  async function publish(channelId: string, name: string, files: readonly ToldFile[], audience: Audience = PUBLIC) {
    stage.feed.set(channelId, name, files.length === 0 ? undefined : { packageId: `id ${name}`, audience, files });
    stage.feed.announce(stage.bus, channelId);
    await until(() => isReadable(channelId));
  }

  it('shows a published wheel and source distribution in every form, and says when they can be read', async () => {
    await publish('one', 'my-demo', [aFile('my-demo', '1.0')]);
    await publish('one', 'my-demo', [aFile('my-demo', '1.0'), aFile('my-demo', '1.0', { filetype: 'sdist' })]);
    expect(await projectsIn('one')).toEqual(
      new Map([['my-demo', ['my_demo-1.0-py3-none-any.whl', 'my_demo-1.0.tar.gz']]]),
    );
    const heads = await stage.heads();
    const found = await heads.find({ channelId: 'one', label: 'main' });
    expect(found.generation).toBe(2n);
    expect(found.versions).toMatchObject([
      { tag: 'heads:pypi:one', version: 2n },
      { tag: 'rebuilds:pypi:one', version: 0n },
    ]);
    expect(await heads.find({ channelId: 'one', label: 'dev' })).toMatchObject({ generation: 2n, manifestKey: '' });
    expect(await heads.find({ channelId: 'nobody', label: 'dev' })).toMatchObject({ generation: 0n, manifestKey: '' });
  });

  it('shows in a label what carries it, and forgets a project that has no file there any more', async () => {
    const both = aFile('lib', '1', { labels: ['main', 'dev'] });
    await publish('two', 'lib', [both, aFile('lib', '2', { labels: ['dev'] })]);
    expect((await projectsIn('two', 'dev')).get('lib')).toHaveLength(2);
    expect((await projectsIn('two')).get('lib')).toEqual(['lib-1-py3-none-any.whl']);
    await publish('two', 'lib', [aFile('lib', '2', { labels: ['dev'] })]);
    expect(await projectsIn('two')).toEqual(new Map());
    await publish('two', 'lib', []);
    expect(await projectsIn('two', 'dev')).toEqual(new Map());
  });

  it('moves a project whose audience changes to another part', async () => {
    const staff = privateTo('staff');
    await publish('three', 'open', [aFile('open', '1')]);
    await publish('three', 'secret', [aFile('secret', '1')]);
    await publish('three', 'secret', [aFile('secret', '1')], staff);
    expect([...(await projectsIn('three', 'main', ['public'])).keys()]).toEqual(['open']);
    expect([...(await projectsIn('three', 'main', [staff.id])).keys()]).toEqual(['secret']);
  });

  it("leaves a stranger's part as it is while others publish privately", async () => {
    await publish('four', 'open', [aFile('open', '1')]);
    const publicPart = async () =>
      (await manifestIn('four', 'main')).parts.filter(({ audience }) => audience.id === 'public');
    const before = await publicPart();
    for (let i = 0; i < 100; i++) {
      const files = [aFile(`hidden-${i}`, '1', { minute: i })];
      stage.feed.set('four', `hidden-${i}`, { packageId: `h${i}`, audience: privateTo('staff'), files });
      stage.feed.announce(stage.bus, 'four');
    }
    await until(() => isReadable('four'));
    expect((await projectsIn('four')).size).toBe(101);
    expect(await publicPart()).toEqual(before);
  });

  it('leaves out a file that would break its page, and a project of which it is not clear who may read it', async () => {
    const good = aFile('bad', '2');
    const odd = [
      { ...aFile('bad', '1'), recordJson: '{}' },
      { ...aFile('bad', '3'), recordJson: 'no json' },
      { ...aFile('bad', '4'), recordJson: aFile('bad', '5').recordJson },
      { ...aFile('bad', '6'), version: 'not a version' },
      { ...aFile('bad', '7'), recordJson: aFile('bad', '7').recordJson.replace('Z"', '1234567Z"') },
    ];
    await publish('five', 'bad', [...odd, good]);
    await publish('five', 'unclear', [aFile('unclear', '1')]);
    const forged = { id: 'public', visibility: 'private', principals: [] } as unknown as Audience;
    await publish('five', 'unclear', [aFile('unclear', '1')], forged);
    await publish('five', 'good', [aFile('good', '1')]);
    expect(await projectsIn('five')).toEqual(
      new Map([
        ['bad', ['bad-2-py3-none-any.whl']],
        ['good', ['good-1-py3-none-any.whl']],
      ]),
    );
    expect(stage.complaints.filter((line) => line.includes('"name":"bad"'))).toHaveLength(5);
  });

  it('finds a change whose event was lost within a second or two', async () => {
    stage.feed.set('six', 'a', { packageId: 'a', audience: PUBLIC, files: [aFile('a', '1')] });
    await until(() => isReadable('six'), 3_000);
    expect([...(await projectsIn('six')).keys()]).toEqual(['a']);
  });

  it('answers services only', async () => {
    const anybody = clientOf(Heads, stage.bus);
    await expect(anybody.find({ channelId: 'one', label: 'main' })).rejects.toMatchObject({ code: 'forbidden' });
    await expect(anybody.rebuild({ channelId: 'one' })).rejects.toMatchObject({ code: 'forbidden' });
    const leases = clientOf(Invalidations, stage.bus);
    await expect(leases.lease({ holder: 'g' })).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('makes an index anew when it is asked to', async () => {
    await publish('seven', 'a', [aFile('a', '1')]);
    await stage.pool.query(`UPDATE heads SET manifest_hash = repeat('0', 64) WHERE channel_id = 'seven'`);
    const rebuilt = await (await stage.heads()).rebuild({ channelId: 'seven' });
    expect(rebuilt).toMatchObject({ generation: 1n, names: 1, changedHeads: 1 });
    expect([...(await projectsIn('seven')).keys()]).toEqual(['a']);
  });
});

describe('workers', () => {
  it('of one channel, two at once, end at the newest state with nothing lost', async () => {
    const [a, b] = [stage.worker(), stage.worker()];
    for (let i = 0; i < 20; i++) {
      stage.feed.set('pair', `n${i}`, { packageId: `${i}`, audience: PUBLIC, files: [aFile(`n${i}`, '1')] });
      await Promise.all([a.fold('pair'), b.fold('pair')]);
    }
    expect((await projectsIn('pair')).size).toBe(20);
    expect((await a.rebuild('pair')).changedHeads).toBe(0);
  });

  it('that die after any of their puts leave the older state, and another goes on', async () => {
    // Four pages and a manifest.
    for (let nth = 0; nth < 5; nth++) {
      const channelId = `crash${nth}`;
      stage.feed.set(channelId, 'a', { packageId: 'a', audience: PUBLIC, files: [aFile('a', '1')] });
      await stage.worker().fold(channelId);
      const files = [aFile('a', '1'), aFile('a', '2')];
      stage.feed.set(channelId, 'a', { packageId: 'a', audience: PUBLIC, files });
      let puts = 0;
      const put: Blobs['put'] = (key, body, options) =>
        ++puts > nth ? Promise.reject(new Error('killed')) : stage.blobs.put(key, body, options);
      const dying = new Proxy(stage.blobs, {
        get: (target, property) => (property === 'put' ? put : Reflect.get(target, property).bind(target)),
      });
      await expect(stage.worker(dying).fold(channelId)).rejects.toThrow('killed');
      expect((await projectsIn(channelId)).get('a')).toHaveLength(1);
      expect(await stage.worker().fold(channelId)).toBe(2);
      expect((await projectsIn(channelId)).get('a')).toHaveLength(2);
    }
  });
});

const AUDIENCES = [PUBLIC, SIGNED_IN, privateTo('a'), privateTo('a', 'b')];
const LABELS = ['main', 'dev'];
const change = fc.record({
  name: fc.integer({ min: 0, max: 19 }).map((i) => `n${i}`),
  audience: fc.constantFrom(...AUDIENCES),
  files: fc.array(
    fc.record({
      version: fc.integer({ min: 1, max: 5 }).map(String),
      filetype: fc.constantFrom<'wheel' | 'sdist'>('wheel', 'sdist'),
      labels: fc.subarray(LABELS, { minLength: 1 }),
    }),
    { maxLength: 3 },
  ),
});

describe('an index that grew', () => {
  it('is bit for bit the one that is made anew, and shows what is there', async () => {
    let runs = 0;
    const batches = fc.array(fc.array(change, { minLength: 1, maxLength: 10 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(batches, async (all) => {
        const channelId = `random${runs++}`;
        const worker = stage.worker();
        for (const batch of all) {
          for (const { name, audience, files } of batch) {
            const told = [...new Map(files.map((each) => [`${each.version} ${each.filetype}`, each])).values()];
            const made = told.map(({ version, ...rest }) => aFile(name, version, rest));
            const set = made.length > 0 && { packageId: `id ${name}`, audience, files: made };
            stage.feed.set(channelId, name, set || undefined);
          }
          await worker.fold(channelId);
        }
        for (const label of LABELS) {
          for (const { id } of AUDIENCES) {
            const truth = [...stage.feed.packagesOf(channelId)]
              .filter(([, { audience }]) => audience.id === id)
              .map(([name, { files }]): [string, string[]] => [
                name,
                files.filter(({ labels }) => labels.includes(label)).map(({ filename }) => filename),
              ])
              .filter(([, filenames]) => filenames.length > 0);
            const seen = await projectsIn(channelId, label, [id]);
            expect(new Map([...seen].map(([name, files]) => [name, [...files].sort()]))).toEqual(
              new Map(truth.map(([name, files]) => [name, files.sort()])),
            );
          }
        }
        const grown = await Promise.all(LABELS.map((label) => findHead(stage.pool, channelId, label)));
        expect((await stage.worker().rebuild(channelId)).changedHeads).toBe(0);
        for (const table of ['states', 'projects', 'heads']) {
          await stage.pool.query(`DELETE FROM ${table} WHERE channel_id = $1`, [channelId]);
        }
        await stage.worker().fold(channelId);
        expect(await Promise.all(LABELS.map((label) => findHead(stage.pool, channelId, label)))).toEqual(grown);
      }),
      { numRuns: Number(process.env.VIVARIUM_RUNS ?? 12) },
    );
  });
});
