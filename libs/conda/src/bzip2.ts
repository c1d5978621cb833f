// A bzip2 decoder that works block by block in fixed memory: the sink sees every byte in pieces of at most 64 KiB and may
// stop the work by throwing. (One block of 45 bytes can stand for 46 MB, so a decoder that hands out whole blocks would
// spend that memory before anyone could count.)
import { Fault } from '@vivarium/fault/fault';
import type { ByteSource } from './source.js';

// Above what 900,000 symbols of 20 bits, 32,767 selectors and their tables need: a block is decoded once this much is here.
const BLOCK_INPUT_BYTES = 2_621_440;
const PIECE_BYTES = 65_536;
const MAX_CODE_BITS = 20;
const GROUP_SYMBOLS = 50;

const crcTable = new Uint32Array(256).map((_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc >>> 0;
});

/**
 * Decompresses a bzip2 file, read by ranges, into the sink. The piece that the sink gets is valid during the call only.
 * Throws Fault('invalid') if the file is not bzip2, is damaged (checksums are compared) or goes on behind its first stream:
 * parallel compressors write several, of which conda reads all and rattler the first, so that they would unpack two packages.
 * Passes on what the sink throws.
 */
export async function decompressBzip2(source: ByteSource, sink: (piece: Uint8Array) => void): Promise<void> {
  const input = new Input(source);
  const decoder = new Decoder(input, sink);
  await input.fill();
  const blockSize = decoder.readStreamHeader();
  let streamCrc = 0;
  for (;;) {
    await input.fill();
    const blockCrc = decoder.readBlock(blockSize);
    if (blockCrc === undefined) break;
    streamCrc = (((streamCrc << 1) | (streamCrc >>> 31)) ^ blockCrc) >>> 0;
  }
  if (input.word() !== streamCrc) throw bad('its checksum is wrong');
  input.align();
  await input.fill();
  if (!input.isAtEnd()) {
    throw bad('something follows its first stream, which some clients read and some do not. Compress it as one stream');
  }
}

