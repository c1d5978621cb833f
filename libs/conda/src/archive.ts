// What a conda package says of itself, read from a stranger's archive without unpacking it to disk.
//
//   .conda    = zip of stored members: metadata.json, info-<stem>.tar.zst, pkg-<stem>.tar.zst [, metadata.json.sig]
//   .tar.bz2  = one tar with everything, in any order
//
// Nothing here holds more than one window of the file: reads are ranged, decompression is streamed, and every size that the
// archive can choose is counted against `CondaLimits` while it grows, not after.
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { Fault, isFault } from '@vivarium/fault/fault';
import { decompressBzip2 } from './bzip2.js';
import { parseCondaFilename } from './filename.js';
import { foldedName } from './folded.js';
import { parseJson, parseJsonObject } from './json.js';
import { type RunExports, runExportsOf } from './run-exports.js';
import { type ByteSource, CONDA_LIMITS, type CondaLimits } from './source.js';
import { type TarEntry, TarReader } from './tar.js';
import { readStoredZip, type ZipMember } from './zip.js';
import { parseZstdHeader, ZSTD_HEADER_BYTES } from './zstd-frame.js';

export type { ByteSource, CondaLimits } from './source.js';

export interface CondaInspection {
  readonly format: 'conda' | 'tar.bz2';
  /** `info/index.json`: an object, its fields not yet judged. */
  readonly index: Record<string, unknown>;
  /** `info/about.json`, if there is one. */
  readonly about: Record<string, unknown> | undefined;
  /** `info/run_exports.json`, normalised; undefined if there is none. */
  readonly runExports: RunExports | undefined;
  /** Entries of the tar that was read: of a `.conda` its info part, of a `.tar.bz2` everything. */
  readonly members: number;
}

const READ_BYTES = 256 * 1024;
const MAX_DOCUMENT_BYTES = 4096;
const MAX_SIGNATURE_BYTES = 64 * 1024;
const KEPT: ReadonlySet<string> = new Set(['info/index.json', 'info/about.json', 'info/run_exports.json']);

/**
 * Inspects the archive that is to be stored under this file name, and refuses it unless every client would unpack the same
 * thing from it. `limits` change single limits.
 *
 * `info/index.json` must be there, and `info/paths.json` or, in packages from before it existed, `info/files`. The
 * `pkg-*.tar.zst` of a `.conda` is read too, up to `checkedBytes` of it; of a larger one only the zstd header, since the
 * answer must come in a client's patience: its CRC and the names inside are then the client's to check. A `.tar.bz2` has no
 * directory, so it is read whole.
 *
 * Throws Fault('invalid') with what to mend, Fault('too_large') at a limit. Sources: CEP-34, CEP-35, RFC 8878.
 */
export async function inspectConda(
  source: ByteSource,
  filename: string,
  limits: Partial<CondaLimits> = {},
): Promise<CondaInspection> {
  const bounds = { ...CONDA_LIMITS, ...limits };
  const { format, stem } = parseCondaFilename(filename);
  if (source.sizeBytes > bounds.archiveBytes) throw tooLarge(filename, 'the file', bounds.archiveBytes);
  const info = new InfoReader(bounds, format === 'conda');
  if (format === 'conda') await readConda(source, filename, stem, bounds, info);
  else await readTarBz2(source, filename, bounds, info);
  return { format, ...info.finish() };
}

