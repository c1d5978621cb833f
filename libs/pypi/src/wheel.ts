import { foldedName } from '@vivarium/conda/folded';
import { Fault } from '@vivarium/fault/fault';
import { DEFAULT_UNPACK_LIMITS, type UnpackLimits } from './bomb.js';
import type { ByteSource } from './byte-source.js';
import { checkEntryPoints, MAX_ENTRY_POINTS_BYTES } from './entry-points.js';
import { parseWheelFilename, splitNameVersion, type WheelFilename } from './filename.js';
import { type CoreMetadata, MAX_METADATA_BYTES, parseMetadata } from './metadata.js';
import { parseRecord, type RecordLine } from './record.js';
import { versionsEqual } from './version.js';
import { openZip, type ZipArchive, type ZipEntry } from './zip.js';

/** What a wheel says of itself. `metadataBytes` are exactly those of METADATA, to be served beside the wheel. */
export interface WheelInspection {
  readonly filetype: 'bdist_wheel';
  readonly filename: string;
  readonly wheel: WheelFilename;
  readonly metadata: CoreMetadata;
  readonly metadataBytes: Uint8Array;
  /** False if the wheel unpacks to more than `recordHashBytes`, so that only names and sizes were held against RECORD. */
  readonly hashesChecked: boolean;
}

export interface InspectLimits extends UnpackLimits {
  /** Up to this many unpacked bytes, every member is unpacked and its digest compared. */
  readonly recordHashBytes: number;
}

export const DEFAULT_INSPECT_LIMITS: InspectLimits = { ...DEFAULT_UNPACK_LIMITS, recordHashBytes: 256 * 1024 ** 2 };

const MAX_WHEEL_BYTES = 64 * 1024;
const MAX_RECORD_BYTES = 32 * 1024 ** 2;

const JUDGED = ['METADATA', 'WHEEL', 'RECORD', 'entry_points.txt'];

/** Signatures are made after RECORD, so it cannot list them. */
const BESIDE_RECORD = ['RECORD', 'RECORD.jws', 'RECORD.p7s'];

/**
 * Opens a wheel and holds it against its own file name and RECORD: one `*.dist-info` folder named as the file, with
 * METADATA, WHEEL of version 1.x and RECORD, which lists every member and nothing else, with true sizes and digests. The
 * scripts that entry_points.txt makes an installer write must be file names.
 * Throws Fault('invalid') with what is wrong. Whether METADATA fits the file name is judged elsewhere.
 * Source: Binary distribution format, "File contents".
 */
export async function inspectWheel(
  source: ByteSource,
  filename: string,
  limits: InspectLimits = DEFAULT_INSPECT_LIMITS,
): Promise<WheelInspection> {
  const wheel = parseWheelFilename(filename);
  const archive = await openZip(source, limits);
  const folder = distInfoOf(archive, wheel, filename);
  refuseLookalikes(archive, folder);
  const metadataBytes = await archive.entryBytes(memberOf(archive, `${folder}/METADATA`), MAX_METADATA_BYTES);
  const metadata = parseMetadata(metadataBytes);
  requireWheelVersion(await archive.entryBytes(memberOf(archive, `${folder}/WHEEL`), MAX_WHEEL_BYTES));
  const entryPoints = archive.find(`${folder}/entry_points.txt`);
  if (entryPoints !== undefined) checkEntryPoints(await archive.entryBytes(entryPoints, MAX_ENTRY_POINTS_BYTES));
  const record = parseRecord(await archive.entryBytes(memberOf(archive, `${folder}/RECORD`), MAX_RECORD_BYTES));
  const listed = requireListed(archive, record, folder);
  const hashesChecked = archive.unpackedBytes <= limits.recordHashBytes;
  if (hashesChecked) await requireDigests(archive, listed);
  return { filetype: 'bdist_wheel', filename, wheel, metadata, metadataBytes, hashesChecked };
}

