import { createHash } from 'node:crypto';
import type { Blobs } from '@vivarium/blobs/blobs';
import { headKey, indexKey } from '@vivarium/blobs/keys';

/** The immutable objects of one fold. Puts run beside each other and beside the fold; `settled` waits for all of them. */
export class Objects {
  readonly #blobs: Blobs;
  readonly #puts: Promise<unknown>[] = [];

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  /** Puts a page, whose hash is known. */
  putPage(bytes: Uint8Array, hash: string): void {
    this.#put(indexKey(hash), bytes);
  }

  /** Puts a manifest and gives its hash. */
  putManifest(bytes: Uint8Array): string {
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.#put(headKey(hash), bytes);
    return hash;
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
