import { randomUUID } from 'node:crypto';
import { audienceOf } from '@vivarium/access/audience';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import { type Actor, type Reader, readablePackage } from './actor.js';
import { nextGeneration, raiseFloor } from './next-generation.js';
import { findPackage, namesOf, type PackageRow, readPackageById } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { indexNamesOf } from './remove.js';
import { requireCreate, requireRight } from './rights.js';

/** The two sides of a transfer, in locked channels, as they are today. */
export interface TransferSides {
  /** What of the first channel is there for the asker. */
  readonly reader: Reader;
  readonly source: Actor;
  readonly target: Actor;
}

/** A package in its new channel, and the generations that have it: that it left, and that it came to. */
export interface Transferred {
  readonly row: PackageRow;
  readonly left: number;
  readonly came: number;
  readonly kinds: readonly string[];
}

/**
 * Moves a package with its releases, files, labels and downloads into another channel. It gets a new id there: whatever
 * remembers the old one, a grant, a shard that was replaced, an upload under way, leads to nothing from now on, which is
 * also why nothing of it is kept for the caches of the old channel. Visibility stays, for nobody but the new owners until
 * they grant it. Throws Fault('conflict') with what is in the way.
 */
export async function transferPackage(
  tx: Tx,
  ports: PackagesPorts,
  sides: TransferSides,
  name: string,
): Promise<Transferred> {
  const { reader, source, target } = sides;
  const row = readablePackage(reader, await findPackage(tx, source.channel.id, name), name);
  requireTransfer(source, target, row);
  await refuseLocked(tx, sides, row);
  await refuseTaken(tx, sides, row);
  await forgetRemoved(tx, row);
  const kinds = await kindsOf(tx, row);
  const names = indexNamesOf(row, kinds);
  const left = await nextGeneration(tx, ports.invalidations, source.channel.id, { packageIds: [row.id], names });
  const id = await moveRows(tx, target.channel.id, row);
  // Ids of files ascend with the generation: what is uploaded to the package next must come after what it holds.
  await ask(tx, 'UPDATE channels SET generation = greatest(generation, $2) WHERE id = $1', [target.channel.id, left]);
  const came = await nextGeneration(tx, ports.invalidations, target.channel.id, { packageIds: [id], names });
  // Also of a public package: its old address is that of a missing one, not that of one that is cached.
  await raiseFloor(tx, ports.blobs, source.channel.id, left);
  const moved = await readPackageById(tx, id);
  if (moved === undefined) throw new Error('a package that was moved is not there');
  await addAudit(
    tx,
    {
      ...actingOf(source),
      action: 'package.transfer',
      otherOwnerId: target.channel.id,
      resource: `${source.channel.login}/${row.name}`,
      before: { channel: source.channel.login, grants: row.grants.length },
      after: { channel: target.channel.login, visibility: row.visibility },
    },
    ports.clock(),
  );
  return { row: moved, left, came, kinds };
}

/** Throws unless the actor may take the package out of the one channel and put it into the other. */
export function requireTransfer(source: Actor, target: Actor, row: PackageRow): void {
  requireRight(source, row, 'admin', { use: 'api' });
  for (const name of namesOf(row)) requireCreate(target, name, 'api');
  if (source.channel.id !== target.channel.id) return;
  throw new Fault('invalid', `${row.name} is in ${target.channel.login} already: name another account.`);
}

/** By file_labels_pkey and labels_pkey. */
async function refuseLocked(tx: Tx, { source, target }: TransferSides, row: PackageRow): Promise<void> {
  const [locked] = await ask<{ name: string; channelId: string }>(
    tx,
    `SELECT l.name, l.channel_id AS "channelId" FROM labels l
     WHERE l.channel_id IN ($2, $3) AND l.locked AND l.name IN (
       SELECT fl.label FROM files f JOIN file_labels fl ON fl.file_id = f.id WHERE f.package_id = $1 AND f.removed_at IS NULL)
     ORDER BY l.channel_id = $2 DESC, l.name LIMIT 1`,
    [row.id, source.channel.id, target.channel.id],
  );
  if (locked === undefined) return;
  const { login } = locked.channelId === source.channel.id ? source.channel : target.channel;
  throw new Fault(
    'conflict',
    `The label ${locked.name} of ${login} is locked, and a transfer of ${row.name} would change its files: let an administrator unlock it first.`,
  );
}

