import type { Audience } from '@vivarium/access/audience';
import type { CondaManifest } from '@vivarium/conda/manifest';
import type { CondaRecord } from '@vivarium/conda/record';
import { chunkTextOf, MAX_CHUNK_BYTES } from '@vivarium/conda/rope';
import type { Shard } from '@vivarium/conda/shard';
import { Fault } from '@vivarium/fault/fault';
import { bitsOf, compareEntries, type Entry, isUnder, type Leaf, leavesOf } from './leaves.js';
import type { Objects } from './objects.js';

/** A name where it is: in the part of its audience. */
export interface Named {
  readonly name: string;
  readonly audience: Audience;
  readonly hash: string;
  readonly textBytes: number;
  readonly newestMs: number;
}

/** The chunks of one leaf. */
export interface LeafChunks {
  readonly tarBz2: readonly string[];
  readonly conda: readonly string[];
}

export interface ChunkRow extends LeafChunks {
  readonly audienceId: string;
  readonly prefix: string;
}

interface PartEntry extends Entry {
  readonly hash: string;
  readonly newestMs: number;
}

interface Part {
  readonly audience: Audience;
  /** In the order of `compareEntries`. */
  readonly entries: PartEntry[];
  chunks: Map<string, LeafChunks>;
}

/**
 * What one directory of a label holds, cut by audience first and by name second. Changing a name makes one leaf anew, or two
 * when it moves to another audience. A failed `apply` leaves it unusable: read it again.
 */
export class SubdirIndex {
  readonly #parts = new Map<string, Part>();
  /** Name → id of its audience. */
  readonly #whose = new Map<string, string>();
  readonly #touched = new Map<string, { readonly audienceId: string; readonly prefix: string }>();
  #isChanged = false;

