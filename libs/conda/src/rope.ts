// repodata.json and run_exports.json of a view, plain and .zst, composed from ready-made chunks. Nothing is compressed when a
// view is composed, so a view costs a copy, and a changed package costs the compression of its one chunk.
//
// Why one frame: some clients stop reading a .zst at the end of its first frame, so frames must not be laid end to end.
//
// Why blocks of different frames may be joined: a frame is a header and a run of blocks (RFC 8878 §3.1.1). The blocks of a
// chunk that was compressed alone refer to that chunk's own bytes and tables only, with one exception: the three repeat
// offsets are 1, 4, 8 at the start of a frame but carry on from block to block inside one. RESET is three blocks, made by
// hand, that write 17 spaces through matches at the offsets 8, 4 and 1, after which the history is 1, 4, 8 again. Spaces
// between JSON tokens mean nothing; so chunks are cut between tokens.
import zlib from 'node:zlib';
import { Fault } from '@vivarium/fault/fault';
import type { CondaRecord } from './record.js';
import { RUN_EXPORT_KINDS } from './run-exports.js';

/** A chunk may not be longer: matches reach back through a whole chunk, and readers remember no more than the window. */
export const MAX_CHUNK_BYTES = 2 ** 23;

const WINDOW_LOG = 23;
const ZSTD_LEVEL = 6;
const FRAME_HEADER = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (WINDOW_LOG - 10) << 3]);
const LAST_EMPTY_BLOCK = Buffer.from([1, 0, 0]);
const RLE_BLOCK = 1;

/**
 * The text of a chunk: `"<file name>":{record}` joined by commas, sorted by file name and key, without `run_exports`. Empty for
 * no records; the same for equal records, in whatever order they and their fields came.
 */
export function chunkTextOf(records: ReadonlyMap<string, CondaRecord>): string {
  return textOf(records, ({ run_exports: _, ...record }) => JSON.stringify(record, Object.keys(record).sort()));
}

/**
 * The text of a chunk of run_exports.json: `"<file name>":{"run_exports":{…}}` joined by commas, sorted, for the records whose
 * run exports are known. Empty if there are none. Source: CEP-12.
 */
export function runExportsTextOf(records: ReadonlyMap<string, CondaRecord>): string {
  const known = new Map([...records].filter(([, record]) => record.run_exports !== undefined));
  return textOf(known, ({ run_exports }) => JSON.stringify({ run_exports }, ['run_exports', ...RUN_EXPORT_KINDS]));
}

function textOf(records: ReadonlyMap<string, CondaRecord>, print: (record: CondaRecord) => string): string {
  return [...records]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([filename, record]) => `${JSON.stringify(filename)}:${print(record)}`)
    .join(',');
}

/**
 * A chunk compressed by itself, for the `compose…` functions. Equal texts give equal bytes.
 * Throws Fault('internal') for an empty text (leave the chunk out: commas stand between all chunks) and for one above
 * MAX_CHUNK_BYTES (cut it).
 */
export function compressChunk(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  if (bytes.length === 0) throw new Fault('internal', 'A chunk of an index has no text.');
  if (bytes.length > MAX_CHUNK_BYTES) {
    throw new Fault('internal', `A chunk of an index has ${bytes.length} bytes, above ${MAX_CHUNK_BYTES}.`);
  }
  return compress(bytes);
}

/**
 * `repodata.json.zst` of one directory as ONE zstd frame: the chunks in the given order, none for an empty directory. The
 * chunks must come from `compressChunk`; they are copied, not decompressed.
 * Throws Fault('internal') if the bytes of a chunk are no chunk. Source: CEP-36 (document), RFC 8878 (frame).
 */
export function composeZst(subdir: string, tarbz2Chunks: Chunks, condaChunks: Chunks): Buffer {
  return joined(framesOf(repodataHead(subdir), tarbz2Chunks, condaChunks, REPODATA_TAIL));
}

/**
 * `repodata.json` of one directory: byte for byte what `composeZst` decompresses to, the spaces included. It decompresses
 * every chunk, about 2 ms a megabyte: work for a worker thread.
 */
export function composeJson(subdir: string, tarbz2Chunks: Chunks, condaChunks: Chunks): Buffer {
  return unpacked(framesOf(repodataHead(subdir), tarbz2Chunks, condaChunks, REPODATA_TAIL));
}

/** The bytes of `composeJson` in pieces, each decompressed when it is asked for: for a thread that has others to serve meanwhile. */
export function jsonPieces(subdir: string, tarbz2Chunks: Chunks, condaChunks: Chunks): Generator<Uint8Array> {
  return piecesOf(framesOf(repodataHead(subdir), tarbz2Chunks, condaChunks, REPODATA_TAIL));
}

/**
 * The records of a chunk of `chunkTextOf`, by file name: without run exports, which are in shards only.
 * Throws an Error if the bytes are no chunk: they come from our own store.
 */
export function recordsOfChunk(chunk: Uint8Array): ReadonlyMap<string, CondaRecord> {
  const text = zlib.zstdDecompressSync(chunk, { maxOutputLength: MAX_CHUNK_BYTES }).toString('utf8');
  return new Map(Object.entries(JSON.parse(`{${text}}`) as Record<string, CondaRecord>));
}

