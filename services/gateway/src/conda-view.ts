import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { belongs, sees, type View, viewKey } from '@vivarium/access/view';
import type { CondaManifest, ManifestPart } from '@vivarium/conda/manifest';
import type { CondaRecord } from '@vivarium/conda/record';
import { chunkTextOf, composeJson, composeZst, compressChunk } from '@vivarium/conda/rope';
import { decodeShard, encodeShardIndex } from '@vivarium/conda/shard';
import { LRUCache } from 'lru-cache';
import type { ObjectStore } from './object-store.js';

export type IndexFormat = 'json' | 'json.zst' | 'shard-index';

const gzipLater = promisify(gzip);
// Views of a manifest that are in use; it goes when the manifest does.
const views = new WeakMap<CondaManifest, LRUCache<string, CondaView>>();
const MAX_VIEWS = 200;

/** What a caller sees of one subdir, made once for all who see the same. */
export function condaViewOf(manifest: CondaManifest, view: View, incarnation: string): CondaView {
  const known = views.get(manifest) ?? new LRUCache<string, CondaView>({ max: MAX_VIEWS });
  views.set(manifest, known);
  const seen = manifest.parts.filter((part) => belongs(view, part.audience)).map(({ audience }) => audience.id);
  const key = JSON.stringify([incarnation, seen, view.globs, view.subdirs]);
  const made = known.get(key) ?? new CondaView(manifest, view, incarnation);
  known.set(key, made);
  return made;
}

/** What a caller sees of one subdir: the parts of its manifest whose audiences the caller belongs to. */
export class CondaView {
  readonly #manifest: CondaManifest;
  readonly #parts: readonly ManifestPart[];
  readonly #view: View;
  readonly #incarnation: string;
  readonly #fingerprints = new Map<IndexFormat, string>();
  #hashes: ReadonlySet<string> | undefined;

  constructor(manifest: CondaManifest, view: View, incarnation: string) {
    this.#manifest = manifest;
    this.#view = view;
    this.#incarnation = incarnation;
    this.#parts = manifest.parts.filter((part) => belongs(view, part.audience));
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
    const compose = format === 'json' ? composeJson : composeZst;
    return compose(this.#manifest.subdir, tarBz2, conda);
  }

  async #chunks(objects: ObjectStore): Promise<[Uint8Array[], Uint8Array[]]> {
    const chunks: [Uint8Array[], Uint8Array[]] = [[], []];
    for (const part of this.#parts) {
      if (this.#isCut(part)) {
        await this.#splitChunks(part, objects, chunks);
        continue;
      }
      for (const hash of part.chunks.tarBz2) chunks[0].push(await objects.object(hash));
      for (const hash of part.chunks.conda) chunks[1].push(await objects.object(hash));
    }
    return chunks;
  }

  /** A token's globs may leave out some names of a chunk: then the part is made anew from its shards. */
  async #splitChunks(part: ManifestPart, objects: ObjectStore, chunks: [Uint8Array[], Uint8Array[]]): Promise<void> {
    for (const name of this.#namesIn(part)) {
      const shard = decodeShard(await objects.object(part.shards[name] ?? ''));
      pushChunk(chunks[0], shard.packages);
      pushChunk(chunks[1], shard.condaPackages);
    }
  }

  #namesIn(part: ManifestPart): readonly string[] {
    const names = Object.keys(part.shards);
    if (!this.#isCut(part)) return names;
    return names.filter((name) => sees(this.#view, { audience: part.audience, name, subdir: this.#manifest.subdir }));
  }

  #isCut(part: ManifestPart): boolean {
    const { globs, subdirs } = this.#view;
    return part.audience.visibility !== 'public' && (globs !== undefined || subdirs !== undefined);
  }
}

function pushChunk(chunks: Uint8Array[], records: ReadonlyMap<string, CondaRecord>): void {
  const text = chunkTextOf(records);
  if (text !== '') chunks.push(compressChunk(text));
}
