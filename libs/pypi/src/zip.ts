import { createHash } from 'node:crypto';
import { DEFAULT_UNPACK_LIMITS, refuseBomb, type UnpackLimits } from './bomb.js';
import { type ByteSource, rangeChunks, windowed } from './byte-source.js';
import { inflateRange, verified } from './inflate.js';
import { MemberPaths, requireMemberPath } from './member-path.js';
import {
  CENTRAL_RECORD_BYTES,
  type CentralRecord,
  centralTailBytes,
  checkLocator,
  commentBytes,
  END_BYTES,
  END64_BYTES,
  LOCAL_HEADER_BYTES,
  LOCATOR_BYTES,
  type LocalHeader,
  localTailBytes,
  parseCentralRecord,
  parseEnd,
  parseEnd64,
  parseLocalHeader,
  quoted,
  type ZipEnd,
  zipRefusal,
} from './zip-record.js';

/** A member of a zip archive. A folder has no bytes. */
export interface ZipEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder';
  readonly method: 'stored' | 'deflated';
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  readonly dataStart: number;
}

const MAX_NAMES_LENGTH = 32 * 1024 * 1024;

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR = 0x07064b50;

/**
 * Opens a zip archive that every tool reads alike, and refuses every other with Fault('invalid').
 *
 *     local header, data          as often as there are members, without a gap, from the first byte on
 *     central record              as often, saying the same
 *     [ZIP64 end, its locator]
 *     end, comment                up to the last byte
 *
 * Readers that stream trust the local headers, readers that seek the central directory, and some search for the end
 * from behind: with two truths in one file, a scanner sees one and an installer the other. So both are read
 * independently and compared. Bytes come by ranges; memory grows with the number of members, not with the file.
 * Source: PKWARE APPNOTE 6.3.10; the confusion attacks published against Python's installers in 2025.
 */
export async function openZip(file: ByteSource, limits: UnpackLimits = DEFAULT_UNPACK_LIMITS): Promise<ZipArchive> {
  const source = windowed(file);
  if (await isAlsoTar(source)) throw zipRefusal('it can be read as a tar archive too');
  const { locals, centrals } = await walk(source, limits);
  const entries = joined(locals, centrals);
  const unpackedBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0);
  refuseBomb(unpackedBytes, source.sizeBytes, limits);
  return new ZipArchive(source, entries, unpackedBytes, limits);
}

/** An opened archive. All that is unpacked from it counts towards one limit, and is checked against size and CRC-32. */
export class ZipArchive {
  private readonly byName: ReadonlyMap<string, ZipEntry>;
  private inflatedBytes = 0;

