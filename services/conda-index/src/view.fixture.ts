import { createHash } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import type { Audience } from '@vivarium/access/audience';
import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { type CondaManifest, decodeManifest } from '@vivarium/conda/manifest';
import type { CondaRecord } from '@vivarium/conda/record';
import { composeJson, composeZst } from '@vivarium/conda/rope';
import { decodeShard, encodeShardIndex } from '@vivarium/conda/shard';

/** What a caller sees of one directory, in the bytes of every format. */
export interface SeenView {
  readonly json: Buffer;
  readonly zst: Buffer;
  readonly shardIndex: Uint8Array;
  readonly shards: ReadonlyMap<string, Uint8Array>;
}

/** The manifest that a head names; the hash of its name must be that of its bytes. */
export async function manifestOf(blobs: Blobs, hash: string): Promise<CondaManifest> {
  const bytes = await bytesOf(blobs, headKey(hash));
  expect(createHash('sha256').update(bytes).digest('hex')).toBe(hash);
  return decodeManifest(bytes);
}

/** Put together as the gateway does it, from the objects that the manifest names. */
export async function viewOf(
  blobs: Blobs,
  manifest: CondaManifest,
  sees: (audience: Audience) => boolean = () => true,
): Promise<SeenView> {
  const parts = manifest.parts.filter(({ audience }) => sees(audience));
  const objects = (hashes: readonly string[]) => Promise.all(hashes.map((hash) => bytesOf(blobs, indexKey(hash))));
  const tarBz2 = await objects(parts.flatMap(({ chunks }) => chunks.tarBz2));
  const conda = await objects(parts.flatMap(({ chunks }) => chunks.conda));
  const shards = parts.flatMap((part) => Object.entries(part.shards));
  const newestMs = Math.max(0, ...parts.map((part) => part.newestMs));
  return {
    json: composeJson(manifest.subdir, tarBz2, conda),
    zst: composeZst(manifest.subdir, tarBz2, conda),
    shardIndex: encodeShardIndex({ subdir: manifest.subdir, createdAt: new Date(newestMs).toISOString(), shards }),
    shards: new Map(
      await Promise.all(
        shards.map(async ([, hash]) => [hash, await bytesOf(blobs, indexKey(hash))] as [string, Uint8Array]),
      ),
    ),
  };
}

/** File name → record, which must be the same in every format. */
export function recordsIn({ json, zst, shardIndex, shards }: SeenView): ReadonlyMap<string, CondaRecord> {
  const text = JSON.parse(json.toString('utf8'));
  expect(JSON.parse(zstdDecompressSync(zst).toString('utf8'))).toEqual(text);
  const monolithic = new Map<string, CondaRecord>(Object.entries({ ...text.packages, ...text['packages.conda'] }));
  const index = decode(zstdDecompressSync(shardIndex)) as { shards: Record<string, Uint8Array> };
  const sharded = new Map<string, CondaRecord>();
  for (const [name, hash] of Object.entries(index.shards)) {
    const bytes = shards.get(Buffer.from(hash).toString('hex'));
    expect(
      createHash('sha256')
        .update(bytes ?? '')
        .digest(),
    ).toEqual(Buffer.from(hash));
    const { packages, condaPackages } = decodeShard(bytes ?? new Uint8Array());
    for (const [filename, { run_exports: _, ...record }] of [...packages, ...condaPackages]) {
      expect(record.name).toBe(name);
      sharded.set(filename, record);
    }
  }
  expect(sharded).toEqual(monolithic);
  return monolithic;
}

async function bytesOf(blobs: Blobs, key: string): Promise<Buffer> {
  return (await blobs.get(key)).bytes(64 * 2 ** 20);
}
