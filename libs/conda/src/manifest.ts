import type { Audience } from '@vivarium/access/audience';
import { isAudience } from '@vivarium/access/audience';
import { Fault } from '@vivarium/fault/fault';

/**
 * What one (channel, label, subdir) holds, cut by audience: an immutable object named by its own hash. Everything that a
 * caller may see of the subdir, in every format, is put together from it. It knows no generation and no date of its own,
 * so that the same packages give the same bytes however they came there.
 */
export interface CondaManifest {
  readonly subdir: string;
  /** Sorted by id; none is empty. */
  readonly parts: readonly ManifestPart[];
}

/** The packages of one audience. */
export interface ManifestPart {
  readonly audience: Audience;
  /** When the newest file of the part was entered, ms since 1970. */
  readonly newestMs: number;
  /** Name → SHA-256 (hex) of its shard, sorted by name. */
  readonly shards: Readonly<Record<string, string>>;
  /** SHA-256 (hex) of the chunks of repodata's two maps, in their order. */
  readonly chunks: { readonly tarBz2: readonly string[]; readonly conda: readonly string[] };
}

/** The bytes of a manifest: the same for equal content. */
export function encodeManifest(manifest: CondaManifest): Uint8Array {
  const parts = [...manifest.parts]
    .sort((a, b) => compare(a.audience.id, b.audience.id))
    .map(({ audience, newestMs, shards, chunks }) => ({
      audience: { id: audience.id, visibility: audience.visibility, principals: audience.principals },
      newestMs,
      shards: Object.fromEntries(Object.entries(shards).sort(([a], [b]) => compare(a, b))),
      chunks: { tarBz2: chunks.tarBz2, conda: chunks.conda },
    }));
  return Buffer.from(JSON.stringify({ version: 1, subdir: manifest.subdir, parts }));
}

/** The manifest in bytes that `encodeManifest` gave. Throws Fault('internal') for others. */
export function decodeManifest(bytes: Uint8Array): CondaManifest {
  const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Partial<CondaManifest> & { version?: unknown };
  if (value.version === 1 && typeof value.subdir === 'string' && Array.isArray(value.parts)) {
    if (value.parts.every((part: ManifestPart) => isAudience(part.audience))) {
      return { subdir: value.subdir, parts: value.parts };
    }
  }
  throw new Fault('internal', 'An index cannot be read at the moment.', { cause: new Error('not a conda manifest') });
}

/** The manifest of a subdir into which nothing was published. */
export function emptyManifest(subdir: string): CondaManifest {
  return { subdir, parts: [] };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