/** A window of the source with a bit cursor. */
class Input {
  readonly #source: ByteSource;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #readTo = 0;
  #bits = 0;
  #bitCount = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Makes sure that a whole block, or all that is left, can be read without waiting. */
  async fill(): Promise<void> {
    const left = this.#bytes.length - this.#at;
    if (left >= BLOCK_INPUT_BYTES || this.#readTo >= this.#source.sizeBytes) return;
    const end = Math.min(this.#source.sizeBytes, this.#readTo + 2 * BLOCK_INPUT_BYTES - left);
    const more = await this.#source.read(this.#readTo, end);
    const bytes = new Uint8Array(left + more.length);
    bytes.set(this.#bytes.subarray(this.#at));
    bytes.set(more, left);
    this.#bytes = bytes;
    this.#at = 0;
    this.#readTo = end;
  }

  /** The next 1 to 24 bits. */
  take(count: number): number {
    while (this.#bitCount < count) {
      if (this.#at >= this.#bytes.length) throw bad('it is cut short');
      this.#bits = (this.#bits << 8) | (this.#bytes[this.#at++] ?? 0);
      this.#bitCount += 8;
    }
    this.#bitCount -= count;
    return (this.#bits >>> this.#bitCount) & ((1 << count) - 1);
  }

  word(): number {
    return ((this.take(16) << 16) | this.take(16)) >>> 0;
  }

  align(): void {
    this.#bitCount -= this.#bitCount % 8;
  }

  isAtEnd(): boolean {
    return this.#bitCount === 0 && this.#at >= this.#bytes.length;
  }
}

interface Code {
  readonly minBits: number;
  /** By length: the largest code of that length, and what to subtract from a code to find its symbol. */
  readonly limit: Int32Array;
  readonly base: Int32Array;
  readonly symbols: Uint16Array;
}

class Decoder {
  readonly #input: Input;
  readonly #sink: (piece: Uint8Array) => void;
  readonly #block = new Uint32Array(900_000);
  readonly #piece = new Uint8Array(PIECE_BYTES);

  constructor(input: Input, sink: (piece: Uint8Array) => void) {
    this.#input = input;
    this.#sink = sink;
  }

  /** The block size in bytes. */
  readStreamHeader(): number {
    const input = this.#input;
    if (input.isAtEnd() || input.take(24) !== 0x425a68) throw bad('it does not begin with "BZh"');
    const level = input.take(8) - 0x30;
    if (level < 1 || level > 9) throw bad('its header is broken');
    return level * 100_000;
  }

  /** The checksum of the block that was decoded, or undefined at the end of the stream. */
  readBlock(blockSize: number): number | undefined {
    const input = this.#input;
    const magic = [input.take(24), input.take(24)];
    if (magic[0] === 0x177245 && magic[1] === 0x385090) return undefined;
    if (magic[0] !== 0x314159 || magic[1] !== 0x265359) throw bad('a block is damaged');
    const crc = input.word();
    if (input.take(1) !== 0) throw bad('it was written by an obsolete compressor');
    const origin = input.take(24);
    const alphabet = this.#readAlphabet();
    const selectors = this.#readSelectors();
    const codes = Array.from({ length: selectors.groups }, () => this.#readCode(alphabet.length + 2));
    const length = this.#readSymbols(blockSize, alphabet, selectors.order, codes);
    if (origin >= length) throw bad('a block is damaged');
    if (this.#unfold(length, origin) !== crc) throw bad('a checksum is wrong');
    return crc;
  }

  #readAlphabet(): Uint8Array {
    const rows = this.#input.take(16);
    const bytes: number[] = [];
    for (let row = 0; row < 16; row++) {
      if ((rows & (0x8000 >> row)) === 0) continue;
      const used = this.#input.take(16);
      for (let i = 0; i < 16; i++) if ((used & (0x8000 >> i)) !== 0) bytes.push(row * 16 + i);
    }
    if (bytes.length === 0) throw bad('a block is damaged');
    return Uint8Array.from(bytes);
  }

  #readSelectors(): { readonly groups: number; readonly order: Uint8Array } {
    const groups = this.#input.take(3);
    const order = new Uint8Array(this.#input.take(15));
    if (groups < 2 || groups > 6 || order.length === 0) throw bad('a block is damaged');
    const front = [0, 1, 2, 3, 4, 5];
    for (let i = 0; i < order.length; i++) {
      let position = 0;
      while (this.#input.take(1) === 1) if (++position >= groups) throw bad('a block is damaged');
      const [group = 0] = front.splice(position, 1);
      front.unshift(group);
      order[i] = group;
    }
    return { groups, order };
  }

  #readCode(symbolCount: number): Code {
    const lengths = new Uint8Array(symbolCount);
    let bits = this.#input.take(5);
    for (let symbol = 0; symbol < symbolCount; symbol++) {
      for (;;) {
        if (bits < 1 || bits > MAX_CODE_BITS) throw bad('a block is damaged');
        if (this.#input.take(1) === 0) break;
        bits += this.#input.take(1) === 0 ? 1 : -1;
      }
      lengths[symbol] = bits;
    }
    return codeOf(lengths);
  }

  /** Undoes Huffman coding, run lengths of zeros and move-to-front; the bytes are left in the low bits of the block. */
  #readSymbols(blockSize: number, alphabet: Uint8Array, order: Uint8Array, codes: readonly Code[]): number {
    const block = this.#block;
    const front = Uint8Array.from(alphabet);
    const endSymbol = alphabet.length + 1;
    let length = 0;
    let group = 0;
    let left = 0;
    let code: Code | undefined;
    let run = 0;
    let runUnit = 1;
    for (;;) {
      if (left === 0) {
        code = codes[order[group++] ?? 255];
        left = GROUP_SYMBOLS;
      }
      left--;
      if (code === undefined) throw bad('a block is damaged');
      const symbol = this.#readSymbol(code);
      if (symbol <= 1) {
        // Runs are written in base 2 with the digits 1 and 2.
        run += runUnit << symbol;
        runUnit <<= 1;
        if (run > blockSize) throw bad('a block is damaged');
        continue;
      }
      if (run > 0) {
        if (length + run > blockSize) throw bad('a block is damaged');
        block.fill(front[0] ?? 0, length, length + run);
        length += run;
        run = 0;
        runUnit = 1;
      }
      if (symbol === endSymbol) return length;
      if (length >= blockSize) throw bad('a block is damaged');
      const position = symbol - 1;
      const byte = front[position] ?? 0;
      front.copyWithin(1, 0, position);
      front[0] = byte;
      block[length++] = byte;
    }
  }

  #readSymbol(code: Code): number {
    let bits = code.minBits;
    let value = this.#input.take(bits);
    while (value > (code.limit[bits] ?? -1)) {
      if (++bits > MAX_CODE_BITS) throw bad('a block is damaged');
      value = (value << 1) | this.#input.take(1);
    }
    const symbol = code.symbols[value - (code.base[bits] ?? 0)];
    if (symbol === undefined) throw bad('a block is damaged');
    return symbol;
  }

  /** Undoes the Burrows-Wheeler transform and the outer run lengths, into the sink; gives the checksum. */
  #unfold(length: number, origin: number): number {
    const block = this.#block;
    const starts = new Uint32Array(257);
    for (let i = 0; i < length; i++) {
      const next = ((block[i] ?? 0) & 255) + 1;
      starts[next] = (starts[next] ?? 0) + 1;
    }
    for (let byte = 0; byte < 256; byte++) starts[byte + 1] = (starts[byte + 1] ?? 0) + (starts[byte] ?? 0);
    for (let i = 0; i < length; i++) {
      const byte = (block[i] ?? 0) & 255;
      const at = starts[byte] ?? 0;
      starts[byte] = at + 1;
      block[at] = ((block[at] ?? 0) | (i << 8)) >>> 0;
    }
    const piece = this.#piece;
    let filled = 0;
    let crc = 0xffffffff;
    let cursor = (block[origin] ?? 0) >>> 8;
    let before = -1;
    let same = 0;
    for (let i = 0; i < length; i++) {
      const entry = block[cursor] ?? 0;
      const byte = entry & 255;
      cursor = entry >>> 8;
      // After four equal bytes comes a count of how many more follow.
      let times = 1;
      let value = byte;
      if (same === 4) {
        times = byte;
        value = before;
        same = 0;
        before = -1;
      } else if (byte === before) same++;
      else {
        before = byte;
        same = 1;
      }
      for (; times > 0; times--) {
        crc = (crc << 8) ^ (crcTable[((crc >>> 24) ^ value) & 255] ?? 0);
        piece[filled++] = value;
        if (filled === PIECE_BYTES) {
          this.#sink(piece);
          filled = 0;
        }
      }
    }
    if (filled > 0) this.#sink(piece.subarray(0, filled));
    return ~crc >>> 0;
  }
}

function codeOf(lengths: Uint8Array): Code {
  const counts = new Int32Array(MAX_CODE_BITS + 2);
  for (const bits of lengths) counts[bits] = (counts[bits] ?? 0) + 1;
  const symbols = new Uint16Array(lengths.length);
  const limit = new Int32Array(MAX_CODE_BITS + 1).fill(-1);
  const base = new Int32Array(MAX_CODE_BITS + 1);
  let minBits = 0;
  let index = 0;
  let code = 0;
  for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
    base[bits] = code - index;
    for (let symbol = 0; symbol < lengths.length; symbol++) if (lengths[symbol] === bits) symbols[index++] = symbol;
    const count = counts[bits] ?? 0;
    if (count > 0 && minBits === 0) minBits = bits;
    code += count;
    limit[bits] = count > 0 || minBits > 0 ? code - 1 : -1;
    code <<= 1;
  }
  return { minBits, limit, base, symbols };
}

function bad(reason: string): Fault {
  return new Fault('invalid', `The .tar.bz2 file cannot be decompressed: ${reason}. Build or upload it again.`);
}
