import { reached } from '@vivarium/boot/step';
import type { inTransaction } from '@vivarium/db/open';
import type { State } from '@vivarium/indexing/channel-indexer';
import type { ProjectRow } from './stored.js';

/** Everything that one fold changes in the tables. */
export interface Moves {
  readonly channelId: string;
  /** What was folded from. */
  readonly from: State;
  /** What is shown from now on. */
  readonly to: State;
  readonly projects: readonly ProjectRow[];
  readonly goneProjects: readonly ProjectRow[];
  /** No hash: nothing is there any more. */
  readonly heads: readonly { readonly label: string; readonly hash: string | undefined }[];
}

type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];

const ROWS_AT_ONCE = 1_000;

/**
 * Moves all heads of a channel at once, unless they are no longer what was folded from: then nothing changes and it gives
 * false. Every object must have been put before, so that a head never names a missing one.
 */
export async function moveHeads(tx: Tx, { channelId, from, to, ...moves }: Moves): Promise<boolean> {
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
  await write(DELETE_PROJECTS, moves.goneProjects.map(flatOf));
  await write(PUT_PROJECTS, moves.projects.map(flatOf));
  await write(
    DELETE_HEADS,
    moves.heads.filter(({ hash }) => hash === undefined),
  );
  await write(
    PUT_HEADS,
    moves.heads.filter(({ hash }) => hash !== undefined),
    to.generation,
  );
  await reached('swap-before-commit');
  return true;
}

function flatOf({ label, name, packageId, audience, pages }: ProjectRow): object {
  const { json, jsonGzip, html, htmlGzip } = pages;
  return { label, name, package_id: packageId, audience, json, json_gzip: jsonGzip, html, html_gzip: htmlGzip };
}

// All by the primary keys of their tables.
const DELETE_PROJECTS = `DELETE FROM projects USING jsonb_to_recordset($2) AS r(label text, name text)
WHERE projects.channel_id = $1 AND projects.label = r.label AND projects.name = r.name`;

const PUT_PROJECTS = `INSERT INTO projects
(channel_id, label, name, package_id, audience_id, audience, json_hash, json_gzip_hash, html_hash, html_gzip_hash)
SELECT $1, label, name, package_id, audience->>'id', audience, json, json_gzip, html, html_gzip
FROM jsonb_to_recordset($2) AS r(label text, name text, package_id text, audience jsonb, json text, json_gzip text,
  html text, html_gzip text)
ON CONFLICT (channel_id, label, name) DO UPDATE SET package_id = excluded.package_id,
  audience_id = excluded.audience_id, audience = excluded.audience, json_hash = excluded.json_hash,
  json_gzip_hash = excluded.json_gzip_hash, html_hash = excluded.html_hash, html_gzip_hash = excluded.html_gzip_hash`;

const DELETE_HEADS = `DELETE FROM heads USING jsonb_to_recordset($2) AS r(label text)
WHERE heads.channel_id = $1 AND heads.label = r.label`;

const PUT_HEADS = `INSERT INTO heads (channel_id, label, manifest_hash, generation)
SELECT $1, label, hash, $3::bigint FROM jsonb_to_recordset($2) AS r(label text, hash text)
ON CONFLICT (channel_id, label) DO UPDATE SET manifest_hash = excluded.manifest_hash, generation = excluded.generation`;
