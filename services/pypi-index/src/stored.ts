import { type Audience, isAudience } from '@vivarium/access/audience';
import type { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { ProjectPages } from '@vivarium/pypi/manifest';
import { LabelIndex } from './label-index.js';
import type { PypiIndexPorts } from './ports.js';

type Pool = Pick<PypiIndexPorts['pool'], 'query'> | Pick<Tx, 'query'>;
type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];

/** A row of `projects`. */
export interface ProjectRow {
  readonly label: string;
  readonly name: string;
  readonly packageId: string;
  readonly audience: Audience;
  readonly pages: ProjectPages;
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

/** Label → its manifest's hash. By heads_pkey. */
export async function readHeads(pool: Pool, channelId: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await pool.query<{ label: string; manifest_hash: string }>(
    'SELECT label, manifest_hash FROM heads WHERE channel_id = $1',
    [channelId],
  );
  return new Map(rows.map(({ label, manifest_hash }) => [label, manifest_hash]));
}

const COLUMNS = 'label, name, package_id, audience, json_hash, json_gzip_hash, html_hash, html_gzip_hash';

/** Where some projects are, or all of them. By projects_channel_id_name_idx, all by projects_pkey. */
export async function readProjects(
  pool: Pool,
  channelId: string,
  names?: readonly string[],
): Promise<readonly ProjectRow[]> {
  const { rows } = await pool.query<Row>(
    `SELECT ${COLUMNS} FROM projects WHERE channel_id = $1 ${names === undefined ? '' : 'AND name = ANY($2)'}`,
    names === undefined ? [channelId] : [channelId, names],
  );
  return projectRowsOf(rows);
}

/** One label as it was stored. By projects_pkey. */
export async function readLabel(pool: Pool, channelId: string, label: string): Promise<LabelIndex> {
  const { rows } = await pool.query<Row>(`SELECT ${COLUMNS} FROM projects WHERE channel_id = $1 AND label = $2`, [
    channelId,
    label,
  ]);
  return new LabelIndex(projectRowsOf(rows));
}

interface Row {
  readonly label: string;
  readonly name: string;
  readonly package_id: string;
  readonly audience: { readonly id: string };
  readonly json_hash: string;
  readonly json_gzip_hash: string;
  readonly html_hash: string;
  readonly html_gzip_hash: string;
}

function projectRowsOf(rows: readonly Row[]): readonly ProjectRow[] {
  // Few audiences, many projects: each is looked at once.
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
    label: row.label,
    name: row.name,
    packageId: row.package_id,
    audience: audienceIn(row),
    pages: {
      json: row.json_hash,
      jsonGzip: row.json_gzip_hash,
      html: row.html_hash,
      htmlGzip: row.html_gzip_hash,
    },
  }));
}