/** `run_exports.json.zst` of one directory, composed as `composeZst` does, from chunks of `runExportsTextOf`. Source: CEP-12. */
export function composeRunExportsZst(subdir: string, tarbz2Chunks: Chunks, condaChunks: Chunks): Buffer {
  return joined(framesOf(runExportsHead(subdir), tarbz2Chunks, condaChunks, RUN_EXPORTS_TAIL));
}

/** `run_exports.json` of one directory: byte for byte what `composeRunExportsZst` decompresses to. Source: CEP-12. */
export function composeRunExportsJson(subdir: string, tarbz2Chunks: Chunks, condaChunks: Chunks): Buffer {
  return unpacked(framesOf(runExportsHead(subdir), tarbz2Chunks, condaChunks, RUN_EXPORTS_TAIL));
}

type Chunks = readonly Uint8Array[];

function repodataHead(subdir: string): string {
  return `{"info":{"subdir":${JSON.stringify(subdir)}},"packages":{`;
}

function runExportsHead(subdir: string): string {
  return `{"info":{"subdir":${JSON.stringify(subdir)},"version":1},"packages":{`;
}

function framesOf(head: string, tarbz2Chunks: Chunks, condaChunks: Chunks, tail: Uint8Array): Chunks {
  return [compress(Buffer.from(head)), ...withCommas(tarbz2Chunks), MIDDLE, ...withCommas(condaChunks), tail];
}

function joined(frames: Chunks): Buffer {
  return Buffer.concat([FRAME_HEADER, ...frames.flatMap((frame) => [RESET, blocksOf(frame)]), LAST_EMPTY_BLOCK]);
}

function unpacked(frames: Chunks): Buffer {
  return Buffer.concat([...piecesOf(frames)]);
}

function* piecesOf(frames: Chunks): Generator<Uint8Array> {
  for (const frame of frames) {
    yield SPACES;
    yield zlib.zstdDecompressSync(frame);
  }
}

function withCommas(chunks: Chunks): Chunks {
  return chunks.flatMap((chunk, i) => (i > 0 ? [COMMA, chunk] : [chunk]));
}

function compress(bytes: Uint8Array): Uint8Array {
  return zlib.zstdCompressSync(bytes, {
    params: { [zlib.constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL, [zlib.constants.ZSTD_c_windowLog]: WINDOW_LOG },
  });
}

/** The blocks of a frame without its header, none of them marked as the last. */
function blocksOf(frame: Uint8Array): Uint8Array {
  const start = headerBytesOf(frame);
  let at = start;
  for (;;) {
    const [low = 0, middle = 0, high = 0] = frame.subarray(at, at + 3);
    const header = low | (middle << 8) | (high << 16);
    const kind = (header >> 1) & 3;
    const next = at + 3 + (kind === RLE_BLOCK ? 1 : header >> 3);
    if (kind === 3 || next > frame.length) throw damaged();
    if ((header & 1) === 1) {
      if (next !== frame.length) throw damaged();
      // A copy: `slice` of a Buffer would share its bytes, and the chunk is used again.
      const blocks = new Uint8Array(frame.subarray(start, next));
      blocks[at - start] = low & ~1;
      return blocks;
    }
    at = next;
  }
}

function headerBytesOf(frame: Uint8Array): number {
  const descriptor = frame[4] ?? 0;
  // Neither a checksum, which would stand after the blocks, nor a dictionary: `compressChunk` writes none.
  if (frame[0] !== 0x28 || frame[1] !== 0xb5 || frame[2] !== 0x2f || frame[3] !== 0xfd || (descriptor & 0x0f) !== 0) {
    throw damaged();
  }
  const singleSegment = (descriptor >> 5) & 1;
  const sizeFlag = descriptor >> 6;
  return 6 - singleSegment + (sizeFlag === 0 ? singleSegment : 1 << sizeFlag);
}

/** A compressed block with raw literals and one sequence, whose three codes are each given once (RLE mode). */
function oneSequenceBlock(literals: string, offsetCode: number, bits: number): Buffer {
  const matchLengthCode = 0; // a match of 3
  const modes = 0b01010100;
  const body = Buffer.concat([
    Buffer.from([literals.length << 3]),
    Buffer.from(literals),
    Buffer.from([1, modes, literals.length, offsetCode, matchLengthCode, bits]),
  ]);
  const header = Buffer.alloc(3);
  header.writeUIntLE((body.length << 3) | (2 << 1), 0, 3);
  return Buffer.concat([header, body]);
}

function damaged(): Fault {
  return new Fault('internal', 'A stored chunk of an index is damaged. Rebuild the index of its channel.');
}

// An offset value is 2^code plus the bits after the marker bit, and stands for an offset 3 smaller.
const RESET = Buffer.concat([
  oneSequenceBlock(' '.repeat(8), 3, 0b1011), // value 11: offset 8
  oneSequenceBlock('', 2, 0b111), //             value  7: offset 4
  oneSequenceBlock('', 2, 0b100), //             value  4: offset 1
]);
const SPACES = Buffer.alloc(17, ' ');
const COMMA = compress(Buffer.from(','));
const MIDDLE = compress(Buffer.from('},"packages.conda":{'));
const REPODATA_TAIL = compress(Buffer.from('},"removed":[],"repodata_version":1}'));
const RUN_EXPORTS_TAIL = compress(Buffer.from('}}'));
