import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createInflateRaw } from 'node:zlib';
import { Fault } from '@vivarium/fault/fault';
import { type ByteSource, rangeChunks } from './byte-source.js';

const OUTPUT_CHUNK_BYTES = 64 * 1024;

/** What the reader of a compressed range must come to, or the archive is lying. */
export interface Expected {
  readonly sizeBytes: number;
  readonly crc32: number;
}

/**
 * Inflates one raw deflate stream that must fill the range from `start` to `end` exactly, in chunks. `count` is told
 * of each chunk before it is given on, and throws to stop a bomb. Throws Fault('invalid') when the stream is damaged,
 * ends early, or leaves bytes over: a second stream behind the first is read by some tools and not by others.
 * Source: RFC 1951.
 */
export async function* inflateRange(
  source: ByteSource,
  start: number,
  end: number,
  count: (chunkBytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const engine = createInflateRaw({ chunkSize: OUTPUT_CHUNK_BYTES });
  const pump = pipeline(Readable.from(rangeChunks(source, start, end), { objectMode: true, highWaterMark: 1 }), engine);
  // The failure is met where the output is read; a rejection that nobody awaits would end the process.
  pump.catch(() => undefined);
  try {
    for await (const chunk of engine as AsyncIterable<Uint8Array>) {
      count(chunk.length);
      yield chunk;
    }
  } catch (cause) {
    if (isZlibError(cause)) {
      throw new Fault(
        'invalid',
        'The archive is damaged: a compressed part cannot be unpacked. Build or upload it again.',
        { cause },
      );
    }
    throw cause;
  }
  if (engine.bytesWritten !== end - start) {
    throw new Fault('invalid', 'The archive has bytes behind the end of a compressed part. Build it again.');
  }
}

/** Passes chunks on and, at their end, throws Fault('invalid') unless their number and CRC-32 are the expected ones. */
export async function* verified(
  chunks: AsyncIterable<Uint8Array>,
  expected: Expected,
  name: string,
): AsyncGenerator<Uint8Array> {
  let sizeBytes = 0;
  let crc = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > expected.sizeBytes) break;
    crc = crc32(chunk, crc);
    yield chunk;
  }
  if (sizeBytes !== expected.sizeBytes) throw lie(name, 'size');
  if (crc !== expected.crc32) throw lie(name, 'checksum');
}

function lie(name: string, what: string): Fault {
  return new Fault(
    'invalid',
    `The archive gives a wrong ${what} for ${JSON.stringify(name.slice(0, 200))}. Build it again.`,
  );
}

function isZlibError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('code' in error)) return false;
  return typeof error.code === 'string' && error.code.startsWith('Z_');
}
