import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { belongs, sees, type View, viewKey } from '@vivarium/access/view';
import type { CondaManifest, ManifestPart } from '@vivarium/conda/manifest';
import { chunkTextOf, composeZst, compressChunk, jsonPieces, recordsOfChunk } from '@vivarium/conda/rope';
import { encodeShardIndex } from '@vivarium/conda/shard';
import { LRUCache } from 'lru-cache';
import type { ObjectStore } from './object-store.js';
import { inSlices } from './slices.js';

export type IndexFormat = 'json' | 'json.zst' | 'shard-index';

const gzipLater = promisify(gzip);
// Views of a manifest that are in use; it goes when the manifest does.
const views = new WeakMap<CondaManifest, LRUCache<string, CondaView>>();
const MAX_VIEWS = 200;

/** What a caller sees of one subdir, made once for all who see the same. */
export function condaViewOf(manifest: CondaManifest, view: View, incarnation: string): CondaView | Promise<CondaView> {
  const known = views.get(manifest) ?? new LRUCache<string, CondaView>({ max: MAX_VIEWS });
  views.set(manifest, known);
  const seen = manifest.parts.filter((part) => belongs(view, part.audience)).map(({ audience }) => audience.id);
  const key = JSON.stringify([incarnation, seen, view.globs, view.subdirs]);
  const made = known.get(key) ?? new CondaView(manifest, view, incarnation);
  known.set(key, made);
  const cut = made.cut();
  return cut === undefined ? made : cut.then(() => made);
}

/** What a caller sees of one subdir: the parts of its manifest whose audiences the caller belongs to. */
export class CondaView {
  readonly #manifest: CondaManifest;
  readonly #parts: readonly ManifestPart[];
  readonly #view: View;
  readonly #incarnation: string;
  readonly #fingerprints = new Map<IndexFormat, string>();
  /** Those of which a token's globs or subdirs cut something, and the names that are left of them. */
  readonly #cutParts: readonly ManifestPart[];
  readonly #left = new Map<ManifestPart, readonly string[]>();
  #cutting: Promise<void> | undefined;
  #hashes: ReadonlySet<string> | undefined;

  constructor(manifest: CondaManifest, view: View, incarnation: string) {
    this.#manifest = manifest;
    this.#view = view;
    this.#incarnation = incarnation;
    this.#parts = manifest.parts.filter((part) => belongs(view, part.audience));
    this.#cutParts = this.#parts.filter((part) => this.#isCut(part));
  }

