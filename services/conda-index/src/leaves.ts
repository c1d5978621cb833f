import { createHash } from 'node:crypto';

/** A name in a part of an index, as far as the cutting of chunks is concerned. */
export interface Entry {
  readonly name: string;
  /** The first 32 bits of the name's hash. */
  readonly bits: number;
  /** Of its records as repodata has them. */
  readonly textBytes: number;
}

/** The names whose hashes begin with the same bits: what one chunk holds. */
export interface Leaf<E extends Entry> {
  /** `''` is all; `01…` digits. */
  readonly prefix: string;
  readonly entries: readonly E[];
}

export const MAX_LEAF_NAMES = 32;
export const MAX_LEAF_BYTES = 256 * 1024;
const BITS = 32;

/**
 * Cuts names into leaves: a leaf that would hold too many names or bytes is cut in two by the next bit. The cut follows from
 * the names alone, in whatever order they came, and adding or removing a name moves the borders of its own leaf only: so an
 * index that grew and one that is made anew are the same, and no publish ever pays for all chunks.
 * Takes entries in the order of `compareEntries`. Gives leaves in the order of their bits, none empty.
 */
export function leavesOf<E extends Entry>(entries: readonly E[], prefix = ''): Leaf<E>[] {
  if (entries.length === 0) return [];
  if (isLeaf(entries) || prefix.length === BITS) return [{ prefix, entries }];
  const border = entries.findIndex(({ bits }) => bitAt(bits, prefix.length) === 1);
  const middle = border === -1 ? entries.length : border;
  return [...leavesOf(entries.slice(0, middle), `${prefix}0`), ...leavesOf(entries.slice(middle), `${prefix}1`)];
}

/** True if the hash begins with the bits of the prefix. */
export function isUnder(prefix: string, bits: number): boolean {
  return prefix === '' || bits >>> (BITS - prefix.length) === Number.parseInt(prefix, 2);
}

/** By bits, then by name. */
export function compareEntries(a: Pick<Entry, 'bits' | 'name'>, b: Pick<Entry, 'bits' | 'name'>): number {
  return a.bits - b.bits || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** The bits of a name. Of a cryptographic hash, so that nobody can choose names that fall into one leaf. */
export function bitsOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0);
}

/** Names in the order of their leaves: who reads many of them fills one leaf after the other. */
export function inLeafOrder(names: readonly string[]): readonly string[] {
  return names
    .map((name) => ({ name, bits: bitsOf(name) }))
    .sort(compareEntries)
    .map(({ name }) => name);
}

function isLeaf(entries: readonly Entry[]): boolean {
  if (entries.length <= 1) return true;
  if (entries.length > MAX_LEAF_NAMES) return false;
  return entries.reduce((total, { textBytes }) => total + textBytes, 0) <= MAX_LEAF_BYTES;
}

function bitAt(bits: number, at: number): number {
  return (bits >>> (BITS - 1 - at)) & 1;
}
