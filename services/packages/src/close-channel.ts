import { randomBytes } from 'node:crypto';
import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { raiseFloor } from './next-generation.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';

export interface ClosingChannel {
  readonly id: string;
  readonly login: string;
  readonly deletePackages: boolean;
}

/**
 * Closes the channel of an organization for ever and gives how many packages were deleted with it. Nothing enters it
 * afterwards: every change of a channel begins with its lock and does not find it. Does nothing for one that is closed.
 * Throws Fault('conflict') if packages remain that shall not be deleted, or if a label is locked.
 */
export async function closeChannel(
  tx: Tx,
  ports: PackagesPorts,
  actor: Caller,
  { id, login, deletePackages }: ClosingChannel,
): Promise<number> {
  // A channel whose row nobody needed yet must not be made later.
  await ask(
    tx,
    "INSERT INTO channels (id, login, kind, incarnation) VALUES ($1, $2, 'organization', $3) ON CONFLICT DO NOTHING",
    [id, login, randomBytes(12).toString('hex')],
  );
  const [channel] = await ask<{ closedAt: Date | null }>(
    tx,
    'SELECT closed_at AS "closedAt" FROM channels WHERE id = $1 FOR UPDATE',
    [id],
  );
  if (channel === undefined) throw new Fault('internal', 'Something went wrong on our side.');
  if (channel.closedAt !== null) return 0;
  const names = await namesIn(tx, id);
  if (names.length > 0) {
    if (!deletePackages) throw holdsPackages(login, names);
    await refuseLocked(tx, id, login);
  }
  const generation = await closedGeneration(tx, id);
  const removed = names.length === 0 ? 0 : await removeAll(tx, id, generation);
  await raiseFloor(tx, ports.blobs, id, generation);
  await ports.invalidations.add(tx, [{ tag: `channel:${id}`, version: generation }]);
  // That the organization is deleted is written with its account; here is only what went with it.
  if (removed > 0) {
    const before = { packages: removed, first: names };
    const entry = { actor, action: 'channel.delete_packages', ownerId: id, resource: login, before };
    await addAudit(tx, entry, ports.clock());
  }
  return removed;
}

const NAMED = 5;

/** The first few packages, by packages_name. */
async function namesIn(tx: Tx, channelId: string): Promise<readonly string[]> {
  const rows = await ask<{ name: string }>(
    tx,
    `SELECT name FROM packages WHERE channel_id = $1 AND removed_at IS NULL ORDER BY name LIMIT ${NAMED}`,
    [channelId],
  );
  return rows.map(({ name }) => name);
}

async function refuseLocked(tx: Tx, channelId: string, login: string): Promise<void> {
  // By labels_pkey and file_labels_label.
  const [locked] = await ask<{ name: string }>(
    tx,
    `SELECT name FROM labels l WHERE channel_id = $1 AND locked AND EXISTS (
       SELECT 1 FROM file_labels fl JOIN files f ON f.id = fl.file_id
       WHERE fl.channel_id = l.channel_id AND fl.label = l.name AND f.removed_at IS NULL) ORDER BY name LIMIT 1`,
    [channelId],
  );
  if (locked === undefined) return;
  throw new Fault(
    'conflict',
    `The label ${locked.name} of ${login} is locked: its files cannot change. Unlock it first.`,
  );
}

async function closedGeneration(tx: Tx, channelId: string): Promise<number> {
  const [row] = await ask<{ generation: string }>(
    tx,
    `UPDATE channels SET generation = generation + 1, changed_at = clock_timestamp(), closed_at = clock_timestamp()
     WHERE id = $1 RETURNING generation`,
    [channelId],
  );
  return Number(row?.generation);
}

/**
 * Removes everything, in sets. The indexers fold all names once more, to nothing. Nobody is told of each package: the news
 * that the channel has changed is enough, since nothing is looked up in a channel that is not found.
 */
async function removeAll(tx: Tx, channelId: string, generation: number): Promise<number> {
  // By changes_pkey: every name that an index ever held is in there.
  await ask(tx, 'UPDATE changes SET generation = $2 WHERE channel_id = $1', [channelId, generation]);
  // By files_basename, releases_version and packages_name.
  await ask(tx, 'UPDATE files SET removed_at = now() WHERE channel_id = $1 AND removed_at IS NULL', [channelId]);
  await ask(
    tx,
    `UPDATE releases r SET removed_at = now() FROM packages p
     WHERE p.channel_id = $1 AND r.package_id = p.id AND r.removed_at IS NULL`,
    [channelId],
  );
  const [counted] = await ask<{ count: number }>(
    tx,
    `WITH gone AS (UPDATE packages SET removed_at = now(), touched = $2 WHERE channel_id = $1 AND removed_at IS NULL RETURNING 1)
     SELECT count(*)::int AS count FROM gone`,
    [channelId, generation],
  );
  return counted?.count ?? 0;
}

function holdsPackages(login: string, names: readonly string[]): Fault {
  const which = `${names.join(', ')}${names.length === NAMED ? ' and perhaps more' : ''}`;
  return new Fault(
    'conflict',
    `${login} still holds packages: ${which}. Delete or transfer them first, or say that they shall go with it ("delete_packages": true).`,
  );
}
