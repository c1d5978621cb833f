import { createHash } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { encodeManifest } from '@vivarium/conda/manifest';
import type { CondaRecord } from '@vivarium/conda/record';
import { chunkTextOf, MAX_CHUNK_BYTES } from '@vivarium/conda/rope';
import { decodeShard, type Shard } from '@vivarium/conda/shard';
import { inTransaction } from '@vivarium/db/open';
import { type CheckedObjects, type Difference, REBUILD } from '@vivarium/indexing/index-fsck';
import { bitsOf, compareEntries, leavesOf } from './leaves.js';
import { placeKey } from './place.js';
import type { CondaIndexPorts } from './ports.js';
import { RETIRED_FOR_MS } from './retired-shard.js';
import { type ChunksAt, readChunks, readHeads, readShards, type ShardRow } from './stored.js';
import { SubdirIndex } from './subdir-index.js';

const LEAVES_AT_ONCE = 4;

/** The rows of a channel's index against each other and against their objects. */
export async function checkStored(
  ports: CondaIndexPorts,
  channelId: string,
  objects: CheckedObjects,
  repair: boolean,
): Promise<readonly Difference[]> {
  const { shards, chunks, heads, retired } = await readAll(ports, channelId);
  const shardsByPlace = Map.groupBy(shards, ({ place }) => placeKey(place));
  const chunksByPlace = Map.groupBy(chunks, ({ place }) => placeKey(place));
  const differences: Difference[] = [];
  for (const key of new Set([...shardsByPlace.keys(), ...chunksByPlace.keys(), ...heads.keys()])) {
    const here = { shards: shardsByPlace.get(key) ?? [], chunks: chunksByPlace.get(key) ?? [] };
    const place = heads.get(key)?.place ?? here.shards[0]?.place ?? here.chunks[0]?.place;
    if (place === undefined) continue;
    const where = `${place.subdir} of label ${place.label}`;
    differences.push(...(await checkHead(where, place.subdir, here, heads.get(key)?.hash, objects)));
    differences.push(...(await checkLeaves(where, here, objects)));
  }
  return [...differences, ...(await checkRetired(ports, channelId, retired, objects, repair))];
}

interface Retired {
  readonly label: string;
  readonly subdir: string;
  readonly hash: string;
}

function readAll({ pool, clock }: CondaIndexPorts, channelId: string) {
  return inTransaction(
    pool,
    async (tx) => {
      const shards = await readShards(tx, channelId);
      const chunks = await readChunks(tx, channelId);
      const heads = await readHeads(tx, channelId);
      const { rows: retired } = await tx.query<Retired>(
        'SELECT label, subdir, hash FROM retired_shards WHERE channel_id = $1 AND retired_at >= $2',
        [channelId, new Date(clock() - RETIRED_FOR_MS)],
      );
      return { shards, chunks, heads, retired };
    },
    { isolation: 'repeatable read' },
  );
}

interface Here {
  readonly shards: readonly ShardRow[];
  readonly chunks: readonly ChunksAt[];
}

/** A head names the manifest that the rows of its place make, and the manifest is there. */
async function checkHead(
  where: string,
  subdir: string,
  { shards, chunks }: Here,
  hash: string | undefined,
  objects: CheckedObjects,
): Promise<readonly Difference[]> {
  const index = new SubdirIndex(shards, chunks);
  const should = index.size === 0 ? undefined : hashOf(encodeManifest(index.manifest(subdir)));
  if (hash !== undefined) await objects.read('heads', hash, `the manifest of ${where}`);
  if (hash === should) return [];
  const what = `the conda head of ${where} names the manifest ${hash ?? 'none'}, and its rows make ${should ?? 'none'}`;
  return [{ what, remedy: REBUILD, rebuild: true }];
}

