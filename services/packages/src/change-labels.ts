import { admitReader } from '@vivarium/access/admission';
import { decide } from '@vivarium/access/decide';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { type Actor, isReadable, type Reader, readablePackage } from './actor.js';
import { addLabels, requireUnlocked } from './labels.js';
import { nextGeneration } from './next-generation.js';
import { findPackage, type PackageRow, readPackagesById } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { findRelease } from './release-row.js';
import { indexNamesOf, missing } from './remove.js';
import { channelFactsOf, requireRight } from './rights.js';

/** Labels changed, to be waited for. */
export interface LabelChange {
  readonly generation: number;
  readonly kinds: readonly string[];
  /** How many files changed. */
  readonly files: number;
}

export interface LabelAsk {
  readonly label: string;
  /** Empty: every package. */
  readonly package: string;
  /** Empty: every release. */
  readonly version: string;
  /** Empty: every file. */
  readonly basename: string;
}

interface Found {
  readonly id: string;
  readonly kind: string;
  readonly basename: string;
  readonly packageId: string;
}

type Ports = Pick<PackagesPorts, 'invalidations' | 'clock'>;

const FILES_MAX = 50_000;

/** Attaches a label to the files of a package, a release, or to one file. */
export async function attachLabel(tx: Tx, ports: Ports, actor: Actor, asked: LabelAsk): Promise<LabelChange> {
  const { channel } = actor;
  if (asked.package === '') throw new Fault('invalid', 'Say which package shall get the label: "package" is missing.');
  const { row, files } = await filesOf(tx, actor, asked);
  requireWrite(actor, row, files, [asked.label]);
  await requireUnlocked(tx, channel, [asked.label]);
  const changed = await attach(tx, channel.id, asked.label, files);
  return finish(tx, ports, actor, 'label.add', asked, { rows: [row], changed });
}

/** Detaches a label from files of a package, or from every file that the actor sees. */
export async function detachLabel(tx: Tx, ports: Ports, actor: Actor, asked: LabelAsk): Promise<LabelChange> {
  const { label } = asked;
  const { rows, files } =
    asked.package === ''
      ? await filesUnder(tx, actor, label)
      : await labelled(tx, await filesOf(tx, actor, asked), label);
  for (const row of rows) requireWrite(actor, row, filesIn(files, row), [label]);
  await requireUnlocked(tx, actor.channel, [label]);
  const ids = files.map(({ id }) => id);
  await ask(tx, 'DELETE FROM file_labels WHERE label = $1 AND file_id = ANY($2)', [label, ids]);
  return finish(tx, ports, actor, 'label.remove', asked, { rows, changed: files });
}

/** Attaches another label to every file that the actor sees under one. */
export async function copyLabel(
  tx: Tx,
  ports: Ports,
  actor: Actor,
  { label, to }: { readonly label: string; readonly to: string },
): Promise<LabelChange> {
  const { rows, files } = await filesUnder(tx, actor, label);
  for (const row of rows) requireWrite(actor, row, filesIn(files, row), [to]);
  await requireUnlocked(tx, actor.channel, [to]);
  const changed = await attach(tx, actor.channel.id, to, files);
  const asked = { label: to, package: '', version: '', basename: '' };
  return finish(tx, ports, actor, 'label.copy', asked, { rows, changed, from: label });
}

/** Locks a label, which may hold nothing yet, or unlocks it. */
export async function setLock(tx: Tx, ports: Ports, actor: Actor, label: string, locked: boolean): Promise<void> {
  const { channel, caller, standing, message } = actor;
  const facts = { standing, channel: channelFactsOf(channel) };
  const decision = decide(caller, facts, 'admin', { kind: 'channel', use: 'api', label });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
  const [before] = await ask<{ locked: boolean }>(tx, 'SELECT locked FROM labels WHERE channel_id = $1 AND name = $2', [
    channel.id,
    label,
  ]);
  if ((before?.locked ?? false) === locked) return;
  await ask(
    tx,
    `INSERT INTO labels (channel_id, name, locked) VALUES ($1, $2, $3)
     ON CONFLICT (channel_id, name) DO UPDATE SET locked = excluded.locked`,
    [channel.id, label, locked],
  );
  const entry = {
    actor: message ?? { service: 'packages' },
    action: locked ? 'label.lock' : 'label.unlock',
    ownerId: channel.id,
    resource: `label ${label} of ${channel.login}`,
  };
  await addAudit(tx, entry, ports.clock());
}

/** The files that are asked for, in a package that is there for the actor. */
async function filesOf(tx: Tx, actor: Actor, asked: LabelAsk): Promise<{ row: PackageRow; files: readonly Found[] }> {
  const { channel } = actor;
  const row = readablePackage(readerOf(actor), await findPackage(tx, channel.id, asked.package), asked.package);
  const place = `${channel.login}/${row.name}`;
  if (asked.version === '') return { row, files: await readFound(tx, 'f.package_id = $1', [row.id]) };
  const release = await findRelease(tx, row.id, asked.version);
  if (release === undefined) throw missing(`release "${place}/${asked.version.slice(0, 100)}"`);
  if (asked.basename === '') return { row, files: await readFound(tx, 'f.release_id = $1', [release.id]) };
  const files = await readFound(tx, 'f.release_id = $1 AND f.basename = $2', [release.id, asked.basename]);
  if (files.length === 0) throw missing(`file "${place}/${release.version}/${asked.basename.slice(0, 200)}"`);
  return { row, files };
}

