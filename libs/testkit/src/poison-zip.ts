import { crc32, deflateRawSync } from 'node:zlib';

/** What both headers of a member say; each of them may be made to lie. */
export interface ZipFields {
  readonly name: Uint8Array | string;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly packedBytes: number;
  readonly sizeBytes: number;
  readonly extra: Uint8Array;
}

export interface PoisonMember {
  readonly name: string;
  readonly bytes?: Uint8Array | string;
  readonly deflated?: boolean;
  /** Instead of the packed bytes. */
  readonly packed?: Uint8Array;
  readonly both?: Partial<ZipFields>;
  readonly local?: Partial<ZipFields>;
  readonly central?: Partial<ZipFields & { offset: number; mode: number; comment: string; disk: number }>;
  /** Left out of one of the two places. */
  readonly missing?: 'local' | 'central';
}

export interface PoisonEnd {
  readonly before?: Uint8Array;
  readonly beforeDirectory?: Uint8Array;
  readonly beforeEnd?: Uint8Array;
  readonly after?: Uint8Array;
  readonly comment?: Uint8Array;
  readonly end?: Partial<{ disk: number; count: number; directoryBytes: number; directoryStart: number }>;
  /** ZIP64 end record and locator, true unless told otherwise. */
  readonly end64?: Partial<{
    lengthBytes: number;
    count: number;
    directoryBytes: number;
    directoryStart: number;
    locator: number;
    disks: number;
  }>;
  readonly locatorMissing?: boolean;
}

/** A zip archive, true unless told otherwise. The same arguments give the same bytes. Source: PKWARE APPNOTE 6.3.10. */
export function poisonZip(members: readonly PoisonMember[], lies: PoisonEnd = {}): Buffer {
  const pieces: Buffer[] = [Buffer.from(lies.before ?? [])];
  const directory: Buffer[] = [];
  let at = pieces[0]?.length ?? 0;
  for (const member of members) {
    const bytes = Buffer.from(member.bytes ?? '');
    const packed = Buffer.from(member.packed ?? (member.deflated === true ? deflateRawSync(bytes) : bytes));
    const fields: ZipFields = {
      name: member.name,
      flags: /^[ -~]*$/.test(member.name) ? 0 : 0x0800,
      method: member.deflated === true ? 8 : 0,
      crc32: crc32(bytes),
      packedBytes: packed.length,
      sizeBytes: bytes.length,
      extra: new Uint8Array(0),
      ...member.both,
    };
    if (member.missing !== 'central') directory.push(centralOf(fields, at, member.central));
    if (member.missing === 'local') continue;
    const local = localOf({ ...fields, ...member.local });
    pieces.push(local, packed);
    at += local.length + packed.length;
  }
  const between = Buffer.from(lies.beforeDirectory ?? []);
  const central = Buffer.concat(directory);
  const end = {
    disk: 0,
    count: directory.length,
    directoryBytes: central.length,
    directoryStart: at + between.length,
  };
  const beforeEnd = Buffer.from(lies.beforeEnd ?? []);
  const end64At = end.directoryStart + central.length + beforeEnd.length;
  return Buffer.concat([
    ...pieces,
    between,
    central,
    beforeEnd,
    lies.end64 === undefined ? Buffer.alloc(0) : end64Of({ ...end, ...lies.end64 }, lies.end64.lengthBytes ?? 44),
    lies.end64 === undefined || lies.locatorMissing === true
      ? Buffer.alloc(0)
      : locatorOf(lies.end64.locator ?? end64At, lies.end64.disks ?? 1),
    endOf({ ...end, ...lies.end }, Buffer.from(lies.comment ?? [])),
    Buffer.from(lies.after ?? []),
  ]);
}

/** An extra field of these 64-bit numbers. Id 1 holds the sizes of ZIP64. */
export function wideExtra(...values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return field;
}

/** The extra field that gives a member a second name. */
export function secondName(headerName: string, name: string): Buffer {
  const head = Buffer.alloc(9);
  head.writeUInt16LE(0x7075, 0);
  head.writeUInt16LE(5 + Buffer.byteLength(name), 2);
  head.writeUInt8(1, 4);
  head.writeUInt32LE(crc32(headerName), 5);
  return Buffer.concat([head, Buffer.from(name)]);
}

function localOf(fields: ZipFields): Buffer {
  const head = Buffer.alloc(30);
  head.writeUInt32LE(0x04034b50, 0);
  head.writeUInt16LE(20, 4);
  writeShared(head, 6, fields);
  return Buffer.concat([head, Buffer.from(fields.name), fields.extra]);
}

function centralOf(fields: ZipFields, at: number, lies: PoisonMember['central'] = {}): Buffer {
  const told = { ...fields, offset: at, mode: 0o100644, comment: '', disk: 0, ...lies };
  const head = Buffer.alloc(46);
  head.writeUInt32LE(0x02014b50, 0);
  head.writeUInt16LE(0x0314, 4);
  head.writeUInt16LE(20, 6);
  writeShared(head, 8, told);
  head.writeUInt16LE(Buffer.byteLength(told.comment), 32);
  head.writeUInt16LE(told.disk, 34);
  head.writeUInt16LE(told.mode, 40);
  head.writeUInt32LE(told.offset, 42);
  return Buffer.concat([head, Buffer.from(told.name), told.extra, Buffer.from(told.comment)]);
}

function writeShared(head: Buffer, at: number, fields: ZipFields): void {
  head.writeUInt16LE(fields.flags, at);
  head.writeUInt16LE(fields.method, at + 2);
  // 1980-01-01, the first day that a zip knows.
  head.writeUInt32LE(0x00210000, at + 4);
  head.writeUInt32LE(fields.crc32, at + 8);
  head.writeUInt32LE(fields.packedBytes, at + 12);
  head.writeUInt32LE(fields.sizeBytes, at + 16);
  head.writeUInt16LE(Buffer.from(fields.name).length, at + 20);
  head.writeUInt16LE(fields.extra.length, at + 22);
}

type End = Required<NonNullable<PoisonEnd['end']>>;

function endOf(end: End, comment: Buffer): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(end.disk, 4);
  record.writeUInt16LE(end.disk, 6);
  record.writeUInt16LE(Math.min(end.count, 0xffff), 8);
  record.writeUInt16LE(Math.min(end.count, 0xffff), 10);
  record.writeUInt32LE(end.directoryBytes, 12);
  record.writeUInt32LE(end.directoryStart, 16);
  record.writeUInt16LE(comment.length, 20);
  return Buffer.concat([record, comment]);
}

function end64Of(end: End, lengthBytes: number): Buffer {
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(lengthBytes), 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  const wide = [end.count, end.count, end.directoryBytes, end.directoryStart];
  for (const [index, value] of wide.entries()) record.writeBigUInt64LE(BigInt(value), 24 + 8 * index);
  return record;
}

function locatorOf(end64At: number, disks: number): Buffer {
  const record = Buffer.alloc(20);
  record.writeUInt32LE(0x07064b50, 0);
  record.writeBigUInt64LE(BigInt(end64At), 8);
  record.writeUInt32LE(disks, 16);
  return record;
}
