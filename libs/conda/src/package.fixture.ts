// Builds archives byte by byte for tests: sound ones, and ones that no builder would write.
import zlib from 'node:zlib';
import type { ByteSource } from './source.js';

export interface TarFile {
  readonly name: string;
  readonly text?: string | Uint8Array;
  readonly type?: string;
  readonly target?: string;
  /** Instead of the size of the text. */
  readonly size?: number;
  readonly prefix?: string;
  readonly magic?: string;
}

/** A tar with these entries and its end mark. */
export function tarOf(files: readonly TarFile[]): Buffer {
  return Buffer.concat([...files.map(tarEntryOf), Buffer.alloc(1024)]);
}

export function tarEntryOf(file: TarFile): Buffer {
  const body = Buffer.from(file.text ?? '');
  const block = Buffer.alloc(512);
  block.write(file.name, 0, 100);
  block.write('0000644\u00000000000\u00000000000\0', 100, 'latin1');
  block.write(`${(file.size ?? body.length).toString(8).padStart(11, '0')}\u000000000000000\0`, 124, 'latin1');
  block.write(file.type ?? '0', 156, 'latin1');
  block.write(file.target ?? '', 157, 100);
  block.write(file.magic ?? 'ustar\u000000', 257, 'latin1');
  block.write(file.prefix ?? '', 345, 155);
  const sum = block.reduce((total, byte) => total + byte, 8 * 0x20);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([block, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

export interface ZipFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Changes of single fields, to tell lies: in both headers, or in the local one only. */
  readonly method?: number;
  readonly flags?: number;
  readonly localName?: string;
  readonly localSize?: number;
  readonly crc?: number;
  readonly extra?: Buffer;
  readonly comment?: string;
  readonly mode?: number;
}

export interface ZipLies {
  readonly before?: Buffer;
  readonly beforeDirectory?: Buffer;
  readonly after?: Buffer;
  readonly comment?: string;
  readonly count?: number;
  readonly zip64?: boolean;
}

/** A zip of stored members. */
export function zipOf(files: readonly ZipFile[], lies: ZipLies = {}): Buffer {
  const pieces: Buffer[] = [lies.before ?? Buffer.alloc(0)];
  const central: Buffer[] = [];
  const length = () => pieces.reduce((total, piece) => total + piece.length, 0);
  for (const file of files) {
    const offset = length();
    const extra = file.extra ?? Buffer.alloc(0);
    const fields = (name: string, size: number) => {
      const bytes = Buffer.alloc(26);
      bytes.writeUInt16LE(20, 0);
      bytes.writeUInt16LE(file.flags ?? 0, 2);
      bytes.writeUInt16LE(file.method ?? 0, 4);
      bytes.writeUInt32LE(file.crc ?? zlib.crc32(file.bytes), 10);
      bytes.writeUInt32LE(size, 14);
      bytes.writeUInt32LE(size, 18);
      bytes.writeUInt16LE(Buffer.byteLength(name), 22);
      bytes.writeUInt16LE(extra.length, 24);
      return bytes;
    };
    const localName = file.localName ?? file.name;
    const local = fields(localName, file.localSize ?? file.bytes.length);
    pieces.push(Buffer.from('PK\x03\x04'), local, Buffer.from(localName), extra, Buffer.from(file.bytes));
    const comment = Buffer.from(file.comment ?? '');
    const tail = Buffer.alloc(14);
    tail.writeUInt16LE(comment.length, 0);
    tail.writeUInt16LE(file.mode ?? 0, 8);
    tail.writeUInt32LE(offset, 10);
    const head = Buffer.concat([Buffer.from([20, 0]), fields(file.name, file.bytes.length)]);
    central.push(Buffer.from('PK\x01\x02'), head, tail, Buffer.from(file.name), extra, comment);
  }
  pieces.push(lies.beforeDirectory ?? Buffer.alloc(0));
  const offset = length();
  const directory = Buffer.concat(central);
  const count = lies.count ?? files.length;
  return Buffer.concat([
    ...pieces,
    directory,
    endOf(count, directory.length, offset, lies),
    lies.after ?? Buffer.alloc(0),
  ]);
}

function endOf(count: number, size: number, offset: number, lies: ZipLies): Buffer {
  const comment = Buffer.from(lies.comment ?? '');
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(lies.zip64 ? 0xffff : count, 8);
  end.writeUInt16LE(lies.zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : size, 12);
  end.writeUInt32LE(lies.zip64 ? 0xffffffff : offset, 16);
  end.writeUInt16LE(comment.length, 20);
  if (!lies.zip64) return Buffer.concat([end, comment]);
  const wide = Buffer.alloc(56);
  wide.write('PK\x06\x06', 0, 'latin1');
  wide.writeBigUInt64LE(44n, 4);
  wide.writeBigUInt64LE(BigInt(count), 24);
  wide.writeBigUInt64LE(BigInt(count), 32);
  wide.writeBigUInt64LE(BigInt(size), 40);
  wide.writeBigUInt64LE(BigInt(offset), 48);
  const locator = Buffer.alloc(20);
  locator.write('PK\x06\x07', 0, 'latin1');
  locator.writeBigUInt64LE(BigInt(offset + size), 8);
  locator.writeUInt32LE(1, 16);
  return Buffer.concat([wide, locator, end, comment]);
}

/** A bzip2 file. Made for small inputs: blocks of `blockBytes`, sorted naively, two equal codes of nine bits a symbol. */
export function bzip2Of(bytes: Uint8Array, blockBytes = 20_000): Buffer {
  const bits = new Bits();
  bits.put(0x425a, 16);
  bits.put(0x6831, 16);
  let streamCrc = 0;
  for (let at = 0; at < bytes.length; at += blockBytes) {
    const crc = putBlock(bits, bytes.subarray(at, at + blockBytes));
    streamCrc = (((streamCrc << 1) | (streamCrc >>> 31)) ^ crc) >>> 0;
  }
  bits.put(0x177245, 24);
  bits.put(0x385090, 24);
  bits.put(streamCrc >>> 16, 16);
  bits.put(streamCrc & 0xffff, 16);
  return bits.bytes();
}

class Bits {
  readonly #bytes: number[] = [];
  #count = 0;
  put(value: number, count: number): void {
    for (let i = count - 1; i >= 0; i--) {
      if (this.#count % 8 === 0) this.#bytes.push(0);
      const last = this.#bytes.length - 1;
      this.#bytes[last] = (this.#bytes[last] ?? 0) | (((value >>> i) & 1) << (7 - (this.#count % 8)));
      this.#count++;
    }
  }
  bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

function putBlock(bits: Bits, bytes: Uint8Array): number {
  const text = runsOf(bytes);
  const order = Array.from(text.keys()).sort((a, b) => compareRotations(text, a, b));
  const last = order.map((at) => text[(at + text.length - 1) % text.length] ?? 0);
  const used = [...new Set(text)].sort((a, b) => a - b);
  const symbols = symbolsOf(last, used);
  const crc = crcOf(bytes);
  bits.put(0x314159, 24);
  bits.put(0x265359, 24);
  bits.put(crc >>> 16, 16);
  bits.put(crc & 0xffff, 16);
  bits.put(0, 1);
  bits.put(order.indexOf(0), 24);
  for (let row = 0; row < 16; row++) bits.put(used.some((byte) => byte >> 4 === row) ? 1 : 0, 1);
  for (let row = 0; row < 16; row++) {
    if (!used.some((byte) => byte >> 4 === row)) continue;
    for (let i = 0; i < 16; i++) bits.put(used.includes(row * 16 + i) ? 1 : 0, 1);
  }
  const groups = Math.ceil(symbols.length / 50);
  bits.put(2, 3);
  bits.put(groups, 15);
  bits.put(0, groups);
  for (let table = 0; table < 2; table++) {
    bits.put(9, 5);
    for (let symbol = 0; symbol < used.length + 2; symbol++) bits.put(0, 1);
  }
  for (const symbol of symbols) bits.put(symbol, 9);
  return crc;
}

function runsOf(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    let run = 1;
    while (run < 255 && bytes[at + run] === byte) run++;
    for (let i = 0; i < Math.min(run, 4); i++) out.push(byte);
    if (run >= 4) out.push(run - 4);
    at += run;
  }
  return Uint8Array.from(out);
}

function compareRotations(text: Uint8Array, a: number, b: number): number {
  for (let i = 0; i < text.length; i++) {
    const order = (text[(a + i) % text.length] ?? 0) - (text[(b + i) % text.length] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function symbolsOf(last: readonly number[], used: readonly number[]): number[] {
  const front = [...used];
  const out: number[] = [];
  let zeros = 0;
  const flush = () => {
    for (; zeros > 0; zeros = (zeros - 1) >> 1) out.push((zeros - 1) & 1);
  };
  for (const byte of last) {
    const position = front.indexOf(byte);
    if (position === 0) zeros++;
    else {
      flush();
      out.push(position + 1);
      front.unshift(...front.splice(position, 1));
    }
  }
  flush();
  return [...out, used.length + 1];
}

function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return ~crc >>> 0;
}

/** The files of a small sound package; `index` changes or adds fields of its index.json. */
export function infoFilesOf(index: Record<string, unknown> = {}): TarFile[] {
  const full = { name: 'foo', version: '1.0', build: '0', build_number: 0, depends: [], subdir: 'linux-64', ...index };
  return [
    { name: 'info/index.json', text: JSON.stringify(full) },
    { name: 'info/paths.json', text: '{"paths":[],"paths_version":1}' },
  ];
}

/** The members of a `.conda` named by its stem. */
export function condaMembersOf(stem: string, info: readonly TarFile[] = infoFilesOf()): ZipFile[] {
  return [
    { name: 'metadata.json', bytes: Buffer.from('{"conda_pkg_format_version": 2}') },
    { name: `info-${stem}.tar.zst`, bytes: zlib.zstdCompressSync(tarOf(info)) },
    { name: `pkg-${stem}.tar.zst`, bytes: zlib.zstdCompressSync(tarOf([{ name: 'bin/foo', text: 'foo' }])) },
  ];
}

/** Bytes in memory as a source that notes how much was read of it. */
export function sourceOf(bytes: Uint8Array): ByteSource & { readBytes: number; largestRead: number } {
  const source = {
    sizeBytes: bytes.length,
    readBytes: 0,
    largestRead: 0,
    read: async (start: number, end: number) => {
      if (start < 0 || end > bytes.length || end < start)
        throw new RangeError(`read ${start}..${end} of ${bytes.length}`);
      source.readBytes += end - start;
      source.largestRead = Math.max(source.largestRead, end - start);
      return bytes.subarray(start, end);
    },
  };
  return source;
}
