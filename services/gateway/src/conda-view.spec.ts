import { zstdDecompressSync } from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import { audienceOf } from '@vivarium/access/audience';
import type { View } from '@vivarium/access/view';
import type { CondaManifest } from '@vivarium/conda/manifest';
import type { CondaRecord } from '@vivarium/conda/record';
import { chunkTextOf, compressChunk } from '@vivarium/conda/rope';
import { condaViewOf } from './conda-view.js';
import { ObjectStore } from './object-store.js';
import { turnsDuring } from './slices.fixture.js';

const PRIVATE = audienceOf({ visibility: 'private', grants: [] });
const OPEN = audienceOf({ visibility: 'public', grants: [] });
const OWNER: View = { everything: true, signedIn: true, principals: [] };

const recordOf = (name: string): CondaRecord => ({
  ...{ name, version: '1.0', build: '0', build_number: 0, depends: ['python >=3.9'], subdir: 'noarch', size: 1 },
  ...{ md5: 'a'.repeat(32), sha256: 'b'.repeat(64), indexed_timestamp: 1 },
});
const objects = new ObjectStore({} as never, 2 ** 28);

/** A manifest of these names; its chunks are in the store. */
async function manifestOf(names: readonly string[], audience = PRIVATE): Promise<CondaManifest> {
  const hashes: string[] = [];
  for (let at = 0; at < names.length; at += 20) {
    const records = new Map(names.slice(at, at + 20).map((name) => [`${name}-1.0-0.conda`, recordOf(name)]));
    const hash = `${audience.id} ${at} of ${names.length}`;
    await objects.composed(hash, async () => compressChunk(chunkTextOf(records)));
    hashes.push(hash);
  }
  const shards = Object.fromEntries(names.map((name, at) => [name, at.toString(16).padStart(64, '0')]));
  const part = { audience, newestMs: 1, shards, chunks: { tarBz2: [], conda: hashes } };
  return { subdir: 'noarch', parts: [part] };
}

async function namesIn(manifest: CondaManifest, view: View) {
  const seen = await condaViewOf(manifest, view, 'once');
  const of = async (format: 'json' | 'json.zst' | 'shard-index') => await seen.bytesOf(format, undefined, objects);
  const json = Buffer.from(await of('json'));
  expect(zstdDecompressSync(await of('json.zst'))).toEqual(json);
  const index = decode(zstdDecompressSync(await of('shard-index'))) as { shards: object };
  const records: CondaRecord[] = Object.values(JSON.parse(json.toString('utf8'))['packages.conda']);
  expect(records.map(({ name }) => name).sort()).toEqual(Object.keys(index.shards));
  return Object.keys(index.shards);
}

describe('what a token that is cut by globs sees of a directory', () => {
  it('is the same in every format: what its globs leave of private packages, and all public ones', async () => {
    const hidden = await manifestOf(['alpha', 'beta', 'alpine']);
    const open = await manifestOf(['gamma'], OPEN);
    const both = { subdir: 'noarch', parts: [...hidden.parts, ...open.parts] };
    expect(await namesIn(both, { ...OWNER, globs: ['alp*'] })).toEqual(['alpha', 'alpine', 'gamma']);
    expect(await namesIn(both, { ...OWNER, globs: ['none'] })).toEqual(['gamma']);
    expect(await namesIn(both, OWNER)).toEqual(['alpha', 'alpine', 'beta', 'gamma']);
  });

  it('is cut once for all who ask at the same time', async () => {
    const manifest = await manifestOf(['alpha', 'beta']);
    const asked = [1, 2].map(async () => condaViewOf(manifest, { ...OWNER, globs: ['a*'] }, 'once'));
    const [one, other] = await Promise.all(asked);
    expect(one).toBe(other);
  });

  it('holds up nobody else while it is cut, however hostile the globs and many the names', async () => {
    const names = Array.from({ length: 1_500 }, (_, at) => `${'a'.repeat(58)}${String(at).padStart(5, '0')}`);
    const manifest = await manifestOf(names);
    const globs = Array.from({ length: 100 }, (_, at) => `*${'a'.repeat(28 + (at % 5))}c${at}`);
    const turns = await turnsDuring(async () => {
      const seen = await condaViewOf(manifest, { ...OWNER, globs: [...globs, '*1'] }, 'once');
      for (const format of ['json', 'json.zst', 'shard-index'] as const) {
        seen.etagOf(format, undefined);
        await seen.bytesOf(format, undefined, objects);
      }
    });
    // Each time is five milliseconds of hundreds.
    expect(turns).toBeGreaterThan(20);
  });
});