  constructor(names: Iterable<Named> = [], chunks: Iterable<ChunkRow> = []) {
    for (const named of names) this.#partOf(named.audience).entries.push(this.#entryOf(named));
    for (const { entries } of this.#parts.values()) entries.sort(compareEntries);
    for (const { audienceId, prefix, tarBz2, conda } of chunks) {
      this.#parts.get(audienceId)?.chunks.set(prefix, { tarBz2, conda });
    }
  }

  get size(): number {
    return this.#whose.size;
  }

  get isChanged(): boolean {
    return this.#isChanged;
  }

  /** True if the name is there with these records and this audience; with none given, if it is not there. */
  shows(name: string, named: Pick<Named, 'audience' | 'hash'> | undefined): boolean {
    const audienceId = this.#whose.get(name);
    if (audienceId === undefined || named === undefined) return audienceId === named?.audience.id;
    const part = this.#parts.get(audienceId);
    const entry = part?.entries[placeIn(part.entries, { name, bits: bitsOf(name) })];
    return audienceId === named.audience.id && entry?.name === name && entry.hash === named.hash;
  }

  /** What names are from now on, with their records; nothing for those that are gone. Puts the chunks that this makes. */
  async apply(
    changes: ReadonlyMap<string, (Named & { readonly records: Shard }) | undefined>,
    objects: Objects,
  ): Promise<void> {
    this.#isChanged = true;
    const touched = new Map<string, Map<string, Shard | undefined>>();
    const touch = (audienceId: string, name: string, records: Shard | undefined): void => {
      touched.set(audienceId, (touched.get(audienceId) ?? new Map()).set(name, records));
    };
    for (const [name, named] of changes) {
      const before = this.#remove(name);
      if (before !== undefined) touch(before, name, undefined);
      if (named === undefined) continue;
      this.#insert(named);
      touch(named.audience.id, name, named.records);
    }
    await Promise.all([...touched].map(([audienceId, names]) => this.#cut(audienceId, names, objects)));
  }

  manifest(subdir: string): CondaManifest {
    const parts = [...this.#parts.values()].map(({ audience, entries, chunks }) => {
      const inOrder = [...chunks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
      return {
        audience,
        newestMs: entries.reduce((newest, { newestMs }) => Math.max(newest, newestMs), 0),
        shards: Object.fromEntries(entries.map(({ name, hash }) => [name, hash])),
        chunks: {
          tarBz2: inOrder.flatMap(({ tarBz2 }) => tarBz2),
          conda: inOrder.flatMap(({ conda }) => conda),
        },
      };
    });
    return { subdir, parts };
  }

  /** The leaves that were made or ended since the last call; one that ended has no chunks. */
  takeTouched(): readonly ChunkRow[] {
    const rows = [...this.#touched.values()].map(({ audienceId, prefix }) => {
      const chunks = this.#parts.get(audienceId)?.chunks.get(prefix) ?? { tarBz2: [], conda: [] };
      return { audienceId, prefix, ...chunks };
    });
    this.#touched.clear();
    this.#isChanged = false;
    return rows;
  }

  /** Makes the leaves of one part anew that hold a touched name, or whose borders moved. */
  async #cut(audienceId: string, touched: ReadonlyMap<string, Shard | undefined>, objects: Objects): Promise<void> {
    const part = this.#parts.get(audienceId);
    if (part === undefined) return;
    const before = part.chunks;
    const touchedBits = [...touched.keys()].map(bitsOf);
    const after = new Map<string, LeafChunks>();
    await Promise.all(
      leavesOf(part.entries).map(async (leaf) => {
        const same = touchedBits.some((bits) => isUnder(leaf.prefix, bits)) ? undefined : before.get(leaf.prefix);
        after.set(leaf.prefix, same ?? (await this.#fill(leaf, before, touched, objects)));
      }),
    );
    part.chunks = after;
    for (const prefix of new Set([...before.keys(), ...after.keys()])) {
      if (before.get(prefix) !== after.get(prefix)) {
        this.#touched.set(`${audienceId} ${prefix}`, { audienceId, prefix });
      }
    }
    if (part.entries.length === 0) this.#parts.delete(audienceId);
  }

  /** The chunks of a leaf: new records of touched names, the others from the chunks that held them before. */
  async #fill(
    leaf: Leaf<PartEntry>,
    before: ReadonlyMap<string, LeafChunks>,
    touched: ReadonlyMap<string, Shard | undefined>,
    objects: Objects,
  ): Promise<LeafChunks> {
    const sources = [...before].filter(([prefix]) => leaf.prefix.startsWith(prefix) || prefix.startsWith(leaf.prefix));
    const kept = new Set(leaf.entries.map(({ name }) => name).filter((name) => !touched.has(name)));
    const fresh = leaf.entries.flatMap(({ name }) => touched.get(name) ?? []);
    const found = new Set<string>();
    const fill = async (format: keyof LeafChunks, recordsOf: (shard: Shard) => ReadonlyMap<string, CondaRecord>) => {
      const records = new Map<string, CondaRecord>(fresh.flatMap((shard) => [...recordsOf(shard)]));
      const texts = await Promise.all(
        kept.size === 0 ? [] : sources.flatMap(([, chunks]) => chunks[format]).map((hash) => objects.chunkText(hash)),
      );
      for (const text of texts) {
        // A chunk is the inside of a JSON object that we wrote ourselves.
        const old = JSON.parse(`{${text}}`) as Readonly<Record<string, CondaRecord>>;
        for (const [filename, record] of Object.entries(old)) {
          if (!kept.has(record.name)) continue;
          found.add(record.name);
          records.set(filename, record);
        }
      }
      return textsOf(records).map((text) => objects.putChunk(text));
    };
    const [tarBz2, conda] = await Promise.all([
      fill('tarBz2', ({ packages }) => packages),
      fill('conda', ({ condaPackages }) => condaPackages),
    ]);
    if (found.size !== kept.size) {
      throw new Fault('internal', 'Stored chunks of an index lack a package. Rebuild the index of its channel.');
    }
    return { tarBz2, conda };
  }

  #partOf(audience: Audience): Part {
    const part = this.#parts.get(audience.id) ?? { audience, entries: [], chunks: new Map() };
    this.#parts.set(audience.id, part);
    return part;
  }

  #entryOf({ name, audience, hash, textBytes, newestMs }: Named): PartEntry {
    this.#whose.set(name, audience.id);
    return { name, bits: bitsOf(name), textBytes, hash, newestMs };
  }

  #insert(named: Named): void {
    const { entries } = this.#partOf(named.audience);
    const entry = this.#entryOf(named);
    entries.splice(placeIn(entries, entry), 0, entry);
  }

  /** Gives the id of the audience that the name had. */
  #remove(name: string): string | undefined {
    const audienceId = this.#whose.get(name);
    if (audienceId === undefined) return undefined;
    this.#whose.delete(name);
    const entries = this.#parts.get(audienceId)?.entries ?? [];
    entries.splice(placeIn(entries, { name, bits: bitsOf(name) }), 1);
    return audienceId;
  }
}

/** Where the entry is, or belongs. */
function placeIn(entries: readonly PartEntry[], wanted: Pick<Entry, 'bits' | 'name'>): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && compareEntries(entry, wanted) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The texts of a leaf's chunks: one, unless it is longer than a chunk may be. */
function textsOf(records: ReadonlyMap<string, CondaRecord>): readonly string[] {
  const whole = chunkTextOf(records);
  if (whole === '') return [];
  if (Buffer.byteLength(whole) <= MAX_CHUNK_BYTES) return [whole];
  const texts: string[] = [];
  let text = '';
  let bytes = 0;
  for (const [filename, record] of [...records].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const own = chunkTextOf(new Map([[filename, record]]));
    const ownBytes = Buffer.byteLength(own);
    if (text !== '' && bytes + 1 + ownBytes > MAX_CHUNK_BYTES) {
      texts.push(text);
      text = '';
      bytes = 0;
    }
    bytes += ownBytes + (text === '' ? 0 : 1);
    text += text === '' ? own : `,${own}`;
  }
  return [...texts, text];
}
