import { decide } from '@vivarium/access/decide';
import { belongs } from '@vivarium/access/view';
import { Fault } from '@vivarium/fault/fault';
import { isReadable, type Reader, viewOfReader } from './actor.js';
import { type FileRow, readLabelledFiles } from './file-row.js';
import { readPackages } from './package-row.js';
import { ask, type Queryable } from './query.js';
import { missing } from './remove.js';
import { channelFactsOf } from './rights.js';

export interface LabelRow {
  readonly name: string;
  readonly locked: boolean;
  /** Those that the reader sees. */
  readonly files: number;
}

const LABELS_MAX = 10_000;

/**
 * The labels of a channel that hold a file which the reader sees, and for those who administer it also locked ones that
 * hold nothing. By packages_shown and file_labels_pkey.
 */
export async function labelsOf(db: Queryable, reader: Reader): Promise<readonly LabelRow[]> {
  const { channel } = reader;
  refuseCut(reader);
  const [packageIds, audiences] = [await seenByGlobs(db, reader), audiencesOf(reader)];
  const rows = await ask<{ name: string; locked: boolean; files: string }>(
    db,
    `SELECT l.name, l.locked, coalesce(seen.files, 0) AS files FROM labels l
     LEFT JOIN (
       SELECT fl.label, count(*) AS files
       FROM packages p JOIN files f ON f.package_id = p.id AND f.removed_at IS NULL
         JOIN file_labels fl ON fl.file_id = f.id
       WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.audience_id = ANY($2)
         AND ($3::text[] IS NULL OR p.id = ANY($3))
       GROUP BY fl.label) seen ON seen.label = l.name
     WHERE l.channel_id = $1 AND (seen.files > 0 OR ($4 AND l.locked))
     ORDER BY l.name LIMIT ${LABELS_MAX}`,
    [channel.id, audiences, packageIds, administers(reader)],
  );
  return rows.map(({ name, locked, files }) => ({ name, locked, files: Number(files) }));
}

/** The files under a label that the reader sees, after one of them. Throws Fault('not_found') if there is none at all. */
export async function showLabel(
  db: Queryable,
  reader: Reader,
  label: string,
  afterFile: string,
): Promise<{ readonly locked: boolean; readonly files: readonly FileRow[]; readonly more: boolean }> {
  refuseCut(reader);
  const { channel } = reader;
  const [row] = await ask<{ locked: boolean }>(db, 'SELECT locked FROM labels WHERE channel_id = $1 AND name = $2', [
    channel.id,
    label,
  ]);
  const packageIds = await seenByGlobs(db, reader);
  const page = await readLabelledFiles(db, {
    channelId: channel.id,
    label,
    audiences: audiencesOf(reader),
    packageIds,
    after: afterFile,
  });
  const isThere = page.files.length > 0 || afterFile !== '' || (row?.locked === true && administers(reader));
  if (row === undefined || !isThere) throw missing(`label "${label}" of ${channel.login}`);
  return { locked: row.locked, ...page };
}

function audiencesOf(reader: Reader): readonly string[] {
  const view = viewOfReader(reader);
  return reader.channel.audiences.filter((audience) => belongs(view, audience)).map(({ id }) => id);
}

/** A token that is cut off here is told so, instead of being shown less. */
function refuseCut({ admission }: Reader): void {
  if (admission.kind === 'deny') throw new Fault(admission.code, admission.reason);
}

/** The packages that a token's globs leave, as far as they matter; null where there are none. */
async function seenByGlobs(db: Queryable, reader: Reader): Promise<readonly string[] | null> {
  if (viewOfReader(reader).globs === undefined) return null;
  const rows = await readPackages(db, reader.channel.id);
  return rows.filter((row) => isReadable(reader, row)).map(({ id }) => id);
}

function administers({ caller, standing, channel }: Reader): boolean {
  const facts = { standing, channel: channelFactsOf(channel) };
  return decide(caller, facts, 'admin', { kind: 'channel', use: 'api' }).allow;
}