async function readConda(
  source: ByteSource,
  filename: string,
  stem: string,
  limits: CondaLimits,
  info: InfoReader,
): Promise<void> {
  const zip = await readStoredZip(source, limits.directoryBytes);
  const members = new Map(zip.map((member) => [member.name, member]));
  const [document, infoPart, packagePart] = ['metadata.json', `info-${stem}.tar.zst`, `pkg-${stem}.tar.zst`].map(
    (name) => {
      const member = members.get(name);
      if (member !== undefined) return member;
      const found = zip.map((other) => JSON.stringify(other.name.slice(0, 200))).join(', ');
      throw new Fault('invalid', `${filename} must have the member "${name}" at its top, but has ${found}.`);
    },
  );
  const signature = members.get('metadata.json.sig');
  if (document === undefined || infoPart === undefined || packagePart === undefined) return;
  if (members.size > (signature === undefined ? 3 : 4) || (signature?.sizeBytes ?? 0) > MAX_SIGNATURE_BYTES) {
    throw new Fault('invalid', `${filename} has members besides metadata.json, info-… and pkg-…. Remove them.`);
  }
  await checkDocument(source, document, filename);
  await checkFrame(source, packagePart, limits);
  const contentBytes = await checkFrame(source, infoPart, limits);
  if ((contentBytes ?? 0) > limits.infoBytes) throw tooLarge(filename, 'its unpacked info part', limits.infoBytes);
  await readFrame(source, infoPart, limits, meterOf(filename, infoPart.sizeBytes, limits.infoBytes, limits), info);
  if (packagePart.sizeBytes > limits.checkedBytes) return;
  const content = new TarReader(limits.members, (entry) => {
    checkPackagePlace(entry);
    return undefined;
  });
  const meter = meterOf(filename, packagePart.sizeBytes, limits.unpackedBytes, limits);
  await readFrame(source, packagePart, limits, meter, content);
  content.end();
}

async function checkDocument(source: ByteSource, member: ZipMember, filename: string): Promise<void> {
  if (member.sizeBytes > MAX_DOCUMENT_BYTES) throw tooLarge(filename, 'its metadata.json', MAX_DOCUMENT_BYTES);
  const bytes = await source.read(member.start, member.start + member.sizeBytes);
  if (zlib.crc32(bytes) !== member.crc32) throw damaged(member.name);
  const version = parseJsonObject(bytes, 'metadata.json').conda_pkg_format_version;
  if (version === 2) return;
  throw new Fault('invalid', `metadata.json of ${filename} must say "conda_pkg_format_version": 2.`);
}

async function checkFrame(source: ByteSource, member: ZipMember, limits: CondaLimits): Promise<number | undefined> {
  const end = member.start + Math.min(member.sizeBytes, ZSTD_HEADER_BYTES);
  const header = parseZstdHeader(await source.read(member.start, end), member.name);
  if (header.windowBytes <= limits.windowBytes) return header.contentBytes;
  throw new Fault(
    'invalid',
    `${member.name} needs a window of ${header.windowBytes} bytes; clients allow ${limits.windowBytes}. Compress it with less.`,
  );
}

async function readFrame(
  source: ByteSource,
  member: ZipMember,
  limits: CondaLimits,
  meter: (bytes: number) => void,
  reader: { write(piece: Uint8Array): void },
): Promise<void> {
  let crc = 0;
  async function* packed() {
    const end = member.start + member.sizeBytes;
    for (let at = member.start; at < end; at += READ_BYTES) {
      const bytes = await source.read(at, Math.min(end, at + READ_BYTES));
      crc = zlib.crc32(bytes, crc);
      yield bytes;
    }
  }
  const decompress = zlib.createZstdDecompress({
    params: { [zlib.constants.ZSTD_d_windowLogMax]: Math.ceil(Math.log2(limits.windowBytes)) },
  });
  try {
    await pipeline(packed, decompress, async (pieces: AsyncIterable<Uint8Array>) => {
      for await (const piece of pieces) {
        meter(piece.length);
        reader.write(piece);
      }
    });
  } catch (cause) {
    if (isFault(cause)) throw cause;
    throw new Fault(
      'invalid',
      `${member.name} cannot be decompressed: it is damaged, or something follows it. Build it again.`,
      { cause },
    );
  }
  // Some decoders stop after one frame and some go on, so a second frame would be a second package.
  if (decompress.bytesWritten !== member.sizeBytes) {
    throw new Fault('invalid', `${member.name} must be a single zstd frame with nothing after it.`);
  }
  if (crc !== member.crc32) throw damaged(member.name);
}

async function readTarBz2(source: ByteSource, filename: string, limits: CondaLimits, info: InfoReader): Promise<void> {
  const meter = meterOf(filename, source.sizeBytes, limits.unpackedBytes, limits);
  await decompressBzip2(source, (piece) => {
    meter(piece.length);
    info.write(piece);
  });
}

/** Counts unpacked bytes, and throws as soon as there are too many of them. */
function meterOf(filename: string, packedBytes: number, maxBytes: number, limits: CondaLimits) {
  const ratioBytes = Math.max(limits.ratioFreeBytes, packedBytes * limits.ratio);
  const most = Math.min(maxBytes, ratioBytes);
  let total = 0;
  return (bytes: number): void => {
    total += bytes;
    if (total > most) throw tooLarge(filename, 'what it unpacks to', most);
  };
}

