import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';
import { type CondaManifest, decodeManifest } from '@vivarium/conda/manifest';
import { decodePypiManifest, type PypiManifest } from '@vivarium/pypi/manifest';
import { LRUCache } from 'lru-cache';

const MANIFEST_LIMIT_BYTES = 256 * 2 ** 20;
const OBJECT_LIMIT_BYTES = 64 * 2 ** 20;

/** Immutable objects by their hash, kept in memory up to a limit of bytes; many who ask at once read once. */
export class ObjectStore {
  readonly #blobs: Blobs;
  readonly #bytes: LRUCache<string, Uint8Array>;
  readonly #manifests: LRUCache<string, CondaManifest | PypiManifest>;
  readonly #flights = new Map<string, Promise<unknown>>();

  constructor(blobs: Blobs, maxBytes: number) {
    this.#blobs = blobs;
    this.#bytes = new LRUCache({ maxSize: maxBytes, sizeCalculation: (bytes) => bytes.byteLength + 200 });
    this.#manifests = new LRUCache({ max: 2_000 });
  }

  /** An index object (chunk, shard, page) by its hash. */
  object(hash: string): Uint8Array | Promise<Uint8Array> {
    return this.#bytes.get(hash) ?? this.#once(hash, () => this.#read(hash, indexKey(hash), OBJECT_LIMIT_BYTES));
  }

  /** Small bytes of a file, by the key of its blob. */
  blob(key: string, limitBytes: number): Uint8Array | Promise<Uint8Array> {
    return this.#bytes.get(key) ?? this.#once(key, () => this.#read(key, key, limitBytes));
  }

  condaManifest(hash: string): CondaManifest | Promise<CondaManifest> {
    return this.#manifest(hash, decodeManifest);
  }

  pypiManifest(hash: string): PypiManifest | Promise<PypiManifest> {
    return this.#manifest(hash, decodePypiManifest);
  }

  /** What is put together from objects, kept under a name that says from which. */
  composed(key: string, compose: () => Promise<Uint8Array>): Uint8Array | Promise<Uint8Array> {
    return (
      this.#bytes.get(key) ??
      this.#once(key, async () => {
        const bytes = await compose();
        this.#bytes.set(key, bytes);
        return bytes;
      })
    );
  }

  #manifest<T extends CondaManifest | PypiManifest>(hash: string, decode: (bytes: Uint8Array) => T): T | Promise<T> {
    // A hash names one manifest, so what was decoded under it has the form that this caller decodes.
    const known = this.#manifests.get(hash) as T | undefined;
    if (known !== undefined) return known;
    return this.#once(`manifest ${hash}`, async () => {
      const body = await this.#blobs.get(headKey(hash));
      const manifest = decode(await body.bytes(MANIFEST_LIMIT_BYTES));
      this.#manifests.set(hash, manifest);
      return manifest;
    });
  }

  async #read(name: string, key: string, limitBytes: number): Promise<Uint8Array> {
    const bytes = await (await this.#blobs.get(key)).bytes(limitBytes);
    this.#bytes.set(name, bytes);
    return bytes;
  }

  #once<T>(name: string, read: () => Promise<T>): Promise<T> {
    const flight = this.#flights.get(name);
    if (flight !== undefined) return flight as Promise<T>;
    const started = read().finally(() => this.#flights.delete(name));
    this.#flights.set(name, started);
    return started;
  }
}
