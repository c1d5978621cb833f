import { admitReader } from '@vivarium/access/admission';
import type { Visibility } from '@vivarium/access/audience';
import type { FileKind } from '@vivarium/access/scope';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { type Actor, readablePackage } from './actor.js';
import { addPackage } from './add-package.js';
import { fileIdOf, useToken } from './enter-file.js';
import { type FileRow, readLabelledOfRelease } from './file-row.js';
import { addLabels, requireUnlocked } from './labels.js';
import { nextGeneration } from './next-generation.js';
import { findPackage, findPackageFor, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { findRelease, type ReleaseRow, releaseFor } from './release-row.js';
import { indexNamesOf, missing, requireRemoval } from './remove.js';
import { requireRead, requireUpload } from './rights.js';

export interface CopyAsk {
  readonly package: string;
  readonly version: string;
  /** Empty: every file of the release. */
  readonly basename: string;
  /** Only files with this label are copied. */
  readonly from: string;
  readonly to: string;
  /** What happens to a name that is taken: conflict, overwritten, or left alone but for the label. */
  readonly mode: 'plain' | 'replace' | 'update';
}

export interface Copied {
  /** Ids in the channel that the files were copied to. */
  readonly fileIds: readonly string[];
  readonly kinds: readonly string[];
  readonly generation: number;
  readonly madePackage: boolean;
}

interface Place {
  readonly row: PackageRow;
  readonly made: boolean;
}

const RANK: Record<Visibility, number> = { public: 0, authenticated: 1, private: 2 };

/**
 * Puts files of a release under another channel, or under another label of the same one, with both channels locked. The bytes
 * stay where they are: the copied rows name the same blobs. Nobody to whom the package is closed gets to see it by the copy.
 */
export async function copyFiles(
  tx: Tx,
  ports: PackagesPorts,
  { source, target }: { readonly source: Actor; readonly target: Actor },
  asked: CopyAsk,
): Promise<Copied> {
  const { row, release, files } = await filesToCopy(tx, source, asked);
  await requireUnlocked(tx, target.channel, [asked.to]);
  const isSame = source.channel.id === target.channel.id;
  const copied = isSame
    ? await labelHere(tx, target, row, files, asked)
    : await copyAcross(tx, ports, { source, target }, { row, release, files }, asked);
  const kinds = [...new Set(files.map(({ kind }) => kind))];
  if (files.length === 0) return { fileIds: [], kinds, generation: target.channel.generation, madePackage: false };
  const entry = {
    actor: target.message ?? { service: 'packages' },
    action: 'file.copy',
    ownerId: target.channel.id,
    resource: `${target.channel.login}/${row.name}/${release.version}`,
    after: {
      from: `${source.channel.login}/${row.name}`,
      label: asked.to,
      files: files.map(({ basename }) => basename).slice(0, 50),
    },
  };
  const generation = await nextGeneration(tx, ports.invalidations, target.channel.id, {
    packageIds: copied.places.map((place) => place.row.id),
    names: copied.places.flatMap((place) => indexNamesOf(place.row, kinds)),
  });
  await addAudit(tx, entry, ports.clock());
  for (let spent = 0; spent < copied.entered; spent++) await useToken(ports, target);
  return { fileIds: copied.fileIds, kinds, generation, madePackage: copied.places.some(({ made }) => made) };
}

async function filesToCopy(tx: Tx, source: Actor, asked: CopyAsk) {
  const { channel, caller, standing } = source;
  const admission = admitReader({
    caller,
    standing,
    channel: { ...channel, ownerId: channel.id },
    use: 'api',
    label: asked.from,
  });
  const found = await findPackage(tx, channel.id, asked.package);
  const row = readablePackage({ ...source, admission }, found, asked.package);
  requireRead(source, row, { uses: ['api'], labels: [asked.from] });
  const place = `${channel.login}/${row.name}`;
  const release = await findRelease(tx, row.id, asked.version);
  if (release === undefined) throw missing(`release "${place}/${asked.version.slice(0, 100)}"`);
  const files = await readLabelledOfRelease(tx, release.id, asked.from, asked.basename);
  if (files.length > 0 || asked.basename === '') return { row, release, files };
  throw missing(`file "${place}/${release.version}/${asked.basename.slice(0, 200)}" with the label ${asked.from}`);
}

/** In its own channel a file is there once, so that a copy of it is one more label. */
async function labelHere(tx: Tx, target: Actor, row: PackageRow, files: readonly FileRow[], asked: CopyAsk) {
  for (const file of files) {
    requireUpload(target, row, askOf(file, row, asked));
    const added = await addLabels(tx, target.channel.id, [file.id], [asked.to]);
    if (added.length === 0 && asked.mode === 'plain') throw taken(target, file, `has the label ${asked.to} already`);
  }
  return { fileIds: files.map(({ id }) => id), places: [{ row, made: false }], entered: 0 };
}

async function copyAcross(
  tx: Tx,
  ports: PackagesPorts,
  { source, target }: { readonly source: Actor; readonly target: Actor },
  from: { readonly row: PackageRow; readonly release: ReleaseRow; readonly files: readonly FileRow[] },
  asked: CopyAsk,
) {
  const places = new Map<string, Place>();
  const fileIds: string[] = [];
  let entered = 0;
  for (const file of from.files) {
    const place = await placeFor(tx, { source, target }, from.row, file, asked);
    places.set(place.row.id, { row: place.row, made: place.made || (places.get(place.row.id)?.made ?? false) });
    const release = await releaseIn(tx, place.row, file, from.release, asked);
    const taker = await findTaken(tx, target, release, file);
    if (taker !== undefined && asked.mode === 'plain') throw taken(target, file, 'exists there');
    if (taker !== undefined && (asked.mode === 'update' || taker.sha256 === file.sha256)) {
      await addLabels(tx, target.channel.id, [taker.id], [asked.to]);
      fileIds.push(taker.id);
      continue;
    }
    if (taker !== undefined) {
      requireRemoval(target, place.row, { ...file, labels: taker.labels });
      await requireUnlocked(tx, target.channel, taker.labels);
      await ask(tx, 'UPDATE files SET removed_at = now() WHERE id = $1', [taker.id]);
    }
    fileIds.push(
      await insertCopy(tx, ports, target, { file, packageId: place.row.id, releaseId: release.id, at: entered }),
    );
    await addLabels(tx, target.channel.id, [fileIds.at(-1) ?? ''], [asked.to]);
    entered += 1;
  }
  return { fileIds, places: [...places.values()], entered };
}

/** The package that takes the file, made if need be. Throws Fault('forbidden') where the copy would open what is closed. */
async function placeFor(
  tx: Tx,
  { source, target }: { readonly source: Actor; readonly target: Actor },
  row: PackageRow,
  file: FileRow,
  asked: CopyAsk,
): Promise<Place> {
  const { channel } = target;
  const known = await findPackageFor(tx, channel.id, { kind: file.kind, name: row.name });
  requireUpload(target, known, askOf(file, row, asked));
  if (known !== undefined && RANK[known.visibility] < RANK[row.visibility]) {
    throw new Fault(
      'forbidden',
      `${channel.login}/${known.name} is ${known.visibility} and ${source.channel.login}/${row.name} is ${row.visibility}: the copy would open it to others. Make ${channel.login}/${known.name} ${row.visibility} first.`,
    );
  }
  const visibility =
    RANK[channel.defaultVisibility] > RANK[row.visibility] ? channel.defaultVisibility : row.visibility;
  const { name, summary, attributes } = row;
  const into = known ?? (await addPackage(tx, channel.id, { name, summary, attributes, visibility }));
  if (known !== undefined && asked.mode !== 'plain') await carryAttributes(tx, 'packages', known, row, asked.mode);
  if (file.kind !== 'pypi' || into.pypiName !== null) return { row: into, made: known === undefined };
  await ask(tx, 'UPDATE packages SET pypi_name = $2 WHERE id = $1', [into.id, row.pypiName]);
  return { row: { ...into, pypiName: row.pypiName }, made: known === undefined };
}

async function releaseIn(
  tx: Tx,
  into: PackageRow,
  file: FileRow,
  from: ReleaseRow,
  asked: CopyAsk,
): Promise<ReleaseRow> {
  const known = await findRelease(tx, into.id, file.version);
  const release = await releaseFor(tx, into.id, file);
  if (known?.id !== release.id) await carryAttributes(tx, 'releases', release, from, 'replace');
  else if (asked.mode !== 'plain') await carryAttributes(tx, 'releases', release, from, asked.mode);
  return release;
}

/** `replace`: as there; `update`: only what is missing here. */
async function carryAttributes(
  tx: Tx,
  table: 'packages' | 'releases',
  into: { readonly id: string; readonly attributes: Readonly<Record<string, unknown>> },
  from: { readonly attributes: Readonly<Record<string, unknown>> },
  mode: 'replace' | 'update',
): Promise<void> {
  const merged =
    mode === 'replace' ? { ...into.attributes, ...from.attributes } : { ...from.attributes, ...into.attributes };
  await ask(tx, `UPDATE ${table} SET attributes = $2 WHERE id = $1`, [into.id, JSON.stringify(merged)]);
}

interface Taken {
  readonly id: string;
  readonly sha256: string;
  readonly labels: readonly string[];
}

/** The file that has the name in the other channel; for kinds without an index, in the release. */
async function findTaken(tx: Tx, target: Actor, release: ReleaseRow, file: FileRow): Promise<Taken | undefined> {
  const isIndexed = file.kind === 'conda' || file.kind === 'pypi';
  const [where, place] = isIndexed
    ? ["channel_id = $1 AND basename = $2 AND kind IN ('conda', 'pypi')", target.channel.id]
    : ["release_id = $1 AND basename = $2 AND kind NOT IN ('conda', 'pypi')", release.id];
  const [row] = await ask<Taken>(
    tx,
    `SELECT f.id, f.sha256, coalesce((SELECT jsonb_agg(l.label) FROM file_labels l WHERE l.file_id = f.id), '[]') AS labels
     FROM files f WHERE ${where} AND removed_at IS NULL`,
    [place, file.basename],
  );
  return row;
}

async function insertCopy(
  tx: Tx,
  ports: Pick<PackagesPorts, 'clock'>,
  { channel, caller }: Actor,
  into: { readonly file: FileRow; readonly packageId: string; readonly releaseId: string; readonly at: number },
): Promise<string> {
  const nowMs = ports.clock();
  const id = fileIdOf(nowMs);
  await ask(
    tx,
    `INSERT INTO files (id, channel_id, package_id, release_id, kind, basename, sha256, md5, size_bytes, metadata_sha256,
       attributes, dependencies, description, record, about, uploaded_by, uploaded_at)
     SELECT $2, $3, $4, $5, kind, basename, sha256, md5, size_bytes, metadata_sha256, attributes, dependencies, description,
       record, about, $6, $7 FROM files WHERE id = $1`,
    [
      into.file.id,
      id,
      channel.id,
      into.packageId,
      into.releaseId,
      caller.kind === 'account' ? caller.accountId : '',
      new Date(nowMs),
    ],
  );
  return id;
}

function askOf(file: FileRow, row: PackageRow, { to }: CopyAsk) {
  // The kind of a row is one of the eight, by its CHECK.
  const kind = file.kind as FileKind;
  const subdir = kind === 'conda' ? file.basename.slice(0, file.basename.indexOf('/')) : undefined;
  return { kind, name: kind === 'pypi' ? (row.pypiName ?? row.name) : row.name, labels: [to], subdir };
}

function taken({ channel }: Actor, file: FileRow, what: string): Fault {
  return new Fault(
    'conflict',
    `${channel.login}/${file.package}/${file.version}/${file.basename} ${what}; copy with --replace or --update`,
  );
}