/** The tar inside, of which three documents are kept. */
class InfoReader {
  readonly #tar: TarReader;
  readonly #files = new Map<string, Uint8Array>();
  readonly #seen = new Set<string>();

  constructor(limits: CondaLimits, infoOnly: boolean) {
    this.#tar = new TarReader(limits.members, (entry) => {
      checkPlace(entry, infoOnly);
      if (entry.name === 'info/paths.json' || entry.name === 'info/files') this.#seen.add(entry.name);
      if (!KEPT.has(entry.name)) return undefined;
      if (entry.sizeBytes > limits.jsonBytes) throw tooLarge('The package', entry.name, limits.jsonBytes);
      return (bytes) => this.#files.set(entry.name, bytes);
    });
  }

  write(piece: Uint8Array): void {
    this.#tar.write(piece);
  }

  finish(): Omit<CondaInspection, 'format'> {
    this.#tar.end();
    const index = this.#files.get('info/index.json');
    if (index === undefined) throw new Fault('invalid', 'The package has no info/index.json. Build it again.');
    if (this.#seen.size === 0) throw new Fault('invalid', 'The package has no info/paths.json. Build it again.');
    const about = this.#files.get('info/about.json');
    const runExports = this.#files.get('info/run_exports.json');
    return {
      index: parseJsonObject(index, 'info/index.json'),
      about: about && parseJsonObject(about, 'info/about.json'),
      runExports: runExports && runExportsOf(parseJson(runExports, 'info/run_exports.json')),
      members: this.#tar.members,
    };
  }
}

// Clients unpack both parts into one directory, so an "info/" of the package part could replace what was judged.
function checkPackagePlace(entry: TarEntry): void {
  checkPlace(entry, false);
  if (entry.name.split('/')[0] !== 'info') return;
  const name = JSON.stringify(entry.name.slice(0, 120));
  throw new Fault('invalid', `The package part contains ${name}; "info/" belongs into the info part only. Remove it.`);
}

// The short names that Windows gives to these, under which they can be written too.
const SHORT_NAMES = /^(?:conda-~\d|info\/(?:index|about|run_ex|paths|repoda)~\d)/;

// The client writes `conda-meta/` and `repodata_record.json` itself and believes what it finds there.
function checkPlace(entry: TarEntry, infoOnly: boolean): void {
  const [top = ''] = entry.name.split('/');
  const folded = foldedName(entry.name);
  const [foldedTop = ''] = folded.split('/');
  const name = JSON.stringify(entry.name.slice(0, 120));
  if (foldedTop === 'conda-meta' || folded === 'info/repodata_record.json') {
    throw new Fault('invalid', `The package contains ${name}, which only clients write. Remove it.`);
  }
  if (SHORT_NAMES.test(folded)) {
    throw new Fault('invalid', `The package contains ${name}, which may stand for another file on Windows. Rename it.`);
  }
  if (top !== 'info' && foldedTop === 'info') {
    throw new Fault('invalid', `The package contains ${name}, which some systems cannot tell from "info". Rename it.`);
  }
  if (infoOnly && top !== 'info') {
    throw new Fault('invalid', `The info part of the package contains ${name}; only "info/" belongs there.`);
  }
  const isLink = entry.kind === 'link' || entry.kind === 'symlink';
  if (entry.name === 'info' && entry.kind !== 'directory') {
    throw new Fault('invalid', 'The package contains "info" as something other than a directory.');
  }
  const isDocument = KEPT.has(folded) || folded === 'info/paths.json' || folded === 'info/files';
  if (isDocument && (isLink || entry.kind === 'directory' || entry.name !== folded)) {
    throw new Fault('invalid', `The package contains ${name}, which must be a plain file in lower case.`);
  }
}

function damaged(name: string): Fault {
  return new Fault('invalid', `${name} does not match its checksum. Build or upload the package again.`);
}

function tooLarge(filename: string, what: string, bytes: number): Fault {
  return new Fault('too_large', `${filename}: ${what} is larger than ${bytes} bytes.`);
}
