import { reached } from '@vivarium/boot/step';
import type { inTransaction } from '@vivarium/db/open';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { Place } from './place.js';
import type { ShardRow } from './stored.js';
import type { ChunkRow } from './subdir-index.js';

/** Everything that one fold changes in the tables. */
export interface Moves {
  readonly channelId: string;
  /** What was folded from. */
  readonly from: State;
  /** What is shown from now on. */
  readonly to: State;
  readonly shards: readonly ShardRow[];
  readonly goneShards: readonly ShardRow[];
  readonly retiredShards: readonly ShardRow[];
  readonly chunks: readonly (ChunkRow & { readonly place: Place })[];
  /** All chunks of the channel are given. */
  readonly replacesChunks: boolean;
  /** No hash: nothing is there any more. */
  readonly heads: readonly { readonly place: Place; readonly hash: string | undefined }[];
}

type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];

const ROWS_AT_ONCE = 1_000;

/**
 * Moves all heads of a channel at once, unless they are no longer what was folded from: then nothing changes and it gives
 * false. Every object must have been put before, so that a head never names a missing one.
 */
export async function moveHeads(tx: Tx, moves: Moves, retiredAt: Date): Promise<boolean> {
  const { channelId, from, to } = moves;
  // By states_pkey. Whoever comes second waits here for the first, and then finds another state.
  const { rowCount } = await tx.query(
    `UPDATE states SET generation = $2, rebuilds = $3 WHERE channel_id = $1 AND generation = $4 AND rebuilds = $5`,
    [channelId, to.generation, to.rebuilds, from.generation, from.rebuilds],
  );
  if (rowCount !== 1) return false;
  const write = async (sql: string, rows: readonly object[], ...more: unknown[]): Promise<void> => {
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      await tx.query(sql, [channelId, JSON.stringify(rows.slice(at, at + ROWS_AT_ONCE)), ...more]);
    }
  };
  await write(DELETE_SHARDS, moves.goneShards.map(flatOf));
  await write(PUT_SHARDS, moves.shards.map(flatOf));
  await write(RETIRE_SHARDS, moves.retiredShards.map(flatOf), retiredAt);
  if (moves.replacesChunks) await tx.query('DELETE FROM chunks WHERE channel_id = $1', [channelId]);
  const chunks = moves.chunks.map(({ place, audienceId, prefix, tarBz2, conda }) => {
    return { ...place, audience_id: audienceId, prefix, tar_bz2: tarBz2, conda };
  });
  const isEmpty = ({ tar_bz2, conda }: (typeof chunks)[number]) => tar_bz2.length + conda.length === 0;
  await write(DELETE_CHUNKS, chunks.filter(isEmpty));
  await write(
    PUT_CHUNKS,
    chunks.filter((chunk) => !isEmpty(chunk)),
  );
  const heads = moves.heads.map(({ place, hash }) => ({ ...place, hash }));
  await write(
    DELETE_HEADS,
    heads.filter(({ hash }) => hash === undefined),
  );
  await write(
    PUT_HEADS,
    heads.filter(({ hash }) => hash !== undefined),
    to.generation,
  );
  await reached('swap-before-commit');
  return true;
}

function flatOf({ place, name, packageId, audience, hash, textBytes, newestMs }: ShardRow): object {
  return { ...place, name, package_id: packageId, audience, hash, text_bytes: textBytes, newest_ms: newestMs };
}

// All by the primary keys of their tables.
const DELETE_SHARDS = `DELETE FROM shards USING jsonb_to_recordset($2) AS r(label text, subdir text, name text)
WHERE shards.channel_id = $1 AND shards.label = r.label AND shards.subdir = r.subdir AND shards.name = r.name`;

const PUT_SHARDS = `INSERT INTO shards
(channel_id, label, subdir, name, package_id, audience_id, audience, shard_hash, text_bytes, newest_ms)
SELECT $1, label, subdir, name, package_id, audience->>'id', audience, hash, text_bytes, newest_ms
FROM jsonb_to_recordset($2) AS r(label text, subdir text, name text, package_id text, audience jsonb, hash text,
  text_bytes bigint, newest_ms bigint)
ON CONFLICT (channel_id, label, subdir, name) DO UPDATE SET package_id = excluded.package_id,
  audience_id = excluded.audience_id, audience = excluded.audience, shard_hash = excluded.shard_hash,
  text_bytes = excluded.text_bytes, newest_ms = excluded.newest_ms`;

const RETIRE_SHARDS = `INSERT INTO retired_shards (channel_id, label, subdir, hash, package_id, name, retired_at)
SELECT $1, label, subdir, hash, package_id, name, $3::timestamptz
FROM jsonb_to_recordset($2) AS r(label text, subdir text, hash text, package_id text, name text)
ON CONFLICT (channel_id, label, subdir, hash) DO UPDATE SET package_id = excluded.package_id, name = excluded.name,
  retired_at = excluded.retired_at`;

const DELETE_CHUNKS = `DELETE FROM chunks
USING jsonb_to_recordset($2) AS r(label text, subdir text, audience_id text, prefix text)
WHERE chunks.channel_id = $1 AND chunks.label = r.label AND chunks.subdir = r.subdir
  AND chunks.audience_id = r.audience_id AND chunks.prefix = r.prefix`;

const PUT_CHUNKS = `INSERT INTO chunks (channel_id, label, subdir, audience_id, prefix, tar_bz2, conda)
SELECT $1, label, subdir, audience_id, prefix, tar_bz2, conda
FROM jsonb_to_recordset($2) AS r(label text, subdir text, audience_id text, prefix text, tar_bz2 text[], conda text[])
ON CONFLICT (channel_id, label, subdir, audience_id, prefix) DO UPDATE SET tar_bz2 = excluded.tar_bz2, conda = excluded.conda`;

const DELETE_HEADS = `DELETE FROM heads USING jsonb_to_recordset($2) AS r(label text, subdir text)
WHERE heads.channel_id = $1 AND heads.label = r.label AND heads.subdir = r.subdir`;

const PUT_HEADS = `INSERT INTO heads (channel_id, label, subdir, manifest_hash, generation)
SELECT $1, label, subdir, hash, $3::bigint FROM jsonb_to_recordset($2) AS r(label text, subdir text, hash text)
ON CONFLICT (channel_id, label, subdir) DO UPDATE SET manifest_hash = excluded.manifest_hash, generation = excluded.generation`;
