import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { type CondaRecord, recordOf } from './record.js';
import { decodeShard, encodeShard, encodeShardIndex } from './shard.js';

const NOW = Date.parse('2026-11-24T12:00:00Z');

function record(build: string, runExports?: { weak: string[] }): CondaRecord {
  const index = { name: 'foo', version: '1.0', build, build_number: 0, depends: ['python'], timestamp: NOW };
  const sha256 = createHash('sha256').update(build).digest('hex');
  const md5 = createHash('md5').update(build).digest('hex');
  return recordOf(index, { sha256, md5, sizeBytes: 5_000_000_000, subdir: 'noarch', indexedAtMs: NOW, runExports });
}

describe('a shard', () => {
  const shard = {
    packages: new Map([['foo-1.0-a.tar.bz2', record('a')]]),
    condaPackages: new Map([
      ['foo-1.0-b.conda', record('b', { weak: ['foo'] })],
      ['foo-1.0-a.conda', record('a')],
    ]),
  };

  it('is what the protocol says: two maps, binary hashes, whole numbers', () => {
    const { bytes } = encodeShard(shard);
    const value = decode(zlib.zstdDecompressSync(bytes)) as Record<string, Record<string, Record<string, unknown>>>;
    expect(Object.keys(value)).toEqual(['packages', 'packages.conda']);
    expect(Object.keys(value['packages.conda'] ?? {})).toEqual(['foo-1.0-a.conda', 'foo-1.0-b.conda']);
    const b = value['packages.conda']?.['foo-1.0-b.conda'];
    expect(b?.sha256).toEqual(new Uint8Array(createHash('sha256').update('b').digest()));
    expect(b?.md5).toEqual(new Uint8Array(createHash('md5').update('b').digest()));
    expect([b?.size, b?.timestamp, b?.run_exports]).toEqual([5_000_000_000, NOW, { weak: ['foo'] }]);
    expect(Object.keys(b ?? {})).toEqual(Object.keys(b ?? {}).sort());
  });

  it('is named by its compressed bytes and comes back as it was', () => {
    const { bytes, hash } = encodeShard(shard);
    expect(hash).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(decodeShard(bytes)).toEqual(shard);
    expect(encodeShard(decodeShard(bytes)).hash).toBe(hash);
  });

  it('has the same bytes in whatever order its records and their fields came', () => {
    const reversed = new Map(
      [...shard.condaPackages].reverse().map(([filename, { run_exports, ...rest }]) => {
        const fields = Object.fromEntries(Object.entries(rest).reverse()) as unknown as CondaRecord;
        return [filename, run_exports === undefined ? fields : { run_exports, ...fields }];
      }),
    );
    expect(encodeShard({ ...shard, condaPackages: reversed }).hash).toBe(encodeShard(shard).hash);
  });

  it('has both maps even when empty', () => {
    const { bytes } = encodeShard({ packages: new Map(), condaPackages: new Map() });
    expect(decode(zlib.zstdDecompressSync(bytes))).toEqual({ packages: {}, 'packages.conda': {} });
  });

  it('is called damaged when it is', () => {
    const { bytes } = encodeShard(shard);
    expect(() => decodeShard(bytes.subarray(0, 20))).toThrow('damaged');
    expect(() => decodeShard(zlib.zstdCompressSync(Buffer.from([0x80])))).toThrow('damaged');
  });
});

describe('the shard index', () => {
  const createdAt = '2026-11-24T12:00:00Z';

  it('of an empty directory is the document that clients expect', () => {
    const bytes = encodeShardIndex({ subdir: 'noarch', createdAt, shards: new Map() });
    expect(decode(zlib.zstdDecompressSync(bytes))).toEqual({
      version: 1,
      info: { subdir: 'noarch', base_url: '', shards_base_url: './shards/', created_at: createdAt },
      shards: {},
    });
  });

  it('has binary hashes, sorted names, and the same bytes for the same content', () => {
    const name = fc.stringMatching(/^[a-z0-9]{1,6}$/);
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
    fc.assert(
      fc.property(fc.dictionary(name, hash, { noNullPrototype: true }), (shards) => {
        const entries = Object.entries(shards);
        const bytes = encodeShardIndex({ subdir: 'linux-64', createdAt, shards: entries });
        const again = encodeShardIndex({ subdir: 'linux-64', createdAt, shards: new Map(entries.toReversed()) });
        expect(Buffer.from(again).equals(bytes)).toBe(true);
        const value = decode(zlib.zstdDecompressSync(bytes)) as { shards: Record<string, Uint8Array> };
        const back = Object.entries(value.shards).map(([key, bin]) => [key, Buffer.from(bin).toString('hex')]);
        expect(Object.fromEntries(back)).toEqual(shards);
      }),
    );
  });

  it('is never made with a hash that clients could not read', () => {
    const shards = [['foo', 'ab'.repeat(31)]] as const;
    expect(() => encodeShardIndex({ subdir: 'noarch', createdAt, shards })).toThrow('has no SHA-256');
  });
});
