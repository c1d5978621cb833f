import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import { Fault } from '@vivarium/fault/fault';
import type { CondaRecord } from './record.js';

// Part of the name of every shard: another level gives other bytes for the same records, and every client fetches them anew.
// Higher levels cost several times the time for a few per cent.
const ZSTD_LEVEL = 3;
const MAX_SHARD_BYTES = 256 * 1024 ** 2;
const THREE_KEYS = Uint8Array.of(0x83);
const ONE = Uint8Array.of(1);

/** All records of one package name in one directory of a channel and label, by file name. */
export interface Shard {
  /** Of `.tar.bz2` files. */
  readonly packages: ReadonlyMap<string, CondaRecord>;
  /** Of `.conda` files. */
  readonly condaPackages: ReadonlyMap<string, CondaRecord>;
}

/** What the shard index of a view says. */
export interface ShardIndex {
  readonly subdir: string;
  /** RFC 3339. Of the last change inside the view, never of the moment: it is part of the bytes. */
  readonly createdAt: string;
  /** Package name → hash of its shard, 64 hexadecimal digits; in any order. */
  readonly shards: Iterable<readonly [name: string, hash: string]>;
}

/**
 * A shard as clients fetch it, and its name: the SHA-256 (hexadecimal) of the compressed bytes. Equal records give equal
 * bytes, in whatever order they came. Both maps are always there; md5 and sha256 are binary.
 * Sources: CEP-16; CEP-21 for `run_exports`, which belongs here and not into repodata.json.
 */
export function encodeShard(shard: Shard): { readonly bytes: Uint8Array; readonly hash: string } {
  const bytes = compress(
    encode(
      { packages: packed(shard.packages), 'packages.conda': packed(shard.condaPackages) },
      { sortKeys: true, maxDepth: 10 },
    ),
  );
  return { bytes, hash: createHash('sha256').update(bytes).digest('hex') };
}

/**
 * The records of a shard that `encodeShard` made.
 * Throws Fault('internal') if the bytes are none: they come from our own store, so it is damaged.
 */
export function decodeShard(bytes: Uint8Array): Shard {
  try {
    const text = zlib.zstdDecompressSync(bytes, { maxOutputLength: MAX_SHARD_BYTES });
    const value = decode(text) as Record<'packages' | 'packages.conda', Record<string, PackedRecord>>;
    return { packages: unpacked(value.packages), condaPackages: unpacked(value['packages.conda']) };
  } catch (cause) {
    throw new Fault('internal', 'A stored shard is damaged. Rebuild the index of its channel.', { cause });
  }
}

/**
 * The shard index of one directory, compressed. Shards are found beside it under `shards/`, by a relative address, so that a
 * token in the path stays in it. Names are sorted; equal contents give equal bytes.
 * Throws Fault('internal') if a hash is none. Source: CEP-16.
 */
export function encodeShardIndex({ subdir, createdAt, shards }: ShardIndex): Uint8Array {
  const info = { base_url: '', created_at: createdAt, shards_base_url: './shards/', subdir };
  return compress(
    Buffer.concat([
      THREE_KEYS,
      encode('info'),
      encode(info),
      encode('shards'),
      hashMapOf(shards),
      encode('version'),
      ONE,
    ]),
  );
}

/** The map of names to binary hashes, written by hand: with 100,000 names in it the general encoder takes several times as long. */
function hashMapOf(shards: ShardIndex['shards']): Buffer {
  const sorted = [...shards].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const bytes = Buffer.allocUnsafe(sorted.reduce((total, [name]) => total + 36 + 3 * name.length, 5));
  bytes[0] = 0xdf; // a map with 32 bits of length
  let at = bytes.writeUInt32BE(sorted.length, 1);
  for (const [name, hash] of sorted) {
    const nameBytes = bytes.write(name, at + 2);
    if (nameBytes > 255 || bytes.write(hash, at + 4 + nameBytes, 32, 'hex') !== 32 || hash.length !== 64) {
      throw new Fault('internal', `The shard of ${JSON.stringify(name)} has no SHA-256. Rebuild the index.`);
    }
    bytes[at] = 0xd9; // a text with 8 bits of length
    bytes[at + 1] = nameBytes;
    bytes[at + 2 + nameBytes] = 0xc4; // binary with 8 bits of length
    bytes[at + 3 + nameBytes] = 32;
    at += 36 + nameBytes;
  }
  return bytes.subarray(0, at);
}

type PackedRecord = Omit<CondaRecord, 'md5' | 'sha256'> & { readonly md5: Uint8Array; readonly sha256: Uint8Array };

function packed(records: ReadonlyMap<string, CondaRecord>): Record<string, PackedRecord> {
  const entries = [...records].map(([filename, record]) => {
    const hashes = { md5: Buffer.from(record.md5, 'hex'), sha256: Buffer.from(record.sha256, 'hex') };
    return [filename, { ...record, ...hashes }] as const;
  });
  return Object.fromEntries(entries);
}

function unpacked(records: Readonly<Record<string, PackedRecord>>): ReadonlyMap<string, CondaRecord> {
  return new Map(
    Object.entries(records).map(([filename, record]) => {
      const hashes = {
        md5: Buffer.from(record.md5).toString('hex'),
        sha256: Buffer.from(record.sha256).toString('hex'),
      };
      return [filename, { ...record, ...hashes }];
    }),
  );
}

function compress(bytes: Uint8Array): Uint8Array {
  return zlib.zstdCompressSync(bytes, { params: { [zlib.constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
}
