/** Bytes that can be read by ranges: a file on disk, an object in a blob store, or a buffer. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** The bytes from `start` up to, not including, `end`; exactly that many. */
  read(start: number, end: number): Promise<Uint8Array>;
}

const CHUNK_BYTES = 64 * 1024;

// Each read of a blob store costs a round trip, so thousands of small members must not be thousands of reads.
const WINDOW_BYTES = 1024 * 1024;

/** A source over bytes in memory. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return { sizeBytes: bytes.length, read: async (start, end) => bytes.subarray(start, end) };
}

/** The bytes of a range, at most 64 KiB at a time, so that memory does not grow with the file. */
export async function* rangeChunks(source: ByteSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += CHUNK_BYTES) yield await source.read(at, Math.min(at + CHUNK_BYTES, end));
}

/** A source whose many small reads in ascending order are served from one window of 1 MiB. */
export function windowed(source: ByteSource): ByteSource {
  let from = 0;
  let window: Uint8Array = new Uint8Array(0);
  return {
    sizeBytes: source.sizeBytes,
    async read(start, end) {
      if (start < from || end > from + window.length) {
        window = await source.read(start, Math.min(Math.max(end, start + WINDOW_BYTES), source.sizeBytes));
        from = start;
      }
      return window.subarray(start - from, end - from);
    },
  };
}
