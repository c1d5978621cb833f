import { createHash } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { compressChunk, MAX_CHUNK_BYTES } from '@vivarium/conda/rope';
import type { Recent } from '@vivarium/indexing/recent';

/** The immutable objects of one fold. Puts run beside each other and beside the fold; `settled` waits for all of them. */
export class Objects {
  readonly #blobs: Blobs;
  readonly #texts: Recent<string>;
  readonly #puts: Promise<unknown>[] = [];

  /** `texts`: chunk hash → its text, shared by all folds. */
  constructor(blobs: Blobs, texts: Recent<string>) {
    this.#blobs = blobs;
    this.#texts = texts;
  }

  /** Puts a shard, whose hash is known. */
  putShard(bytes: Uint8Array, hash: string): void {
    this.#put(indexKey(hash), bytes);
  }

  /** Puts a chunk of repodata and gives its hash. */
  putChunk(text: string): string {
    const bytes = compressChunk(text);
    const hash = hashOf(bytes);
    this.#texts.set(hash, text, text.length);
    this.#put(indexKey(hash), bytes);
    return hash;
  }

  /** Puts a manifest and gives its hash. */
  putManifest(bytes: Uint8Array): string {
    const hash = hashOf(bytes);
    this.#put(headKey(hash), bytes);
    return hash;
  }

  /** The text of a chunk that was put at some time. */
  async chunkText(hash: string): Promise<string> {
    const known = this.#texts.get(hash);
    if (known !== undefined) return known;
    const body = await this.#blobs.get(indexKey(hash));
    const bytes = await body.bytes(2 * MAX_CHUNK_BYTES);
    const text = zstdDecompressSync(bytes, { maxOutputLength: MAX_CHUNK_BYTES }).toString('utf8');
    this.#texts.set(hash, text, text.length);
    return text;
  }

  /** Resolves once everything put so far is stored. */
  async settled(): Promise<void> {
    await Promise.all(this.#puts.splice(0));
  }

  #put(key: string, bytes: Uint8Array): void {
    const put = this.#blobs.put(key, bytes, { ifAbsent: true, contentLength: bytes.byteLength });
    // It fails where it is waited for.
    put.catch(() => undefined);
    this.#puts.push(put);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