  constructor(
    private readonly source: ByteSource,
    readonly entries: readonly ZipEntry[],
    /** What the archive says it unpacks to. */
    readonly unpackedBytes: number,
    private readonly limits: UnpackLimits,
  ) {
    this.byName = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** The member of exactly this name, if there is one. */
  find(name: string): ZipEntry | undefined {
    return this.byName.get(name);
  }

  /** The bytes of a member as they are unpacked. Throws Fault('invalid') when they are not what the archive promised. */
  entryChunks(entry: ZipEntry): AsyncGenerator<Uint8Array> {
    const end = entry.dataStart + entry.compressedBytes;
    const chunks =
      entry.method === 'stored'
        ? rangeChunks(this.source, entry.dataStart, end)
        : inflateRange(this.source, entry.dataStart, end, (chunkBytes) => this.count(chunkBytes));
    return verified(chunks, entry, entry.name);
  }

  /** The whole member. Throws Fault('invalid') if it has more than `maxBytes`, or is not what the archive promised. */
  async entryBytes(entry: ZipEntry, maxBytes: number): Promise<Uint8Array> {
    if (entry.sizeBytes > maxBytes) {
      throw zipRefusal(`${quoted(entry.name)} has ${entry.sizeBytes} bytes, and at most ${maxBytes} are read`);
    }
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.entryChunks(entry)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** The digest of a member's bytes. Throws Fault('invalid') when they are not what the archive promised. */
  async entryDigest(entry: ZipEntry, algorithm: 'sha256' | 'sha384' | 'sha512'): Promise<Uint8Array> {
    const hash = createHash(algorithm);
    for await (const chunk of this.entryChunks(entry)) hash.update(chunk);
    return hash.digest();
  }

  private count(chunkBytes: number): void {
    this.inflatedBytes += chunkBytes;
    refuseBomb(this.inflatedBytes, this.source.sizeBytes, this.limits);
  }
}

async function isAlsoTar(source: ByteSource): Promise<boolean> {
  if (source.sizeBytes < 512) return false;
  return Buffer.from(await source.read(0, 512)).toString('latin1', 257, 262) === 'ustar';
}

interface Walked {
  readonly locals: ReadonlyMap<number, LocalHeader>;
  readonly centrals: readonly CentralRecord[];
}

async function walk(source: ByteSource, limits: UnpackLimits): Promise<Walked> {
  const take = (start: number, sizeBytes: number): Promise<Uint8Array> => {
    if (start + sizeBytes > source.sizeBytes) throw zipRefusal('it is cut short');
    return source.read(start, start + sizeBytes);
  };
  const locals = new Map<number, LocalHeader>();
  const centrals: CentralRecord[] = [];
  let namesLength = 0;
  const admit = (count: number, name: string): void => {
    namesLength += name.length;
    if (count > limits.members) throw zipRefusal(`it has more than ${limits.members} members`);
    if (namesLength > MAX_NAMES_LENGTH) throw zipRefusal('the names of its members are too long together');
  };

  let at = 0;
  let signature = await signatureAt(take, at);
  while (signature === LOCAL) {
    const tailBytes = localTailBytes(await take(at, LOCAL_HEADER_BYTES));
    const local = parseLocalHeader(await take(at, LOCAL_HEADER_BYTES + tailBytes), at);
    admit(locals.size + 1, local.name);
    locals.set(at, local);
    at = local.dataStart + local.compressedBytes;
    signature = await signatureAt(take, at);
  }

  const directoryStart = at;
  while (signature === CENTRAL) {
    const recordBytes = CENTRAL_RECORD_BYTES + centralTailBytes(await take(at, CENTRAL_RECORD_BYTES));
    const central = parseCentralRecord(await take(at, recordBytes));
    admit(centrals.length + 1, central.name);
    centrals.push(central);
    at += recordBytes;
    signature = await signatureAt(take, at);
  }
  const directoryBytes = at - directoryStart;

  let end64: ZipEnd | undefined;
  if (signature === END64) {
    end64 = parseEnd64(await take(at, END64_BYTES));
    const locatorStart = at + END64_BYTES;
    if ((await signatureAt(take, locatorStart)) !== LOCATOR) throw zipRefusal('its ZIP64 end record has no locator');
    checkLocator(await take(locatorStart, LOCATOR_BYTES), at);
    at = locatorStart + LOCATOR_BYTES;
    signature = await signatureAt(take, at);
  }

  if (signature !== END) throw zipRefusal(`there is something else than a zip record at byte ${at}`);
  const endBytes = END_BYTES + commentBytes(await take(at, END_BYTES));
  const end = parseEnd(await take(at, endBytes), end64);
  if (at + endBytes !== source.sizeBytes) throw zipRefusal('there are bytes behind its end');
  if (
    end.records !== centrals.length ||
    end.directoryBytes !== directoryBytes ||
    end.directoryStart !== directoryStart
  ) {
    throw zipRefusal('its end record does not describe its central directory');
  }
  return { locals, centrals };
}

async function signatureAt(
  take: (start: number, sizeBytes: number) => Promise<Uint8Array>,
  at: number,
): Promise<number> {
  const bytes = await take(at, 4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

function joined(locals: Walked['locals'], centrals: Walked['centrals']): readonly ZipEntry[] {
  if (locals.size !== centrals.length) {
    throw zipRefusal(`it holds ${locals.size} members and its directory lists ${centrals.length}`);
  }
  const paths = new MemberPaths();
  const seen = new Set<string>();
  return centrals.map((central) => {
    const local = locals.get(central.offset);
    if (local === undefined) throw zipRefusal(`its directory puts ${quoted(central.name)} where there is no member`);
    requireSame(local, central);
    requireMemberPath(central.name);
    if (seen.has(central.name)) throw zipRefusal(`it holds ${quoted(central.name)} twice`);
    seen.add(central.name);
    const kind = kindOf(central);
    if (kind === 'folder') paths.addFolder(central.name);
    else paths.addFile(central.name);
    return {
      name: local.name,
      kind,
      method: local.method,
      crc32: local.crc32,
      compressedBytes: local.compressedBytes,
      sizeBytes: local.sizeBytes,
      dataStart: local.dataStart,
    };
  });
}

function requireSame(local: LocalHeader, central: CentralRecord): void {
  const differing = (['name', 'method', 'crc32', 'compressedBytes', 'sizeBytes'] as const).find(
    (field) => local[field] !== central[field],
  );
  if (differing !== undefined) {
    throw zipRefusal(`the header of ${quoted(central.name)} and the directory disagree on its ${WORD_OF[differing]}`);
  }
  if (local.method === 'stored' && local.compressedBytes !== local.sizeBytes) {
    throw zipRefusal(`${quoted(central.name)} is stored, but its two sizes differ`);
  }
}

const WORD_OF = {
  name: 'name',
  method: 'compression',
  crc32: 'checksum',
  compressedBytes: 'compressed size',
  sizeBytes: 'size',
} as const;

function kindOf(central: CentralRecord): ZipEntry['kind'] {
  const folder = central.name.endsWith('/');
  const type = central.mode & 0o170000;
  if (type !== 0 && type !== (folder ? 0o040000 : 0o100000)) {
    throw zipRefusal(`${quoted(central.name)} is a link or a special file`);
  }
  if (folder && central.sizeBytes !== 0) throw zipRefusal(`the folder ${quoted(central.name)} has bytes`);
  return folder ? 'folder' : 'file';
}
