import { Fault } from '@vivarium/fault/fault';
import { type CryptoKey, importJWK, type JWK } from 'jose';

// An unknown key id is asked for at once, but not more often than this: anybody can invent ids.
const REFETCH_MS = 1_000;

/** The public keys of identity, fetched when one is missing. */
export class KeyRing {
  readonly #fetchJwks: () => Promise<string>;
  readonly #clock: () => number;
  #keys = new Map<string, CryptoKey>();
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;

  constructor(fetchJwks: () => Promise<string>, clock: () => number) {
    this.#fetchJwks = fetchJwks;
    this.#clock = clock;
  }

  /** The public key of this id, or undefined if identity publishes none. */
  async find(kid: string): Promise<CryptoKey | undefined> {
    const known = this.#keys.get(kid);
    if (known !== undefined) return known;
    if (this.#fetching === undefined && this.#clock() - this.#fetchedMs < REFETCH_MS) return undefined;
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
    return this.#keys.get(kid);
  }

  async #fetch(): Promise<void> {
    const keys = new Map<string, CryptoKey>();
    for (const jwk of parseJwks(await this.#fetchJwks())) {
      const key = await importJWK(jwk, 'EdDSA');
      if (jwk.kid !== undefined && !(key instanceof Uint8Array)) keys.set(jwk.kid, key);
    }
    // Replaced, not added to: a key that identity withdraws verifies nothing from then on.
    this.#keys = keys;
    this.#fetchedMs = this.#clock();
  }
}

function parseJwks(text: string): readonly JWK[] {
  const parsed = JSON.parse(text) as { readonly keys?: unknown };
  if (Array.isArray(parsed.keys)) return parsed.keys as readonly JWK[];
  throw new Fault('internal', 'Something went wrong on our side.', { cause: new Error('identity sent no key set') });
}