  /** Finds out what a token's globs leave, which has to be waited for before anything else is asked; undefined if it is known. */
  cut(): Promise<void> | undefined {
    if (this.#left.size === this.#cutParts.length) return undefined;
    this.#cutting ??= this.#cutAll();
    return this.#cutting;
  }

  /** True if the caller may fetch the shard: its package is among those seen. */
  holdsShard(hash: string): boolean {
    this.#hashes ??= new Set(this.#parts.flatMap((part) => this.#namesIn(part).map((name) => part.shards[name] ?? '')));
    return this.#hashes.has(hash);
  }

  /**
   * A strong ETag of one file in one encoding: the hash of the hashes it is put together from. It changes with what this
   * view shows and with nothing else.
   */
  etagOf(format: IndexFormat, encoding: 'gzip' | undefined): string {
    return `"${this.#fingerprint(format)}${encoding === undefined ? '' : '-gz'}"`;
  }

  /** The bytes of one file, put together once for all who see the same. */
  bytesOf(format: IndexFormat, encoding: 'gzip' | undefined, objects: ObjectStore): Uint8Array | Promise<Uint8Array> {
    const key = `${format} ${this.#fingerprint(format)}`;
    const plain = (): Uint8Array | Promise<Uint8Array> => objects.composed(key, () => this.#compose(format, objects));
    if (encoding === undefined) return plain();
    return objects.composed(`${key} gzip`, async () => gzipLater(await plain(), { level: 6 }));
  }

  #fingerprint(format: IndexFormat): string {
    const made = this.#fingerprints.get(format) ?? this.#makeFingerprint(format);
    this.#fingerprints.set(format, made);
    return made;
  }

  #makeFingerprint(format: IndexFormat): string {
    const hash = createHash('sha256').update(`${format} ${this.#manifest.subdir} ${this.#incarnation} `);
    hash.update(
      viewKey(
        this.#view,
        this.#manifest.parts.map(({ audience }) => audience),
        this.#incarnation,
      ),
    );
    for (const part of this.#parts) {
      hash.update(`\n${part.audience.id} ${part.newestMs}`);
      if (format === 'shard-index' || this.#isCut(part)) {
        for (const name of this.#namesIn(part)) hash.update(` ${name} ${part.shards[name]}`);
      } else {
        hash.update(` ${part.chunks.tarBz2.join(' ')} | ${part.chunks.conda.join(' ')}`);
      }
    }
    return hash.digest('hex').slice(0, 40);
  }

  async #compose(format: IndexFormat, objects: ObjectStore): Promise<Uint8Array> {
    if (format === 'shard-index') {
      const newestMs = Math.max(0, ...this.#parts.map((part) => part.newestMs));
      const shards = this.#parts.flatMap((part) =>
        this.#namesIn(part).map((name): [string, string] => [name, part.shards[name] ?? '']),
      );
      return encodeShardIndex({
        subdir: this.#manifest.subdir,
        createdAt: new Date(newestMs).toISOString(),
        shards,
      });
    }
    const [tarBz2, conda] = await this.#chunks(objects);
    if (format === 'json.zst') return composeZst(this.#manifest.subdir, tarBz2, conda);
    const breathe = inSlices();
    const pieces: Uint8Array[] = [];
    for (const piece of jsonPieces(this.#manifest.subdir, tarBz2, conda)) {
      pieces.push(piece);
      await breathe();
    }
    return Buffer.concat(pieces);
  }

  async #chunks(objects: ObjectStore): Promise<[Uint8Array[], Uint8Array[]]> {
    const chunks: [Uint8Array[], Uint8Array[]] = [[], []];
    for (const part of this.#parts) {
      for (const [into, hashes] of [part.chunks.tarBz2, part.chunks.conda].entries()) {
        const whole: Uint8Array[] = [];
        for (const hash of hashes) whole.push(await objects.object(hash));
        chunks[into === 0 ? 0 : 1].push(...(this.#isCut(part) ? await cutChunks(whole, this.#namesIn(part)) : whole));
      }
    }
    return chunks;
  }

  /** Hundreds of globs on tens of thousands of names take seconds. */
  async #cutAll(): Promise<void> {
    const breathe = inSlices();
    for (const part of this.#cutParts) {
      const left: string[] = [];
      for (const name of Object.keys(part.shards)) {
        const thing = { audience: part.audience, name, subdir: this.#manifest.subdir };
        if (sees(this.#view, thing)) left.push(name);
        await breathe();
      }
      this.#left.set(part, left);
    }
  }

  #namesIn(part: ManifestPart): readonly string[] {
    if (!this.#isCut(part)) return Object.keys(part.shards);
    const left = this.#left.get(part);
    if (left !== undefined) return left;
    throw new Error('a cut view was asked before it was known what is left of it');
  }

  #isCut(part: ManifestPart): boolean {
    const { globs, subdirs } = this.#view;
    return part.audience.visibility !== 'public' && (globs !== undefined || subdirs !== undefined);
  }
}

/** What is left of chunks of which only these names are shown. */
async function cutChunks(chunks: readonly Uint8Array[], names: readonly string[]): Promise<readonly Uint8Array[]> {
  const breathe = inSlices();
  const shown = new Set(names);
  const left: Uint8Array[] = [];
  for (const chunk of chunks) {
    const records = [...recordsOfChunk(chunk)].filter(([, { name }]) => shown.has(name));
    if (records.length > 0) left.push(compressChunk(chunkTextOf(new Map(records))));
    await breathe();
  }
  return left;
}
