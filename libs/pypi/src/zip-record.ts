import { crc32 } from 'node:zlib';
import { Fault } from '@vivarium/fault/fault';

/** What a local header and a central record both say of a member; the two must agree. */
export interface ZipMember {
  readonly name: string;
  readonly method: 'stored' | 'deflated';
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  /** Where the local header begins. */
  readonly offset: number;
}

export interface LocalHeader extends ZipMember {
  readonly dataStart: number;
}

export interface CentralRecord extends ZipMember {
  /** Unix mode bits, zero if the archive was not made with any. */
  readonly mode: number;
}

export const LOCAL_HEADER_BYTES = 30;
export const CENTRAL_RECORD_BYTES = 46;
export const END_BYTES = 22;
export const END64_BYTES = 56;
export const LOCATOR_BYTES = 20;

const MASKED_16 = 0xffff;
const MASKED_32 = 0xffffffff;
const UTF8_FLAG = 0x0800;
// Bits 1 and 2 tell how hard the compressor tried. All others change how the archive is read.
const HARMLESS_FLAGS = 0x0006;
const DATA_DESCRIPTOR_FLAG = 0x0008;
const ENCRYPTED_FLAG = 0x0001;
const ZIP64_EXTRA = 0x0001;
const UNICODE_PATH_EXTRA = 0x7075;

/** A refusal of the archive, `reason` completing a sentence. */
export function zipRefusal(reason: string): Fault {
  return new Fault('invalid', `The zip archive is refused: ${reason}. Build it again with a current tool.`);
}

/** How many bytes follow the fixed part of a local header: its name and its extra fields. */
export function localTailBytes(fixed: Uint8Array): number {
  const view = viewOf(fixed);
  return view.getUint16(26, true) + view.getUint16(28, true);
}

/** How many bytes follow the fixed part of a central record: its name, extra fields and comment. */
export function centralTailBytes(fixed: Uint8Array): number {
  const view = viewOf(fixed);
  return view.getUint16(28, true) + view.getUint16(30, true) + view.getUint16(32, true);
}

/** Reads a local header, name and extra fields included. Throws Fault('invalid'). Source: APPNOTE 4.3.7. */
export function parseLocalHeader(bytes: Uint8Array, offset: number): LocalHeader {
  const view = viewOf(bytes);
  const nameEnd = LOCAL_HEADER_BYTES + view.getUint16(26, true);
  const flags = view.getUint16(6, true);
  const rawName = bytes.subarray(LOCAL_HEADER_BYTES, nameEnd);
  const name = nameOf(rawName, flags);
  const extras = extrasOf(bytes.subarray(nameEnd), rawName, name);
  const [sizeBytes, compressedBytes] = [view.getUint32(22, true), view.getUint32(18, true)];
  const wideSizes = extras.get(ZIP64_EXTRA);
  const places = { sizeBytes, compressedBytes, offset: 0 };
  const sizes = repeatsSizes(wideSizes, places) ? places : widened(wideSizes, name, places);
  return {
    name,
    method: methodOf(view.getUint16(8, true), name),
    crc32: view.getUint32(14, true),
    ...sizes,
    offset,
    dataStart: offset + bytes.length,
  };
}

/** Reads a record of the central directory, name and extra fields included. Throws Fault('invalid'). Source: APPNOTE 4.3.12. */
export function parseCentralRecord(bytes: Uint8Array): CentralRecord {
  const view = viewOf(bytes);
  const nameEnd = CENTRAL_RECORD_BYTES + view.getUint16(28, true);
  const flags = view.getUint16(8, true);
  const rawName = bytes.subarray(CENTRAL_RECORD_BYTES, nameEnd);
  const name = nameOf(rawName, flags);
  if (view.getUint16(32, true) !== 0) throw zipRefusal(`the member ${quoted(name)} has a comment`);
  const extras = extrasOf(bytes.subarray(nameEnd), rawName, name);
  const disk = view.getUint16(34, true);
  const places = widened(
    extras.get(ZIP64_EXTRA),
    name,
    {
      sizeBytes: view.getUint32(24, true),
      compressedBytes: view.getUint32(20, true),
      offset: view.getUint32(42, true),
    },
    disk,
  );
  return {
    name,
    method: methodOf(view.getUint16(10, true), name),
    crc32: view.getUint32(16, true),
    ...places,
    mode: view.getUint16(40, true),
  };
}