function distInfoOf(archive: ZipArchive, wheel: WheelFilename, filename: string): string {
  // A file of such a name counts too: installers look at the first segments only.
  const tops = new Set(archive.entries.map(({ name }) => name.split('/', 1)[0] ?? ''));
  const folders = [...tops].filter((top) => foldedName(top).endsWith('.dist-info'));
  const [folder, second] = folders;
  if (folder === undefined) throw wheelRefusal(filename, 'it has no *.dist-info folder');
  if (second !== undefined)
    throw wheelRefusal(filename, `it has two: ${JSON.stringify(folder)} and ${JSON.stringify(second)}`);
  const named = folder.endsWith('.dist-info') ? splitNameVersion(folder.slice(0, -'.dist-info'.length)) : undefined;
  if (named === undefined || named.name !== wheel.name || !versionsEqual(named.version, wheel.version)) {
    throw wheelRefusal(filename, `its folder ${JSON.stringify(folder)} is named after another package or version`);
  }
  return folder;
}

// Where a file system cannot tell two names apart, the second one written is the one that is read after the installation.
function refuseLookalikes(archive: ZipArchive, folder: string): void {
  const judged = new Map(JUDGED.map((name) => [foldedName(`${folder}/${name}`), `${folder}/${name}`]));
  for (const { name } of archive.entries) {
    const other = judged.get(foldedName(name));
    if (other === undefined || other === name) continue;
    throw new Fault(
      'invalid',
      `The wheel has the member ${JSON.stringify(name.slice(0, 200))}, which some systems cannot tell from ${JSON.stringify(other)}. Rename it and build again.`,
    );
  }
}

function memberOf(archive: ZipArchive, path: string): ZipEntry {
  const entry = archive.find(path);
  if (entry?.kind !== 'file') throw new Fault('invalid', `The wheel has no ${JSON.stringify(path)}. Build it again.`);
  return entry;
}

function requireWheelVersion(bytes: Uint8Array): void {
  const text = new TextDecoder().decode(bytes);
  const versions = [...text.matchAll(/^Wheel-Version:(.*)$/gim)].map(([, version = '']) => version.trim());
  const [version] = versions;
  if (version === undefined || versions.length > 1 || !/^1\.[0-9]{1,3}$/.test(version)) {
    throw new Fault(
      'invalid',
      `WHEEL says Wheel-Version ${JSON.stringify(versions.join(' and ').slice(0, 40))}; only 1.x is known. Build it again.`,
    );
  }
}

function requireListed(
  archive: ZipArchive,
  record: ReadonlyMap<string, RecordLine>,
  folder: string,
): readonly (readonly [ZipEntry, NonNullable<RecordLine['hash']>])[] {
  const beside = new Set(BESIDE_RECORD.map((name) => `${folder}/${name}`));
  for (const path of record.keys()) {
    if (archive.find(path)?.kind !== 'file' && !beside.has(path)) {
      throw recordLie(path, 'is listed in RECORD but is not in the wheel');
    }
  }
  return archive.entries
    .filter(({ name, kind }) => kind === 'file' && !beside.has(name))
    .map((entry) => {
      const line = record.get(entry.name);
      if (line === undefined) throw recordLie(entry.name, 'is not listed in RECORD');
      if (line.hash === undefined) throw recordLie(entry.name, 'has no hash in RECORD');
      if (line.sizeBytes !== undefined && line.sizeBytes !== entry.sizeBytes) {
        throw recordLie(entry.name, `has ${entry.sizeBytes} bytes, and ${line.sizeBytes} in RECORD`);
      }
      return [entry, line.hash] as const;
    });
}

async function requireDigests(
  archive: ZipArchive,
  listed: readonly (readonly [ZipEntry, NonNullable<RecordLine['hash']>])[],
): Promise<void> {
  // In the order in which they lie in the file, so that each part of it is read once.
  for (const [entry, hash] of listed.toSorted(([a], [b]) => a.dataStart - b.dataStart)) {
    const digest = await archive.entryDigest(entry, hash.algorithm);
    if (!hash.digest.equals(digest)) throw recordLie(entry.name, `has another ${hash.algorithm} than RECORD says`);
  }
}

function wheelRefusal(filename: string, reason: string): Fault {
  return new Fault(
    'invalid',
    `${filename} is refused: a wheel has exactly one *.dist-info folder, named after its package and version, but ${reason}. Build it again.`,
  );
}

function recordLie(path: string, reason: string): Fault {
  return new Fault('invalid', `The member ${JSON.stringify(path.slice(0, 200))} ${reason}. Build the wheel again.`);
}
