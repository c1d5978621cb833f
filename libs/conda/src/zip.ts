// The part of a .conda that is a zip, read strictly by ranges (APPNOTE 6.3):
//
//   local header, name, extra, bytes   one per member, laid end to end from offset 0
//   central directory                  one entry per member
//   [zip64 end record, zip64 locator]
//   end record                         without a comment, and nothing after it
//
// Two readers of a loose zip can see two archives: one trusts the local headers, one the directory, one searches for the end
// record. So every byte must belong to exactly one of these pieces and both headers must agree.
import { Fault } from '@vivarium/fault/fault';
import type { ByteSource } from './source.js';

export interface ZipMember {
  readonly name: string;
  /** Where the member's bytes begin in the archive. They are stored as they are, not compressed. */
  readonly start: number;
  readonly sizeBytes: number;
  readonly crc32: number;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const NAMES_ARE_UTF8 = 0x0800;
const HAS_DATA_DESCRIPTOR = 0x0008;
const MAX_MEMBERS = 16;

/**
 * The members of a zip whose members are all stored, in the order of their bytes.
 * Throws Fault('invalid') for anything that two readers could take differently: leading, trailing or unclaimed bytes, a
 * comment, headers that disagree, repeated names, compressed or encrypted members, data descriptors, several disks.
 */
export async function readStoredZip(source: ByteSource, directoryBytes: number): Promise<readonly ZipMember[]> {
  const end = await readEnd(source);
  if (end.count > MAX_MEMBERS) throw bad(`it has ${end.count} members`);
  if (end.size > directoryBytes) throw bad('its directory is too large');
  if (end.offset + end.size !== end.at) throw bad('bytes lie between its directory and its end record');
  const members = parseDirectory(viewOf(await source.read(end.offset, end.at)), end.count);
  members.sort((a, b) => a.offset - b.offset);
  const found: ZipMember[] = [];
  let at = 0;
  for (const member of members) {
    if (member.offset !== at) throw bad('bytes lie before or between its members, or members overlap');
    const start = await checkLocal(source, member, end.offset);
    found.push({ name: member.name, start, sizeBytes: member.size, crc32: member.crc32 });
    at = start + member.size;
  }
  if (at !== end.offset) throw bad('bytes lie between its members and its directory');
  if (new Set(found.map((member) => member.name)).size !== found.length) throw bad('two members have the same name');
  return found;
}

interface End {
  /** Offset of the end record, or of the zip64 end record when there is one. */
  readonly at: number;
  readonly count: number;
  readonly size: number;
  readonly offset: number;
}

interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly crc32: number;
  readonly size: number;
  readonly offset: number;
}

async function readEnd(source: ByteSource): Promise<End> {
  const size = source.sizeBytes;
  if (size < 22) throw bad('it is too short');
  const tailStart = Math.max(0, size - 22 - 20 - 56);
  const tail = viewOf(await source.read(tailStart, size));
  const at = tail.byteLength - 22;
  if (tail.getUint32(at, true) !== END || tail.getUint16(at + 20, true) !== 0) {
    throw bad('it does not end with an end record: it is cut short, has a comment, or bytes were appended');
  }
  const count = tail.getUint16(at + 10, true);
  if (tail.getUint32(at + 4, true) !== 0 || tail.getUint16(at + 8, true) !== count) throw bad('it spans several disks');
  const end = { at: size - 22, count, size: tail.getUint32(at + 12, true), offset: tail.getUint32(at + 16, true) };
  const has64 = at >= 76 && tail.getUint32(at - 20, true) === LOCATOR64;
  if (!has64) {
    // Without a zip64 record these values are either real or unreadable; both fail the sums that follow.
    return end;
  }
  return readEnd64(tail, at - 20, tailStart, end);
}

function readEnd64(tail: DataView, locator: number, tailStart: number, end: End): End {
  const record = locator - 56;
  if (
    tail.getUint32(record, true) !== END64 ||
    wide(tail, record + 4) !== 44 ||
    wide(tail, locator + 8) !== tailStart + record ||
    tail.getUint32(locator + 4, true) !== 0 ||
    tail.getUint32(locator + 16, true) !== 1 ||
    tail.getUint32(record + 16, true) !== 0 ||
    tail.getUint32(record + 20, true) !== 0
  ) {
    throw bad('its zip64 end record is broken');
  }
  const wideEnd = {
    at: tailStart + record,
    count: wide(tail, record + 32),
    size: wide(tail, record + 40),
    offset: wide(tail, record + 48),
  };
  const agrees = (narrow: number, real: number, unset: number) => narrow === unset || narrow === real;
  if (
    wide(tail, record + 24) !== wideEnd.count ||
    !agrees(end.count, wideEnd.count, 0xffff) ||
    !agrees(end.size, wideEnd.size, 0xffffffff) ||
    !agrees(end.offset, wideEnd.offset, 0xffffffff)
  ) {
    throw bad('its two end records disagree');
  }
  return wideEnd;
}

