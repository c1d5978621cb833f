import { Fault } from '@vivarium/fault/fault';

// The tree of the blob store, drawn where it is computed:
//
//   blobs/sha256/ab/<sha256>[-<n>]   the bytes of files; ab = the first two digits. -n: the n-th object that holds these
//                                    bytes, so that a late delete of an earlier one cannot hit this one
//   index/<sha256>                   index objects, named by their own hash
//   heads/<sha256>                   manifests of indexes, named by their own hash
//   staging/<id>                     uploads that are not committed yet
//   floors/<channel id>              the lowest generation of a channel that may still be served
//   probe/<name>                     written by the store's own check
//
// Everything but staging, floors and probe is immutable.

/** What the prefixes are called, for listing. */
export const PREFIXES = {
  blobs: 'blobs/',
  index: 'index/',
  heads: 'heads/',
  staging: 'staging/',
  floors: 'floors/',
  probe: 'probe/',
} as const;

const SHA256 = /^[0-9a-f]{64}$/;
const ID = /^[a-z0-9][a-z0-9_-]{0,99}$/;
const BLOB = /^blobs\/sha256\/([0-9a-f]{2})\/(\1[0-9a-f]{62})(?:-([1-9][0-9]{0,8}))?$/;

/** The key of a file's bytes. `object` counts the objects that ever held them, from 0. Throws Fault('invalid'). */
export function blobKey(sha256: string, object = 0): string {
  checkSha256(sha256);
  if (!Number.isSafeInteger(object) || object < 0 || object > 999_999_999) {
    throw new Fault('invalid', `${object} is not a number of an object.`);
  }
  const suffix = object === 0 ? '' : `-${object}`;
  return `${PREFIXES.blobs}sha256/${sha256.slice(0, 2)}/${sha256}${suffix}`;
}

/** The inverse of `blobKey`; undefined if the key is not one of those. */
export function blobOf(key: string): { readonly sha256: string; readonly object: number } | undefined {
  const [, , sha256, object] = BLOB.exec(key) ?? [];
  return sha256 === undefined ? undefined : { sha256, object: Number(object ?? 0) };
}

/** The key of an index object, by the SHA-256 (hex) of its bytes. Throws Fault('invalid'). */
export function indexKey(sha256: string): string {
  checkSha256(sha256);
  return `${PREFIXES.index}${sha256}`;
}

/** The key of a head's manifest, by the SHA-256 (hex) of its bytes. Throws Fault('invalid'). */
export function headKey(sha256: string): string {
  checkSha256(sha256);
  return `${PREFIXES.heads}${sha256}`;
}

/** The key of an upload's bytes before they are committed, by the id of its stage. Throws Fault('invalid'). */
export function stagingKey(id: string): string {
  checkId(id);
  return `${PREFIXES.staging}${id}`;
}

/** The key of a channel's floor, by the id of the channel. Throws Fault('invalid'). */
export function floorKey(channelId: string): string {
  checkId(channelId);
  return `${PREFIXES.floors}${channelId}`;
}

function checkSha256(sha256: string): void {
  if (!SHA256.test(sha256)) throw new Fault('invalid', `"${sha256.slice(0, 80)}" is not a SHA-256 in lower-case hex.`);
}

function checkId(id: string): void {
  if (!ID.test(id)) throw new Fault('invalid', `"${id.slice(0, 120)}" is not an id.`);
}
