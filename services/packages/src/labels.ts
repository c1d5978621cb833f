import { Fault } from '@vivarium/fault/fault';
import { ask, type Queryable, type Tx } from './query.js';

/** A file has at most so many. */
export const LABELS_LIMIT = 100;

/** Throws Fault('forbidden') if one of the labels is locked: its set of files cannot change. By labels_pkey. */
export async function requireUnlocked(
  db: Queryable,
  channel: { readonly id: string; readonly login: string },
  labels: readonly string[],
): Promise<void> {
  const [locked] = await ask<{ name: string }>(
    db,
    'SELECT name FROM labels WHERE channel_id = $1 AND name = ANY($2) AND locked ORDER BY name LIMIT 1',
    [channel.id, labels],
  );
  if (locked === undefined) return;
  throw new Fault(
    'forbidden',
    `The label ${locked.name} of ${channel.login} is locked: its files cannot change. Use another label, or let an administrator unlock it.`,
  );
}

/**
 * Attaches labels to files, and gives the ids of those that did not have all of them. Throws Fault('invalid') for a file that
 * would have more than 100: each is an index of its own.
 */
export async function addLabels(
  tx: Tx,
  channelId: string,
  fileIds: readonly string[],
  labels: readonly string[],
): Promise<readonly string[]> {
  await ask(
    tx,
    'INSERT INTO labels (channel_id, name) SELECT $1, name FROM unnest($2::text[]) AS given (name) ON CONFLICT DO NOTHING',
    [channelId, labels],
  );
  const added = await ask<{ id: string }>(
    tx,
    `INSERT INTO file_labels (file_id, channel_id, label)
     SELECT file, $2, name FROM unnest($1::text[]) AS chosen (file), unnest($3::text[]) AS given (name)
     ON CONFLICT DO NOTHING RETURNING file_id AS id`,
    [fileIds, channelId, labels],
  );
  const ids = [...new Set(added.map(({ id }) => id))];
  const [full] = await ask<{ basename: string }>(
    tx,
    `SELECT f.basename FROM files f JOIN file_labels l ON l.file_id = f.id WHERE f.id = ANY($1)
     GROUP BY f.id HAVING count(*) > ${LABELS_LIMIT} LIMIT 1`,
    [ids],
  );
  if (full === undefined) return ids;
  throw new Fault('invalid', `${full.basename} would have more than ${LABELS_LIMIT} labels: remove some first.`);
}
