import { createHash } from 'node:crypto';
import { channelDataPieces, runExportsPieces } from '@vivarium/conda/channel-data';
import type { ChannelDataEntry } from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { inSlices } from './slices.js';

/** Which file of a channel: channeldata.json, or run_exports.json of a subdir. */
export type ChannelFile = { readonly kind: 'channeldata' } | { readonly kind: 'run-exports'; readonly subdir: string };

/** What of an entry is kept: there may be a million. */
export type Entry = Pick<ChannelDataEntry, 'name' | 'filename' | 'json' | 'subdirs'>;

/** Name → its entries. */
export type Entries = ReadonlyMap<string, readonly Entry[]>;

const BLOCK_LENGTH = 128 * 1024;

/**
 * What was known, without what changed, and with what came: in the order of the names, if both were. There may be a hundred
 * thousand, so that others are served meanwhile.
 */
export async function mergedEntries(known: Entries, changed: ReadonlySet<string>, came: Entries): Promise<Entries> {
  const breathe = inSlices();
  const merged = new Map<string, readonly Entry[]>();
  // Nearly free of what is sorted already.
  const coming = [...came].sort(([a], [b]) => (a < b ? -1 : 1));
  let at = 0;
  for (const [name, list] of known) {
    for (let next = coming[at]; next !== undefined && next[0] <= name; next = coming[at]) {
      merged.set(...next);
      at++;
    }
    if (!changed.has(name) && !came.has(name)) merged.set(name, list);
    await breathe();
  }
  for (const [name, list] of coming.slice(at)) merged.set(name, list);
  return merged;
}

/** The bytes of a file of these entries, and their digest in 40 hex digits. Others are served while it is put together. */
export async function composeFile(file: ChannelFile, entries: Entries): Promise<{ bytes: Buffer; hash: string }> {
  const breathe = inSlices();
  const hash = createHash('sha256');
  const blocks: Buffer[] = [];
  let [texts, length]: [string[], number] = [[], 0];
  const flush = (): void => {
    const block = Buffer.from(texts.join(''));
    hash.update(block);
    blocks.push(block);
    [texts, length] = [[], 0];
  };
  for (const piece of piecesOf(file, entries)) {
    texts.push(piece);
    length += piece.length;
    if (length >= BLOCK_LENGTH) flush();
    await breathe();
  }
  flush();
  return { bytes: Buffer.concat(blocks), hash: hash.digest('hex').slice(0, 40) };
}

function piecesOf(file: ChannelFile, entries: Entries): Iterable<string> {
  if (file.kind === 'run-exports') return runExportsPieces(file.subdir, new ByFilename(entries));
  return channelDataPieces(byName(entries), subdirsIn(entries));
}

function* byName(entries: Entries): Generator<readonly [string, string]> {
  for (const [name, list] of entries) for (const { json } of list) yield [name, json];
}

function* subdirsIn(entries: Entries): Generator<string> {
  for (const list of entries.values()) for (const { subdirs } of list) yield* subdirs;
}

/** Name by name; of one name in the order of file names. */
class ByFilename implements Iterable<readonly [string, string]> {
  readonly #entries: Entries;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  *[Symbol.iterator](): Generator<readonly [string, string]> {
    for (const list of this.#entries.values()) {
      const sorted = list.toSorted((a, b) => (a.filename < b.filename ? -1 : 1));
      for (const { filename, json } of sorted) yield [filename, json];
    }
  }
}