/** Every chunk holds exactly the records of the shards of its leaf. */
async function checkLeaves(where: string, { shards, chunks }: Here, objects: CheckedObjects) {
  const differences: Difference[] = [];
  const keyOf = (audienceId: string, prefix: string) => `${audienceId} ${prefix}`;
  const unseen = new Map(chunks.map((each) => [keyOf(each.audienceId, each.prefix), each]));
  for (const [audienceId, rows] of Map.groupBy(shards, ({ audience }) => audience.id)) {
    const entries = rows.map((row) => ({ ...row, bits: bitsOf(row.name) })).sort(compareEntries);
    const leaves = leavesOf(entries);
    for (let at = 0; at < leaves.length; at += LEAVES_AT_ONCE) {
      const some = leaves.slice(at, at + LEAVES_AT_ONCE).map(async ({ prefix, entries: inLeaf }) => {
        const key = keyOf(audienceId, prefix);
        const stored = unseen.get(key);
        unseen.delete(key);
        return checkLeaf(`the names "${prefix}…" of ${audienceId} in ${where}`, inLeaf, stored, objects);
      });
      differences.push(...(await Promise.all(some)).flat());
    }
  }
  for (const { audienceId, prefix } of unseen.values()) {
    const what = `there are chunks of the names "${prefix}…" of ${audienceId} in ${where}, and no such names`;
    differences.push({ what, remedy: REBUILD, rebuild: true });
  }
  return differences;
}

async function checkLeaf(
  where: string,
  entries: readonly ShardRow[],
  stored: ChunksAt | undefined,
  objects: CheckedObjects,
): Promise<readonly Difference[]> {
  const shards: (Shard | undefined)[] = [];
  for (const { hash, name } of entries) {
    const bytes = await objects.read('index', hash, `the shard of ${name} among ${where}`);
    shards.push(bytes === undefined ? undefined : decodeShard(bytes));
  }
  const differences: Difference[] = [];
  for (const [format, recordsOf] of FORMATS) {
    const texts: (string | undefined)[] = [];
    for (const hash of stored?.[format] ?? []) texts.push(await chunkText(objects, hash, where));
    // What cannot be read is a difference already.
    const whole = shards.filter((shard) => shard !== undefined);
    if (whole.length < shards.length || texts.includes(undefined)) continue;
    const should = chunkTextOf(new Map(whole.flatMap((shard) => [...recordsOf(shard)])));
    const has = chunkTextOf(recordsIn(texts.join(',')));
    if (has === should) continue;
    const what = `the chunks of ${where} do not hold the records of its shards (${format}: ${has.length} characters instead of ${should.length})`;
    differences.push({ what, remedy: REBUILD, rebuild: true });
  }
  return differences;
}

const FORMATS = [
  ['tarBz2', ({ packages }: Shard) => packages],
  ['conda', ({ condaPackages }: Shard) => condaPackages],
] as const;

async function chunkText(objects: CheckedObjects, hash: string, where: string): Promise<string | undefined> {
  const bytes = await objects.read('index', hash, `a chunk of ${where}`);
  if (bytes === undefined) return undefined;
  return zstdDecompressSync(bytes, { maxOutputLength: MAX_CHUNK_BYTES }).toString('utf8');
}

/** A chunk is the inside of a JSON object, whose bytes are those that were put. */
function recordsIn(text: string): ReadonlyMap<string, CondaRecord> {
  return new Map(Object.entries(JSON.parse(`{${text}}`) as Readonly<Record<string, CondaRecord>>));
}

/** A superseded shard cannot be made again: its row goes, so that clients are told to read the newer index. */
async function checkRetired(
  { pool }: CondaIndexPorts,
  channelId: string,
  retired: readonly Retired[],
  objects: CheckedObjects,
  repair: boolean,
): Promise<readonly Difference[]> {
  const differences = [...(await objects.differences())];
  for (const { label, subdir, hash } of retired) {
    await objects.read('index', hash, `a superseded shard in ${subdir} of label ${label}`);
    const [wrong] = await objects.differences();
    if (wrong === undefined) continue;
    if (repair) {
      await pool.query(
        'DELETE FROM retired_shards WHERE channel_id = $1 AND label = $2 AND subdir = $3 AND hash = $4',
        [channelId, label, subdir, hash],
      );
    }
    const remedy = 'vivarium fsck --repair forgets it: clients read the newer index';
    differences.push({ what: wrong.what, remedy, repaired: repair });
  }
  return differences;
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
