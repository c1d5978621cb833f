import { type Audience, isAudience } from '@vivarium/access/audience';
import type { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { State } from '@vivarium/indexing/channel-indexer';
import { type Place, placeKey } from './place.js';
import type { CondaIndexPorts } from './ports.js';
import { type ChunkRow, SubdirIndex } from './subdir-index.js';

type Pool = Pick<CondaIndexPorts['pool'], 'query'> | Pick<Tx, 'query'>;
type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];

/** A row of `shards`. */
export interface ShardRow {
  readonly place: Place;
  readonly name: string;
  readonly packageId: string;
  readonly audience: Audience;
  readonly hash: string;
  readonly textBytes: number;
  readonly newestMs: number;
}

/** The state of a channel, which begins at generation 0. */
export async function readState(pool: Pool, channelId: string): Promise<State> {
  const read = 'SELECT generation, rebuilds FROM states WHERE channel_id = $1';
  const { rows } = await pool.query<{ generation: string; rebuilds: string }>(read, [channelId]);
  const [row] = rows;
  if (row !== undefined) return { generation: Number(row.generation), rebuilds: Number(row.rebuilds) };
  await pool.query('INSERT INTO states (channel_id, generation) VALUES ($1, 0) ON CONFLICT DO NOTHING', [channelId]);
  return readState(pool, channelId);
}

/** Channel id → generation that its index shows. By states_pkey. */
export async function readGenerations(pool: Pool, channelIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query<{ channel_id: string; generation: string }>(
    'SELECT channel_id, generation FROM states WHERE channel_id = ANY($1)',
    [channelIds],
  );
  return new Map(rows.map(({ channel_id, generation }) => [channel_id, Number(generation)]));
}

/** Place → its manifest's hash. By heads_pkey. */
export async function readHeads(
  pool: Pool,
  channelId: string,
): Promise<ReadonlyMap<string, { readonly place: Place; readonly hash: string }>> {
  const { rows } = await pool.query<{ label: string; subdir: string; manifest_hash: string }>(
    'SELECT label, subdir, manifest_hash FROM heads WHERE channel_id = $1',
    [channelId],
  );
  return new Map(
    rows.map(({ label, subdir, manifest_hash }) => [
      placeKey({ label, subdir }),
      { place: { label, subdir }, hash: manifest_hash },
    ]),
  );
}

/** Where some names are, or all of them. By shards_channel_id_name_idx, all by shards_pkey. */
export async function readShards(
  pool: Pool,
  channelId: string,
  names?: readonly string[],
): Promise<readonly ShardRow[]> {
  const { rows } = await pool.query<Row>(
    `SELECT label, subdir, name, package_id, audience, shard_hash, text_bytes, newest_ms FROM shards
     WHERE channel_id = $1 ${names === undefined ? '' : 'AND name = ANY($2)'}`,
    names === undefined ? [channelId] : [channelId, names],
  );
  return shardRowsOf(rows);
}

/** The chunks of one leaf in one directory. */
export interface ChunksAt extends ChunkRow {
  readonly place: Place;
}

/** All chunks of a channel. By chunks_pkey. */
export async function readChunks(pool: Pool, channelId: string): Promise<readonly ChunksAt[]> {
  const { rows } = await pool.query<{
    label: string;
    subdir: string;
    audience_id: string;
    prefix: string;
    tar_bz2: string[];
    conda: string[];
  }>('SELECT label, subdir, audience_id, prefix, tar_bz2, conda FROM chunks WHERE channel_id = $1', [channelId]);
  return rows.map(({ label, subdir, audience_id, prefix, tar_bz2, conda }) => {
    return { place: { label, subdir }, audienceId: audience_id, prefix, tarBz2: tar_bz2, conda };
  });
}

/** One directory as it was stored. By shards_pkey and chunks_pkey. */
export async function readSubdir(pool: Pool, channelId: string, { label, subdir }: Place): Promise<SubdirIndex> {
  const where = [channelId, label, subdir];
  const [shards, chunks] = await Promise.all([
    pool.query<Row>(
      `SELECT label, subdir, name, package_id, audience, shard_hash, text_bytes, newest_ms FROM shards
       WHERE channel_id = $1 AND label = $2 AND subdir = $3`,
      where,
    ),
    pool.query<{ audience_id: string; prefix: string; tar_bz2: string[]; conda: string[] }>(
      'SELECT audience_id, prefix, tar_bz2, conda FROM chunks WHERE channel_id = $1 AND label = $2 AND subdir = $3',
      where,
    ),
  ]);
  return new SubdirIndex(
    shardRowsOf(shards.rows),
    chunks.rows.map(({ audience_id, prefix, tar_bz2, conda }) => {
      return { audienceId: audience_id, prefix, tarBz2: tar_bz2, conda };
    }),
  );
}

interface Row {
  readonly label: string;
  readonly subdir: string;
  readonly name: string;
  readonly package_id: string;
  readonly audience: { readonly id: string };
  readonly shard_hash: string;
  readonly text_bytes: string;
  readonly newest_ms: string;
}

function shardRowsOf(rows: readonly Row[]): readonly ShardRow[] {
  // Few audiences, many names: each is looked at once.
  const audiences = new Map<string, Audience>();
  const audienceIn = ({ audience }: Row): Audience => {
    const known = audiences.get(audience.id);
    if (known !== undefined) return known;
    if (!isAudience(audience))
      throw new Fault('internal', 'A stored audience is none. Rebuild the index of its channel.');
    audiences.set(audience.id, audience);
    return audience;
  };
  return rows.map((row) => ({
    place: { label: row.label, subdir: row.subdir },
    name: row.name,
    packageId: row.package_id,
    audience: audienceIn(row),
    hash: row.shard_hash,
    textBytes: Number(row.text_bytes),
    newestMs: Number(row.newest_ms),
  }));
}
