import { Fault } from '@vivarium/fault/fault';
import { ask, type Queryable, type Tx } from './query.js';

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

/** Attaches labels to a file, and gives how many it did not have. */
export async function addLabels(tx: Tx, channelId: string, fileId: string, labels: readonly string[]): Promise<number> {
  await ask(
    tx,
    'INSERT INTO labels (channel_id, name) SELECT $1, name FROM unnest($2::text[]) AS given (name) ON CONFLICT DO NOTHING',
    [channelId, labels],
  );
  const added = await ask(
    tx,
    `INSERT INTO file_labels (file_id, channel_id, label) SELECT $1, $2, name FROM unnest($3::text[]) AS given (name)
     ON CONFLICT DO NOTHING RETURNING 1`,
    [fileId, channelId, labels],
  );
  return added.length;
}