/** What the end of the archive says of its central directory. */
export interface ZipEnd {
  readonly records: number;
  readonly directoryBytes: number;
  readonly directoryStart: number;
}

/** Reads the ZIP64 end record. Throws Fault('invalid'). Source: APPNOTE 4.3.14. */
export function parseEnd64(bytes: Uint8Array): ZipEnd {
  const view = viewOf(bytes);
  // A longer record has room for data that some readers take for more records.
  if (wide(view, 4) !== END64_BYTES - 12) throw zipRefusal('its ZIP64 end record has an unusual length');
  if (view.getUint32(16, true) !== 0 || view.getUint32(20, true) !== 0 || wide(view, 24) !== wide(view, 32)) {
    throw zipRefusal('it is one part of several');
  }
  return { records: wide(view, 32), directoryBytes: wide(view, 40), directoryStart: wide(view, 48) };
}

/** Throws Fault('invalid') unless the locator points to the ZIP64 end record at `end64Start`. Source: APPNOTE 4.3.15. */
export function checkLocator(bytes: Uint8Array, end64Start: number): void {
  const view = viewOf(bytes);
  if (view.getUint32(4, true) !== 0 || view.getUint32(16, true) !== 1) throw zipRefusal('it is one part of several');
  if (wide(view, 8) !== end64Start) throw zipRefusal('its ZIP64 locator points elsewhere');
}

/** How many bytes of comment follow the end record. */
export function commentBytes(end: Uint8Array): number {
  return viewOf(end).getUint16(20, true);
}

/**
 * Reads the end record with its comment, and holds it against the ZIP64 end record if there is one: each value must be
 * the same or left out. Throws Fault('invalid'). Source: APPNOTE 4.3.16.
 */
export function parseEnd(bytes: Uint8Array, end64: ZipEnd | undefined): ZipEnd {
  const view = viewOf(bytes);
  const end = {
    records: view.getUint16(10, true),
    directoryBytes: view.getUint32(12, true),
    directoryStart: view.getUint32(16, true),
  };
  const comment = bytes.subarray(END_BYTES);
  if (comment.some((byte) => byte < 0x20 || byte > 0x7e)) throw zipRefusal('its comment is not printable ASCII');
  const disks = [view.getUint16(4, true), view.getUint16(6, true)];
  if (disks.some((disk) => disk !== 0) || view.getUint16(8, true) !== end.records) {
    throw zipRefusal('it is one part of several');
  }
  if (end64 === undefined) return end;
  if (
    (end.records !== MASKED_16 && end.records !== end64.records) ||
    (end.directoryBytes !== MASKED_32 && end.directoryBytes !== end64.directoryBytes) ||
    (end.directoryStart !== MASKED_32 && end.directoryStart !== end64.directoryStart)
  ) {
    throw zipRefusal('its two end records disagree');
  }
  return end64;
}

export function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function wide(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw zipRefusal('it gives an impossible size');
  return Number(value);
}

function methodOf(method: number, name: string): 'stored' | 'deflated' {
  if (method === 0) return 'stored';
  if (method === 8) return 'deflated';
  throw zipRefusal(
    `the member ${quoted(name)} uses compression method ${method}; only "stored" and "deflated" are read everywhere`,
  );
}

