import type { Readable } from 'node:stream';
import { Fault } from '@vivarium/fault/fault';

/**
 * Where bytes live: a folder or an S3 bucket, with the same meaning in both. Every method throws Fault('invalid') for a
 * key that is none, and Fault('unavailable') when the store cannot be used now.
 */
export interface Blobs {
  /**
   * Stores bytes under a key, whole or not at all: a reader sees what was there before or all of this, never a part, and
   * a body that fails half-way leaves nothing. When it resolves the bytes survive a crash.
   * With `ifAbsent`, of many puts at once exactly one stores and says so; the others change nothing. Across processes that
   * holds in a folder, and in S3 where the server's conditional writes are atomic: use it for keys that name their bytes.
   * With `contentLength`, throws Fault('invalid') if the body has another length.
   * A body that throws makes put throw the same error.
   */
  put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options?: PutOptions): Promise<PutResult>;
  /**
   * Opens the bytes under a key, or a range of them. A range that ends beyond the last byte is cut there.
   * Throws Fault('not_found') if there is nothing, Fault('invalid') if the range holds no byte of it.
   */
  get(key: string, range?: ByteRange): Promise<BlobBody>;
  /** Size and time of last change in ms since 1970, or undefined if there is nothing. */
  head(key: string): Promise<BlobFacts | undefined>;
  /** Everything whose key starts with the prefix (`''` is all), in no promised order; what changes meanwhile may be missed. */
  list(prefix: string): AsyncIterable<BlobFacts & { readonly key: string }>;
  /** Removes what is under a key; nothing there is fine. */
  delete(key: string): Promise<void>;
  /**
   * Copies within the store, without the bytes passing through this process; atomic, replaces what is there, and the copy
   * counts as changed now (the source may, too). Throws Fault('not_found') if the source is missing.
   */
  copy(from: string, to: string): Promise<void>;
  /** Throws Fault('unavailable') with an operator's remedy unless the store can be written now. */
  check(): Promise<void>;
  /** Lets go of connections. Nothing may be called afterwards. */
  close(): Promise<void>;
}

export interface PutOptions {
  readonly ifAbsent?: boolean;
  /** Bytes. */
  readonly contentLength?: number;
}

export interface PutResult {
  /** False only with `ifAbsent`, when something was there. */
  readonly stored: boolean;
  /** Bytes of the body; of what was read of it if it was not stored. */
  readonly sizeBytes: number;
}

/** Bytes `start` … `end - 1`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface BlobFacts {
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
}

/** Opened bytes. Use one of `stream`, `bytes` and `discard`, once: until then a file or a connection is held. */
export interface BlobBody {
  /** Of the whole blob, whatever the range. */
  readonly sizeBytes: number;
  /** Of what `stream` and `bytes` give. */
  readonly lengthBytes: number;
  stream(): Readable;
  /** All at once. Throws Fault('too_large') if there are more than `maxBytes`, before reading. */
  bytes(maxBytes: number): Promise<Buffer>;
  /** Lets go without reading. */
  discard(): Promise<void>;
}

const KEY = /^[a-z0-9][a-z0-9/_.-]*$/;

/** Throws Fault('invalid') unless the text is a key: lower-case segments of at most 200 characters, 512 in all, none a dot or empty. */
export function checkKey(key: string): void {
  const segments = key.split('/');
  const wellFormed =
    KEY.test(key) &&
    key.length <= 512 &&
    !key.includes('..') &&
    segments.every((segment) => segment !== '' && segment !== '.' && segment.length <= 200);
  if (!wellFormed) throw new Fault('invalid', `"${printable(key)}" is not a key of the blob store.`);
}

/** Throws Fault('invalid') unless a key could start with the text. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '') checkKey(`${prefix.replace(/\/$/, '')}`);
}

/**
 * The range cut at the size, or all of it. Throws Fault('invalid') if it holds no byte of a blob of this size.
 */
export function cutRange(range: ByteRange | undefined, sizeBytes: number): ByteRange {
  if (range === undefined) return { start: 0, end: sizeBytes };
  const end = Math.min(range.end, sizeBytes);
  checkRange(range);
  if (range.start >= end) throw beyondEnd(range);
  return { start: range.start, end };
}

/** Throws Fault('invalid') for a range that holds no byte of any blob. */
export function checkRange({ start, end }: ByteRange): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end <= start) {
    throw new Fault('invalid', `${start} to ${end} is not a range of bytes.`);
  }
}

/** Where a range starts behind the last byte. */
export function beyondEnd({ start, end }: ByteRange): Fault {
  return new Fault('invalid', `The range ${start} to ${end} starts behind the last byte.`);
}

/** Nothing is stored under the key. */
export function nothingUnder(key: string, cause?: unknown): Fault {
  return new Fault('not_found', `There is nothing at ${key} in the blob store.`, { cause });
}

/** More was asked for at once than the caller is ready to hold. */
export function tooLarge(lengthBytes: number, maxBytes: number): Fault {
  return new Fault(
    'too_large',
    `A blob of ${lengthBytes} bytes was asked for at once; at most ${maxBytes} are read so.`,
  );
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 100)).slice(1, -1);
}
