import { Fault } from '@vivarium/fault/fault';
import type { Blobs } from './blobs.js';

/** Random access to one blob, as readers of archives want it. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Bytes `start` … `end - 1`. Throws Fault('invalid') unless 0 ≤ start ≤ end ≤ sizeBytes. */
  read(start: number, end: number): Promise<Buffer>;
}

interface Window {
  readonly start: number;
  readonly bytes: Buffer;
}

const WINDOW_BYTES = 256 * 1024;
const WINDOWS = 4;

/**
 * Random access to the blob under a key. Reads ahead by 256 KiB and remembers four such windows: an archive's directory
 * at its end, then its members in order, cost a few requests. Single reads may be larger, and are not remembered then.
 * Throws Fault('not_found') if there is nothing under the key.
 */
export async function byteSourceOf(blobs: Blobs, key: string): Promise<ByteSource> {
  const facts = await blobs.head(key);
  if (facts === undefined) throw new Fault('not_found', `There is nothing at ${key} in the blob store.`);
  const { sizeBytes } = facts;
  const windows: Window[] = [];

  async function read(start: number, end: number): Promise<Buffer> {
    if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > sizeBytes) {
      throw new Fault('invalid', `${start} to ${end} is not a range of the ${sizeBytes} bytes at ${key}.`);
    }
    if (start === end) return Buffer.alloc(0);
    const length = end - start;
    if (length > WINDOW_BYTES) return fetchBytes(start, length);
    const known = windows.find((window) => window.start <= start && end <= window.start + window.bytes.length);
    const window = known ?? (await open(start));
    return window.bytes.subarray(start - window.start, end - window.start);
  }

  async function open(start: number): Promise<Window> {
    // Near the end the window reaches back, where a reader of the end will look next.
    const from = Math.max(0, Math.min(start, sizeBytes - WINDOW_BYTES));
    const bytes = await fetchBytes(from, Math.min(WINDOW_BYTES, sizeBytes - from));
    const window = { start: from, bytes };
    windows.unshift(window);
    windows.length = Math.min(windows.length, WINDOWS);
    return window;
  }

  async function fetchBytes(start: number, length: number): Promise<Buffer> {
    const bytes = await (await blobs.get(key, { start, end: start + length })).bytes(length);
    if (bytes.length === length) return bytes;
    throw new Fault('unavailable', `The bytes at ${key} changed while they were read: try again.`);
  }

  return { sizeBytes, read };
}