function parseDirectory(view: DataView, count: number): Entry[] {
  const entries: Entry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== CENTRAL) throw bad('its directory is broken');
    const nameBytes = view.getUint16(at + 28, true);
    const extraBytes = view.getUint16(at + 30, true);
    const next = at + 46 + nameBytes + extraBytes;
    if (next > view.byteLength) throw bad('its directory is broken');
    if (view.getUint16(at + 32, true) !== 0) throw bad('a member has a comment');
    if (view.getUint16(at + 34, true) !== 0) throw bad('it spans several disks');
    const name = nameOf(view, at + 46, nameBytes);
    checkMethod(name, view.getUint16(at + 8, true), view.getUint16(at + 10, true));
    checkType(name, view.getUint16(at + 40, true));
    const [size, packed, offset] = widened(
      [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)],
      view,
      at + 46 + nameBytes,
      extraBytes,
    );
    if (size !== packed) throw bad(`the sizes of ${JSON.stringify(name)} disagree`);
    entries.push({ name, flags: view.getUint16(at + 8, true), crc32: view.getUint32(at + 16, true), size, offset });
    at = next;
  }
  if (at !== view.byteLength) throw bad('its directory has more entries than it says');
  return entries;
}

async function checkLocal(source: ByteSource, entry: Entry, limit: number): Promise<number> {
  const fixedEnd = entry.offset + 30;
  if (fixedEnd > limit) throw bad('a member lies outside the archive');
  const fixed = viewOf(await source.read(entry.offset, fixedEnd));
  if (fixed.getUint32(0, true) !== LOCAL) throw bad('a member does not begin with a header');
  const nameBytes = fixed.getUint16(26, true);
  const extraBytes = fixed.getUint16(28, true);
  const start = fixedEnd + nameBytes + extraBytes;
  if (start + entry.size > limit) throw bad(`the bytes of ${JSON.stringify(entry.name)} lie outside the archive`);
  const rest = viewOf(await source.read(fixedEnd, start));
  const [size, packed] = widened(
    [fixed.getUint32(22, true), fixed.getUint32(18, true), 0],
    rest,
    nameBytes,
    extraBytes,
  );
  const same =
    nameOf(rest, 0, nameBytes) === entry.name &&
    fixed.getUint16(6, true) === entry.flags &&
    fixed.getUint16(8, true) === 0 &&
    fixed.getUint32(14, true) === entry.crc32 &&
    size === entry.size &&
    packed === entry.size;
  if (!same) throw bad(`the two headers of ${JSON.stringify(entry.name)} disagree`);
  return start;
}

function checkMethod(name: string, flags: number, method: number): void {
  const shown = JSON.stringify(name);
  if ((flags & HAS_DATA_DESCRIPTOR) !== 0 && method === 0) {
    throw bad(`${shown} was written as a stream (with a data descriptor), which clients cannot read in place`);
  }
  if (method !== 0) throw bad(`${shown} is compressed; members must be stored (their contents are zstd already)`);
  if ((flags & ~NAMES_ARE_UTF8) !== 0) throw bad(`${shown} is encrypted or uses an unknown feature`);
}

// What the archiver's file system said of the member: zero, or the type and permissions of a Unix file.
function checkType(name: string, mode: number): void {
  const type = mode & 0o170000;
  if (type !== 0 && type !== 0o100000) throw bad(`${JSON.stringify(name)} is a link or a special file`);
}

/** Sizes and offset with the values of the zip64 extra field in place of 0xffffffff. */
function widened(
  narrow: readonly [number, number, number],
  view: DataView,
  start: number,
  length: number,
): [number, number, number] {
  const values: [number, number, number] = [...narrow];
  const end = start + length;
  let seen = false;
  for (let at = start; at < end; ) {
    if (at + 4 > end) throw bad('an extra field is broken');
    const id = view.getUint16(at, true);
    const fieldEnd = at + 4 + view.getUint16(at + 2, true);
    if (fieldEnd > end) throw bad('an extra field is broken');
    // Some readers take a name from this field instead of from the header.
    if (id === 0x7075) throw bad('a member has a second name in an extra field');
    if (id === 1) {
      if (seen) throw bad('a member has two zip64 fields');
      seen = true;
      fillWide(values, view, at + 4, fieldEnd);
    }
    at = fieldEnd;
  }
  if (!seen && values.includes(0xffffffff)) throw bad('a zip64 field is missing');
  return values;
}

function fillWide(values: [number, number, number], view: DataView, start: number, end: number): void {
  let at = start;
  const next = () => {
    if (at + 8 > end) throw bad('a zip64 field is too short');
    at += 8;
    return wide(view, at - 8);
  };
  const unset = values.some((value) => value === 0xffffffff);
  if (unset) {
    for (const i of [0, 1, 2] as const) if (values[i] === 0xffffffff) values[i] = next();
    return;
  }
  // Some writers add the field although the narrow values fit: then it must say the same.
  for (const i of [0, 1] as const) {
    if (at < end && next() !== values[i]) throw bad('a zip64 field and its header disagree');
  }
}

function nameOf(view: DataView, start: number, length: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + start, length);
  if (length === 0 || bytes.some((byte) => byte < 0x20 || byte > 0x7e)) throw bad('a member has an unprintable name');
  return String.fromCharCode(...bytes);
}

function wide(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw bad('it claims an impossible size');
  return Number(value);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bad(reason: string): Fault {
  return new Fault('invalid', `The .conda file is not a sound zip: ${reason}. Build the package again.`);
}
