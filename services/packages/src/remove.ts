import { decide } from '@vivarium/access/decide';
import type { FileKind } from '@vivarium/access/scope';
import { type AuditFacts, addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import type { Actor } from './actor.js';
import type { FileRow } from './file-row.js';
import { requireUnlocked } from './labels.js';
import { nextGeneration } from './next-generation.js';
import type { PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import type { ReleaseRow } from './release-row.js';
import { requireRight } from './rights.js';

/** A change that is made, to be waited for. */
export interface Removal {
  readonly generation: number;
  readonly kinds: readonly string[];
}

/** What of a file decides who may take it away. */
type Removable = Pick<FileRow, 'kind' | 'labels' | 'basename'>;

interface Removed {
  readonly id: string;
  readonly kind: string;
}

/** Removes one file: its name is free at once, its URL answers for seven days more. The release and the package stay. */
export async function removeFile(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  row: PackageRow,
  file: FileRow,
): Promise<Removal> {
  const { kind, labels, basename } = file;
  requireRemoval(actor, row, file);
  await requireUnlocked(tx, actor.channel, labels);
  await ask(tx, 'UPDATE files SET removed_at = now() WHERE id = $1', [file.id]);
  const entry = {
    action: 'file.remove',
    place: `${file.version}/${basename}`,
    before: { sha256: file.sha256, labels },
  };
  return removed(tx, ports, actor, row, [kind], entry);
}

/** Throws unless the actor may take the file away, as `requireRight` does. */
export function requireRemoval(actor: Actor, row: PackageRow, file: Removable): void {
  const { kind, labels, basename } = file;
  const subdir = kind === 'conda' ? basename.slice(0, basename.indexOf('/')) : undefined;
  // The kind of a row is one of the eight, by its CHECK.
  requireRight(actor, row, 'write', { use: `upload:${kind as FileKind}`, labels, subdir });
}

/** Removes a release and its files. */
export async function removeRelease(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  row: PackageRow,
  release: ReleaseRow,
): Promise<Removal> {
  requireRight(actor, row, 'write', { use: 'upload' });
  // A token may be limited to a part of the files, and takes none of the others along.
  for (const file of await readRemovable(tx, release.id)) requireRemoval(actor, row, file);
  const files = await removeFiles(tx, actor, 'release_id', release.id);
  await ask(tx, 'UPDATE releases SET removed_at = now() WHERE id = $1', [release.id]);
  return removed(
    tx,
    ports,
    actor,
    row,
    files.map(({ kind }) => kind),
    { action: 'release.remove', place: release.version, before: { files: files.length } },
  );
}

/**
 * Removes a package with all it holds. Its row stays for a while, to say who could read what is still linked to; one that
 * is made anew under the name is another package, with no grants of the former. An empty package may be removed by
 * whoever may create one: clients do so after an upload that failed.
 */
export async function removePackage(tx: Tx, ports: PackagesPorts, actor: Actor, row: PackageRow): Promise<Removal> {
  const files = await removeFiles(tx, actor, 'package_id', row.id);
  if (files.length > 0 || !mayCreate(actor, row)) requireRight(actor, row, 'admin', { use: 'api' });
  await ask(tx, 'UPDATE releases SET removed_at = now() WHERE package_id = $1 AND removed_at IS NULL', [row.id]);
  const removal = await removed(
    tx,
    ports,
    actor,
    row,
    files.map(({ kind }) => kind),
    { action: 'package.remove', place: '', before: { visibility: row.visibility, files: files.length } },
  );
  await ask(tx, 'UPDATE packages SET removed_at = now() WHERE id = $1', [row.id]);
  return removal;
}

/** By files_release and file_labels_pkey. */
async function readRemovable(tx: Tx, releaseId: string): Promise<readonly Removable[]> {
  return ask<Removable>(
    tx,
    `SELECT f.kind, f.basename, coalesce((SELECT jsonb_agg(l.label) FROM file_labels l WHERE l.file_id = f.id), '[]') AS labels
     FROM files f WHERE f.release_id = $1 AND f.removed_at IS NULL`,
    [releaseId],
  );
}

async function removeFiles(
  tx: Tx,
  actor: Actor,
  column: 'release_id' | 'package_id',
  id: string,
): Promise<readonly Removed[]> {
  const labels = await ask<{ label: string }>(
    tx,
    `SELECT DISTINCT l.label FROM file_labels l JOIN files f ON f.id = l.file_id WHERE f.${column} = $1 AND f.removed_at IS NULL`,
    [id],
  );
  await requireUnlocked(
    tx,
    actor.channel,
    labels.map(({ label }) => label),
  );
  return ask<Removed>(
    tx,
    `UPDATE files SET removed_at = now() WHERE ${column} = $1 AND removed_at IS NULL RETURNING id, kind`,
    [id],
  );
}

async function removed(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  row: PackageRow,
  kinds: readonly string[],
  event: { readonly action: string; readonly place: string; readonly before: AuditFacts },
): Promise<Removal> {
  const { action, place, before } = event;
  const resource = `${actor.channel.login}/${row.name}${place === '' ? '' : `/${place}`}`;
  await addAudit(tx, { ...actingOf(actor), action, resource, before }, ports.clock());
  const generation = await nextGeneration(tx, ports.invalidations, actor.channel.id, {
    packageIds: [row.id],
    names: indexNamesOf(row, kinds),
  });
  return { generation, kinds: [...new Set(kinds)] };
}

/** The names under which indexes know the package, of these kinds. */
export function indexNamesOf(
  row: Pick<PackageRow, 'name' | 'pypiName'>,
  kinds: readonly string[],
): readonly { readonly kind: 'conda' | 'pypi'; readonly name: string }[] {
  return [
    ...(kinds.includes('conda') ? [{ kind: 'conda', name: row.name } as const] : []),
    ...(kinds.includes('pypi') && row.pypiName !== null ? [{ kind: 'pypi', name: row.pypiName } as const] : []),
  ];
}

function mayCreate(actor: Actor, row: PackageRow): boolean {
  const { channel, standing, caller } = actor;
  const facts = {
    standing,
    channel: {
      id: channel.id,
      login: channel.login,
      ownerId: channel.id,
      defaultVisibility: channel.defaultVisibility,
    },
  };
  return decide(caller, facts, 'create', { kind: 'package', use: 'upload', names: [row.name] }).allow;
}

/** Throws Fault('not_found') for a file or release that is not there. */
export function missing(what: string): Fault {
  return new Fault('not_found', `${what} does not exist`);
}
