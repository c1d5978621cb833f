import { crc32 } from 'node:zlib';
import { Fault } from '@vivarium/fault/fault';
import { type ByteSource, windowed } from './byte-source.js';
import { inflateRange } from './inflate.js';

const FIXED_HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const MAX_HEADER_TEXT_BYTES = 4096;

const HAS_HEADER_CRC = 0x02;
const HAS_EXTRA = 0x04;
const HAS_NAME = 0x08;
const HAS_COMMENT = 0x10;
const RESERVED = 0xe0;

/**
 * Unpacks a gzip file that is one member from its first byte to its last, in chunks; `count` is told of each and throws
 * to stop a bomb. Throws Fault('invalid') for several members or anything behind the first, which some tools read and
 * some do not, and for a wrong size or CRC-32. Source: RFC 1952.
 */
export async function* gunzip(file: ByteSource, count: (chunkBytes: number) => void): AsyncGenerator<Uint8Array> {
  const source = windowed(file);
  const start = await headerBytes(source);
  const end = source.sizeBytes - TRAILER_BYTES;
  if (end < start) throw refusal('is cut short');
  let sizeBytes = 0;
  let crc = 0;
  for await (const chunk of inflateRange(source, start, end, count)) {
    sizeBytes += chunk.length;
    crc = crc32(chunk, crc);
    yield chunk;
  }
  const trailer = Buffer.from(await source.read(end, end + TRAILER_BYTES));
  if (trailer.readUInt32LE(0) !== crc) throw refusal('has a wrong checksum');
  if (trailer.readUInt32LE(4) !== sizeBytes % 2 ** 32) throw refusal('has a wrong size');
}

async function headerBytes(source: ByteSource): Promise<number> {
  const take = (start: number, end: number): Promise<Uint8Array> => {
    if (end > source.sizeBytes) throw refusal('is cut short');
    return source.read(start, end);
  };
  const [first, second, method, flags = 0] = await take(0, FIXED_HEADER_BYTES);
  if (first !== 0x1f || second !== 0x8b || method !== 8 || (flags & RESERVED) !== 0) throw refusal('is no gzip file');
  let at = FIXED_HEADER_BYTES;
  if ((flags & HAS_EXTRA) !== 0) at += 2 + Buffer.from(await take(at, at + 2)).readUInt16LE(0);
  for (const flag of [HAS_NAME, HAS_COMMENT]) {
    if ((flags & flag) === 0) continue;
    const text = await take(at, Math.min(at + MAX_HEADER_TEXT_BYTES, source.sizeBytes));
    const length = text.indexOf(0);
    if (length < 0) throw refusal('has a header without end');
    at += length + 1;
  }
  return (flags & HAS_HEADER_CRC) === 0 ? at : at + 2;
}

function refusal(reason: string): Fault {
  return new Fault('invalid', `The .tar.gz archive ${reason}. Build it again with a current tool.`);
}