function nameOf(raw: Uint8Array, flags: number): string {
  const name = decoded(raw);
  if ((flags & ENCRYPTED_FLAG) !== 0) throw zipRefusal(`the member ${quoted(name)} is encrypted`);
  if ((flags & DATA_DESCRIPTOR_FLAG) !== 0) {
    throw zipRefusal(
      `the member ${quoted(name)} was written with a data descriptor, which installers that stream cannot read`,
    );
  }
  if ((flags & ~(HARMLESS_FLAGS | UTF8_FLAG)) !== 0) throw zipRefusal(`the member ${quoted(name)} has unknown flags`);
  // Without the flag the name is in some old code page, and tools disagree on which.
  if ((flags & UTF8_FLAG) === 0 && raw.some((byte) => byte > 0x7e)) {
    throw zipRefusal(`the member ${quoted(name)} has a name beyond ASCII that is not marked as UTF-8`);
  }
  return name;
}

function decoded(raw: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch (cause) {
    throw new Fault(
      'invalid',
      'The zip archive is refused: the name of a member is not UTF-8. Rename it and build again.',
      { cause },
    );
  }
}

/** The extra fields that change how a member is read, by id. */
function extrasOf(bytes: Uint8Array, rawName: Uint8Array, name: string): ReadonlyMap<number, Uint8Array> {
  const view = viewOf(bytes);
  const extras = new Map<number, Uint8Array>();
  let at = 0;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw zipRefusal(`the extra fields of ${quoted(name)} are cut short`);
    const id = view.getUint16(at, true);
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > bytes.length) throw zipRefusal(`the extra fields of ${quoted(name)} are cut short`);
    if (id === ZIP64_EXTRA || id === UNICODE_PATH_EXTRA) {
      if (extras.has(id)) throw zipRefusal(`${quoted(name)} has an extra field twice`);
      extras.set(id, bytes.subarray(at + 4, end));
    }
    at = end;
  }
  const unicodePath = extras.get(UNICODE_PATH_EXTRA);
  if (unicodePath !== undefined && !repeatsName(unicodePath, rawName)) {
    throw zipRefusal(`${quoted(name)} carries a second, different name`);
  }
  return extras;
}

/** A Unicode path field renames the member for the readers that know it, so it must say the same name. */
function repeatsName(field: Uint8Array, rawName: Uint8Array): boolean {
  if (field.length !== 5 + rawName.length || field[0] !== 1) return false;
  return (
    viewOf(field).getUint32(1, true) === crc32(rawName) && rawName.every((byte, index) => field[5 + index] === byte)
  );
}

/** Python before 3.11.4 writes sizes that would have fitted twice into a local header. Whoever reads either reads the same. */
function repeatsSizes(field: Uint8Array | undefined, { sizeBytes, compressedBytes }: Places): boolean {
  if (field?.length !== 16 || sizeBytes === MASKED_32 || compressedBytes === MASKED_32) return false;
  const view = viewOf(field);
  return wide(view, 0) === sizeBytes && wide(view, 8) === compressedBytes;
}

interface Places {
  readonly sizeBytes: number;
  readonly compressedBytes: number;
  readonly offset: number;
}

/**
 * The values with those that did not fit replaced by the ZIP64 field's, which must hold these and no others: of a field
 * that holds more, readers take different ones. Source: APPNOTE 4.5.3.
 */
function widened(field: Uint8Array | undefined, name: string, places: Places, disk = 0): Places {
  const masked = [places.sizeBytes, places.compressedBytes, places.offset].filter((value) => value === MASKED_32);
  const expectedBytes = masked.length * 8 + (disk === MASKED_16 ? 4 : 0);
  if ((field?.length ?? 0) !== expectedBytes)
    throw zipRefusal(`the ZIP64 sizes of ${quoted(name)} do not fit its header`);
  const view = viewOf(field ?? new Uint8Array(0));
  let at = 0;
  const full = (value: number): number => {
    if (value !== MASKED_32) return value;
    at += 8;
    return wide(view, at - 8);
  };
  // The field holds its values in this order.
  const sizeBytes = full(places.sizeBytes);
  const compressedBytes = full(places.compressedBytes);
  const offset = full(places.offset);
  if ((disk === MASKED_16 ? view.getUint32(at, true) : disk) !== 0) throw zipRefusal('it is one part of several');
  return { sizeBytes, compressedBytes, offset };
}
