// A small writer of bzip2, because its bombs are made below the level of any compressor. Each block is filled up to whole
// bytes with selectors that nobody uses, so that blocks can be put together like bricks.

/** A block with what it unpacks to: its bytes, and the checksum of the unpacked ones. */
export interface Bzip2Block {
  readonly bytes: Buffer;
  readonly crc: number;
}

const MAX_SELECTORS = 32_767;
const GROUP_SYMBOLS = 50;

/** Compresses bytes as one stream. Made for tens of kilobytes: rotations are sorted one by one. */
export function bzip2(bytes: Uint8Array): Buffer {
  return bzip2Stream(bytes.length === 0 ? [] : [bzip2Block(bytes)]);
}

export function bzip2Stream(blocks: readonly Bzip2Block[]): Buffer {
  const crc = blocks.reduce((sum, block) => (((sum << 1) | (sum >>> 31)) ^ block.crc) >>> 0, 0);
  const end = Buffer.alloc(10);
  end.write('177245385090', 0, 'hex');
  end.writeUInt32BE(crc, 6);
  return Buffer.concat([Buffer.from('BZh9'), ...blocks.map((block) => block.bytes), end]);
}

/** A block of any bytes. */
export function bzip2Block(bytes: Uint8Array): Bzip2Block {
  const text = runsOf(bytes);
  const order = Array.from(text.keys()).sort((a, b) => compareRotations(text, a, b));
  const last = order.map((at) => text[(at + text.length - 1) % text.length] ?? 0);
  const alphabet = [...new Set(text)].sort((a, b) => a - b);
  const symbols = symbolsOf(last, alphabet);
  const crc = crcOf(bytes);
  return { bytes: blockOf({ crc, origin: order.indexOf(0), alphabet, symbols, unusedSelectors: 0 }), crc };
}

/**
 * A block of 255 zeros for each of `runs` (at most 180,000, which are 46 MB in some 50 bytes). `isPadded` adds 24 kB that
 * mean nothing, to look like an honest ratio.
 */
export function zerosBlock(runs: number, isPadded = false): Bzip2Block {
  // The text is (0 0 0 0 251) again and again; its rotations are five, and sorted by hand.
  const symbols = [2, ...runSymbols(runs - 1), 2, ...runSymbols(4 * runs - 1), 3];
  const crc = crcOfZeros(255 * runs);
  const unusedSelectors = isPadded ? MAX_SELECTORS - 8 : 0;
  return { bytes: blockOf({ crc, origin: 0, alphabet: [0, 251], symbols, unusedSelectors }), crc };
}

interface BlockFacts {
  readonly crc: number;
  readonly origin: number;
  readonly alphabet: readonly number[];
  readonly symbols: readonly number[];
  readonly unusedSelectors: number;
}

function blockOf(facts: BlockFacts): Buffer {
  const { crc, origin, alphabet, symbols, unusedSelectors } = facts;
  const needed = Math.ceil(symbols.length / GROUP_SYMBOLS);
  const codeBits = Math.ceil(Math.log2(alphabet.length + 2));
  const draft = (fill: number): Bits => {
    const bits = new Bits();
    bits.put(0x314159, 24);
    bits.put(0x265359, 24);
    bits.put(crc >>> 16, 16);
    bits.put(crc & 0xffff, 16);
    bits.put(0, 1);
    bits.put(origin, 24);
    const rows = Array.from({ length: 16 }, (_, row) => alphabet.filter((byte) => byte >> 4 === row));
    for (const row of rows) bits.put(row.length > 0 ? 1 : 0, 1);
    for (const row of rows) {
      for (let i = 0; i < 16 && row.length > 0; i++) bits.put(row.some((byte) => (byte & 15) === i) ? 1 : 0, 1);
    }
    bits.put(6, 3);
    bits.put(needed + unusedSelectors + fill, 15);
    bits.put(0, needed + fill);
    for (let i = 0; i < unusedSelectors; i++) bits.put(0b111110, 6);
    for (let table = 0; table < 6; table++) {
      bits.put(codeBits, 5);
      bits.put(0, alphabet.length + 2);
    }
    for (const symbol of symbols) bits.put(symbol, codeBits);
    return bits;
  };
  return draft((8 - (draft(0).count % 8)) % 8).bytes();
}

class Bits {
  readonly #bytes: number[] = [];
  count = 0;

  put(value: number, count: number): void {
    for (let left = count; left > 0; left--) {
      if (this.count % 8 === 0) this.#bytes.push(0);
      // A shift by 32 and more is none, and so many bits are put only if they are zero.
      if (value !== 0 && ((value >>> (left - 1)) & 1) === 1) {
        const at = this.#bytes.length - 1;
        this.#bytes[at] = (this.#bytes[at] ?? 0) | (0x80 >> (this.count % 8));
      }
      this.count += 1;
    }
  }

  bytes(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

/** Four equal bytes are followed by how many more there are. */
function runsOf(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at] ?? 0;
    let run = 1;
    while (run < 255 && bytes[at + run] === byte) run += 1;
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

/** Move-to-front, with runs of zeros in base 2. */
function symbolsOf(last: readonly number[], alphabet: readonly number[]): number[] {
  const front = [...alphabet];
  const out: number[] = [];
  let zeros = 0;
  for (const byte of last) {
    const position = front.indexOf(byte);
    if (position === 0) zeros += 1;
    else {
      out.push(...runSymbols(zeros), position + 1);
      zeros = 0;
      front.unshift(...front.splice(position, 1));
    }
  }
  return [...out, ...runSymbols(zeros), alphabet.length + 1];
}

/** A number in base 2 with the digits 1 and 2, written as the symbols 0 and 1. */
function runSymbols(length: number): number[] {
  const out: number[] = [];
  for (let left = length; left > 0; left = (left - 1) >> 1) out.push((left - 1) & 1);
  return out;
}

const TABLE = new Uint32Array(256).map((_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc << 8) ^ (TABLE[((crc >>> 24) ^ byte) & 255] ?? 0);
  return ~crc >>> 0;
}

function crcOfZeros(count: number): number {
  let crc = 0xffffffff;
  for (let i = 0; i < count; i++) crc = (crc << 8) ^ (TABLE[crc >>> 24] ?? 0);
  return ~crc >>> 0;
}
