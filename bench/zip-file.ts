import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

interface Entry {
  readonly name: string;
  readonly offset: number;
  readonly crc: number;
  readonly sizeBytes: number;
}

const LOCAL_BYTES = 30;

/**
 * A ZIP archive written to a file member by member, stored, below 4 GB.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16.
 */
export class ZipFile {
  readonly #target: FileHandle;
  readonly #entries: Entry[] = [];
  #offset = 0;

  constructor(target: FileHandle) {
    this.#target = target;
  }

  async add(name: string, pieces: AsyncIterable<Uint8Array> | readonly Uint8Array[]): Promise<void> {
    const offset = this.#offset;
    // Its header comes last, when checksum and size are known.
    this.#offset += LOCAL_BYTES + Buffer.byteLength(name);
    const start = this.#offset;
    let crc = 0;
    for await (const piece of pieces) {
      crc = crc32(piece, crc);
      await this.#put(piece);
    }
    const entry = { name, offset, crc, sizeBytes: this.#offset - start };
    this.#entries.push(entry);
    const header = Buffer.concat([signature(0x04034b50, 20), factsOf(entry), Buffer.alloc(2), Buffer.from(name)]);
    await this.#target.write(header, 0, header.length, offset);
  }

  async end(): Promise<void> {
    const start = this.#offset;
    for (const entry of this.#entries) {
      const tail = Buffer.alloc(16);
      tail.writeUInt32LE((0o100644 << 16) >>> 0, 8);
      tail.writeUInt32LE(entry.offset, 12);
      await this.#put(
        Buffer.concat([signature(0x02014b50, 0x0314, 20), factsOf(entry), tail, Buffer.from(entry.name)]),
      );
    }
    const end = Buffer.concat([signature(0x06054b50, 0, 0), Buffer.alloc(14)]);
    end.writeUInt16LE(this.#entries.length, 8);
    end.writeUInt16LE(this.#entries.length, 10);
    end.writeUInt32LE(this.#offset - start, 12);
    end.writeUInt32LE(start, 16);
    await this.#put(end);
  }

  async #put(bytes: Uint8Array): Promise<void> {
    await this.#target.write(bytes, 0, bytes.byteLength, this.#offset);
    this.#offset += bytes.byteLength;
  }
}

/** The bytes of a stored member of an archive in memory. Throws an Error if there is none of that name. */
export function storedMemberOf(zip: Buffer, name: string): Buffer {
  for (let at = 0; zip.readUInt32LE(at) === 0x04034b50; ) {
    const sizeBytes = zip.readUInt32LE(at + 18);
    const nameEnd = at + LOCAL_BYTES + zip.readUInt16LE(at + 26);
    const start = nameEnd + zip.readUInt16LE(at + 28);
    if (zip.toString('utf8', at + LOCAL_BYTES, nameEnd) === name) return zip.subarray(start, start + sizeBytes);
    at = start + sizeBytes;
  }
  throw new Error(`${name} is not in the archive.`);
}

/** Flags (UTF-8 names), method 0, 1980-01-01, checksum, both sizes, length of the name: the same in both headers. */
function factsOf({ name, crc, sizeBytes }: Entry): Buffer {
  const facts = Buffer.alloc(22);
  facts.writeUInt16LE(0x0800, 0);
  facts.writeUInt16LE(0x0021, 6);
  facts.writeUInt32LE(crc, 8);
  facts.writeUInt32LE(sizeBytes, 12);
  facts.writeUInt32LE(sizeBytes, 16);
  facts.writeUInt16LE(Buffer.byteLength(name), 20);
  return facts;
}

function signature(magic: number, ...versions: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + 2 * versions.length);
  bytes.writeUInt32LE(magic, 0);
  versions.forEach((version, index) => {
    bytes.writeUInt16LE(version, 4 + 2 * index);
  });
  return bytes;
}