async function labelled(tx: Tx, { row, files }: { row: PackageRow; files: readonly Found[] }, label: string) {
  const carrying = await ask<{ id: string }>(
    tx,
    'SELECT file_id AS id FROM file_labels WHERE label = $1 AND file_id = ANY($2)',
    [label, files.map(({ id }) => id)],
  );
  const ids = new Set(carrying.map(({ id }) => id));
  return { rows: [row], files: files.filter(({ id }) => ids.has(id)) };
}

/** Every file under a label that is there for the actor, with their packages. Throws Fault('not_found') if there is none. */
async function filesUnder(tx: Tx, actor: Actor, label: string) {
  const all = await readFound(
    tx,
    'EXISTS (SELECT 1 FROM file_labels l WHERE l.file_id = f.id AND l.channel_id = $1 AND l.label = $2)',
    [actor.channel.id, label],
  );
  const reader = readerOf(actor);
  if (reader.admission.kind === 'deny') throw new Fault(reader.admission.code, reader.admission.reason);
  const found = await readPackagesById(tx, [...new Set(all.map(({ packageId }) => packageId))]);
  const rows = found.filter((row) => isReadable(reader, row));
  const seen = new Set(rows.map(({ id }) => id));
  const files = all.filter(({ packageId }) => seen.has(packageId));
  if (files.length === 0) throw missing(`label "${label}" of ${actor.channel.login}`);
  return { rows, files };
}

async function readFound(tx: Tx, where: string, values: readonly unknown[]): Promise<readonly Found[]> {
  const files = await ask<Found>(
    tx,
    `SELECT f.id, f.kind, f.basename, f.package_id AS "packageId" FROM files f
     WHERE f.removed_at IS NULL AND ${where} ORDER BY f.id LIMIT ${FILES_MAX + 1}`,
    values,
  );
  if (files.length <= FILES_MAX) return files;
  throw new Fault('too_large', `These are more than ${FILES_MAX} files at once: name a package or a release.`);
}

async function attach(tx: Tx, channelId: string, label: string, files: readonly Found[]): Promise<readonly Found[]> {
  const fileIds = files.map(({ id }) => id);
  const changed = new Set(await addLabels(tx, channelId, fileIds, [label]));
  return files.filter(({ id }) => changed.has(id));
}

/** The generation that shows the change, or the one of now if nothing changed. */
async function finish(
  tx: Tx,
  ports: Ports,
  { channel, message }: Actor,
  action: string,
  asked: LabelAsk,
  done: { readonly rows: readonly PackageRow[]; readonly changed: readonly Found[]; readonly from?: string },
): Promise<LabelChange> {
  const { changed } = done;
  const kinds = [...new Set(changed.map(({ kind }) => kind))];
  if (changed.length === 0) return { generation: channel.generation, kinds, files: 0 };
  const touched = done.rows.filter((row) => changed.some(({ packageId }) => packageId === row.id));
  const names = touched.flatMap((row) => indexNamesOf(row, kindsIn(changed, row)));
  const generation = await nextGeneration(tx, ports.invalidations, channel.id, {
    packageIds: touched.map(({ id }) => id),
    names,
  });
  const place = [channel.login, asked.package, asked.version, asked.basename].filter((part) => part !== '').join('/');
  const entry = {
    actor: message ?? { service: 'packages' },
    action,
    ownerId: channel.id,
    resource: `label ${asked.label} of ${place}`,
    after: { files: changed.length, ...(done.from === undefined ? {} : { from: done.from }) },
  };
  await addAudit(tx, entry, ports.clock());
  return { generation, kinds, files: changed.length };
}

function kindsIn(files: readonly Found[], row: PackageRow): readonly string[] {
  return [...new Set(filesIn(files, row).map(({ kind }) => kind))];
}

function filesIn(files: readonly Found[], row: PackageRow): readonly Found[] {
  return files.filter(({ packageId }) => packageId === row.id);
}

/** Throws unless the actor may change these labels of these files; once for each platform, which tokens may be cut to. */
function requireWrite(actor: Actor, row: PackageRow, files: readonly Found[], labels: readonly string[]): void {
  const subdirs = files.map(({ kind, basename }) => (kind === 'conda' ? basename.split('/', 1)[0] : undefined));
  for (const subdir of new Set(subdirs.length === 0 ? [undefined] : subdirs)) {
    requireRight(actor, row, 'write', { use: 'api', labels, subdir });
  }
}

/** What is there for the actor, by the facts of now. */
function readerOf(actor: Actor): Reader {
  const { caller, standing, channel } = actor;
  return {
    ...actor,
    admission: admitReader({ caller, standing, channel: { ...channel, ownerId: channel.id }, use: 'api' }),
  };
}
