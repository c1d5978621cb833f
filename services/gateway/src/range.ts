/** Bytes `start` … `end - 1` of something of a known size. */
export interface ByteSpan {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header asks of something of this size: a span to answer with 206, `'unsatisfiable'` (416), or undefined for
 * the whole (no header, several ranges, another unit, or nonsense: RFC 9110 lets a server ignore those).
 * A suffix longer than the whole is the whole, still as 206.
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteSpan | 'unsatisfiable' | undefined {
  if (header === undefined) return undefined;
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) ?? [];
  if (from === undefined || to === undefined || (from === '' && to === '')) return undefined;
  if (from === '') {
    const length = Number(to);
    if (length === 0 || sizeBytes === 0) return 'unsatisfiable';
    return { start: Math.max(0, sizeBytes - length), end: sizeBytes };
  }
  const start = Number(from);
  const last = to === '' ? sizeBytes - 1 : Number(to);
  if (last < start && to !== '') return undefined;
  if (start >= sizeBytes) return 'unsatisfiable';
  return { start, end: Math.min(last + 1, sizeBytes) };
}

/** True if the client already has this: one of the tags of If-None-Match is ours (weakly compared), or it is `*`. */
export function matchesETag(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/** True if a Range may be answered: there is no If-Range, or it names exactly the bytes that we have (strongly compared). */
export function admitsRange(ifRange: string | undefined, etag: string, modifiedMs: number | undefined): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"')) return ifRange === etag;
  return modifiedMs !== undefined && Date.parse(ifRange) === Math.floor(modifiedMs / 1000) * 1000;
}
