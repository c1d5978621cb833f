import { crc32, deflateRawSync } from 'node:zlib';

/** What a header says; any of it may be made to lie. */
export interface ZipFields {
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  readonly name: Uint8Array;
  readonly extra: Uint8Array;
}

export interface ZipMemberToWrite {
  readonly name: string;
  readonly bytes?: Uint8Array | string;
  readonly stored?: boolean;
  /** In place of the compressed bytes. */
  readonly data?: Uint8Array;
  readonly mode?: number;
  /** Lies of both headers. */
  readonly both?: Partial<ZipFields>;
  readonly local?: Partial<ZipFields>;
  readonly central?: Partial<ZipFields & { offset: number; disk: number; comment: Uint8Array }>;
  readonly absentFrom?: 'locals' | 'directory';
}

export interface ZipEndToWrite {
  readonly prefix?: Uint8Array;
  readonly betweenDirectoryAndEnd?: Uint8Array;
  readonly suffix?: Uint8Array;
  readonly comment?: Uint8Array;
  readonly end?: Partial<{
    disk: number;
    recordsHere: number;
    records: number;
    directoryBytes: number;
    directoryStart: number;
  }>;
  readonly end64?: Partial<{
    lengthBytes: number;
    disk: number;
    recordsHere: number;
    records: number;
    directoryStart: number;
  }>;
  readonly locator?: Partial<{ end64Start: number; disks: number }> | 'absent';
}

/** Writes a zip archive, honest unless told otherwise. */
export function zipOf(members: readonly ZipMemberToWrite[], options: ZipEndToWrite = {}): Buffer {
  const prefix = Buffer.from(options.prefix ?? []);
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let at = prefix.length;
  for (const member of members) {
    const bytes = Buffer.from(member.bytes ?? '');
    const data = member.data ?? (member.stored === true ? bytes : deflateRawSync(bytes));
    const fields: ZipFields = {
      flags: /^[ -~]*$/.test(member.name) ? 0 : 0x0800,
      method: member.stored === true ? 0 : 8,
      crc32: crc32(bytes),
      compressedBytes: data.length,
      sizeBytes: bytes.length,
      name: Buffer.from(member.name),
      extra: new Uint8Array(0),
      ...member.both,
    };
    const local = localHeader({ ...fields, ...member.local });
    if (member.absentFrom !== 'directory') {
      centrals.push(
        centralRecord({
          ...fields,
          offset: at,
          disk: 0,
          comment: new Uint8Array(0),
          mode: member.mode ?? 0o100644,
          ...member.central,
        }),
      );
    }
    if (member.absentFrom !== 'locals') {
      locals.push(local, Buffer.from(data));
      at += local.length + data.length;
    }
  }
  const directory = Buffer.concat(centrals);
  const between = Buffer.from(options.betweenDirectoryAndEnd ?? []);
  const place = {
    disk: 0,
    recordsHere: centrals.length,
    records: centrals.length,
    directoryBytes: directory.length,
    directoryStart: at,
  };
  const end64Start = at + directory.length + between.length;
  return Buffer.concat([
    prefix,
    ...locals,
    directory,
    between,
    ...(options.end64 === undefined ? [] : [end64Record({ lengthBytes: 44, ...place, ...options.end64 })]),
    ...(options.end64 === undefined || options.locator === 'absent'
      ? []
      : [locatorRecord({ end64Start, disks: 1, ...options.locator })]),
    endRecord({ ...place, ...options.end }, Buffer.from(options.comment ?? [])),
    Buffer.from(options.suffix ?? []),
  ]);
}

/** One extra field. */
export function extraField(id: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(id, 0);
  head.writeUInt16LE(body.length, 2);
  return Buffer.concat([head, body]);
}

/** 64-bit little-endian numbers, one after the other. */
export function wideNumbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8);
  return bytes;
}

function localHeader(fields: ZipFields): Buffer {
  const head = Buffer.alloc(30);
  head.writeUInt32LE(0x04034b50, 0);
  head.writeUInt16LE(20, 4);
  writeShared(head, 6, fields);
  return Buffer.concat([head, fields.name, fields.extra]);
}

function centralRecord(
  fields: ZipFields & { offset: number; disk: number; comment: Uint8Array; mode: number },
): Buffer {
  const head = Buffer.alloc(46);
  head.writeUInt32LE(0x02014b50, 0);
  head.writeUInt16LE(0x0314, 4);
  head.writeUInt16LE(20, 6);
  writeShared(head, 8, fields);
  head.writeUInt16LE(fields.comment.length, 32);
  head.writeUInt16LE(fields.disk, 34);
  head.writeUInt16LE(fields.mode, 40);
  head.writeUInt32LE(fields.offset, 42);
  return Buffer.concat([head, fields.name, fields.extra, fields.comment]);
}

function writeShared(head: Buffer, at: number, fields: ZipFields): void {
  head.writeUInt16LE(fields.flags, at);
  head.writeUInt16LE(fields.method, at + 2);
  head.writeUInt32LE(0x00210000, at + 4);
  head.writeUInt32LE(fields.crc32, at + 8);
  head.writeUInt32LE(fields.compressedBytes, at + 12);
  head.writeUInt32LE(fields.sizeBytes, at + 16);
  head.writeUInt16LE(fields.name.length, at + 20);
  head.writeUInt16LE(fields.extra.length, at + 22);
}

type Place = Required<NonNullable<ZipEndToWrite['end']>>;

function end64Record(place: Place & { lengthBytes: number }): Buffer {
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(BigInt(place.lengthBytes), 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeUInt32LE(place.disk, 16);
  record.writeUInt32LE(place.disk, 20);
  wideNumbers(place.recordsHere, place.records, place.directoryBytes, place.directoryStart).copy(record, 24);
  return record;
}

function locatorRecord(locator: { end64Start: number; disks: number }): Buffer {
  const record = Buffer.alloc(20);
  record.writeUInt32LE(0x07064b50, 0);
  wideNumbers(locator.end64Start).copy(record, 8);
  record.writeUInt32LE(locator.disks, 16);
  return record;
}

function endRecord(place: Place, comment: Buffer): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(place.disk, 4);
  record.writeUInt16LE(place.disk, 6);
  record.writeUInt16LE(place.recordsHere, 8);
  record.writeUInt16LE(place.records, 10);
  record.writeUInt32LE(place.directoryBytes, 12);
  record.writeUInt32LE(place.directoryStart, 16);
  record.writeUInt16LE(comment.length, 20);
  return Buffer.concat([record, comment]);
}