/** By packages_name, packages_pypi_name and files_name. */
async function refuseTaken(tx: Tx, { target }: TransferSides, row: PackageRow): Promise<void> {
  const { id, login } = target.channel;
  const [taker] = await ask<{ name: string }>(
    tx,
    `SELECT name FROM packages WHERE channel_id = $1 AND removed_at IS NULL AND (name = $2 OR pypi_name = $3)
     ORDER BY name = $2 DESC LIMIT 1`,
    [id, row.name, row.pypiName],
  );
  if (taker?.name === row.name) throw taken(`There is a package ${row.name} in ${login} already`);
  if (taker !== undefined) throw taken(`${login}/${taker.name} holds the Python project ${row.pypiName} already`);
  const [file] = await ask<{ basename: string }>(
    tx,
    `SELECT f.basename FROM files f JOIN files t ON t.channel_id = $2 AND t.basename = f.basename
       AND t.removed_at IS NULL AND t.kind IN ('conda', 'pypi')
     WHERE f.package_id = $1 AND f.removed_at IS NULL AND f.kind IN ('conda', 'pypi') ORDER BY f.basename LIMIT 1`,
    [row.id, id],
  );
  if (file !== undefined) throw taken(`There is a file ${file.basename} in ${login} already`);
}

function taken(what: string): Fault {
  return new Fault('conflict', `${what}: delete it there first, or choose another channel.`);
}

/** What was removed shortly before answers at its address for a while. That address is the old owner's, so it ends here. */
async function forgetRemoved(tx: Tx, row: PackageRow): Promise<void> {
  await ask(tx, 'DELETE FROM files WHERE package_id = $1 AND removed_at IS NOT NULL', [row.id]);
  await ask(tx, 'DELETE FROM releases WHERE package_id = $1 AND removed_at IS NOT NULL', [row.id]);
}

async function kindsOf(tx: Tx, row: PackageRow): Promise<readonly string[]> {
  const kinds = await ask<{ kind: string }>(tx, 'SELECT DISTINCT kind FROM files WHERE package_id = $1 ORDER BY kind', [
    row.id,
  ]);
  return kinds.map(({ kind }) => kind);
}

/** Gives the id of the package's row in the other channel. The old one ends, and with it its grants. */
async function moveRows(tx: Tx, channelId: string, row: PackageRow): Promise<string> {
  const id = randomUUID();
  const audience = audienceOf({ visibility: row.visibility, grants: [] });
  await ask(
    tx,
    `INSERT INTO packages (id, channel_id, name, pypi_name, visibility, audience_id, audience, summary, attributes, created_at)
     SELECT $2, $3, name, pypi_name, visibility, $4, $5, summary, attributes, created_at FROM packages WHERE id = $1`,
    [row.id, id, channelId, audience.id, JSON.stringify(audience)],
  );
  await ask(
    tx,
    `INSERT INTO labels (channel_id, name)
     SELECT DISTINCT $2, fl.label FROM files f JOIN file_labels fl ON fl.file_id = f.id WHERE f.package_id = $1
     ON CONFLICT DO NOTHING`,
    [row.id, channelId],
  );
  // One statement each, by files_package and releases_version: the cost is in files of this package.
  await ask(
    tx,
    `UPDATE file_labels fl SET channel_id = $2 FROM files f WHERE f.package_id = $1 AND fl.file_id = f.id`,
    [row.id, channelId],
  );
  await ask(tx, 'UPDATE releases SET package_id = $2 WHERE package_id = $1', [row.id, id]);
  await ask(tx, 'UPDATE files SET package_id = $2, channel_id = $3 WHERE package_id = $1', [row.id, id, channelId]);
  await ask(tx, 'DELETE FROM packages WHERE id = $1', [row.id]);
  return id;
}
