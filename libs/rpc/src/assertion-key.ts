import { Fault } from '@vivarium/fault/fault';
import type { CryptoKey, JWK } from 'jose';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK } from 'jose';

/** A key of identity's, with its private part. JSON, to be stored as a secret. */
export interface AssertionKey {
  readonly kid: string;
  /** From when it signs; it is published before. */
  readonly signsFromMs: number;
  readonly privateJwk: JWK;
}

/** The public part of a key, as identity publishes it to the other services. */
export interface PublishedKey {
  readonly kid: string;
  /** 32 bytes, base64url. */
  readonly x: string;
}

/**
 * How long a service keeps the published keys. A new key is published this long before it signs, so that no service meets an
 * assertion whose key it does not know; a removed key is forgotten within this time.
 */
export const KEY_CACHE_LIFE_MS = 60_000;
// An unknown key id may be a forger's: he must not make us ask identity for each.
const REFETCH_PAUSE_MS = 1_000;

/** A new Ed25519 key, named by its thumbprint (RFC 7638). During a change `signsFromMs` is now plus `KEY_CACHE_LIFE_MS`. */
export async function makeAssertionKey(signsFromMs: number): Promise<AssertionKey> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const privateJwk = await exportJWK(privateKey);
  return { kid: await calculateJwkThumbprint(privateJwk), signsFromMs, privateJwk };
}

/** What may be published of the keys: those that sign, will sign and have signed. */
export function publishedKeysOf(keys: readonly AssertionKey[]): readonly PublishedKey[] {
  return keys.map(({ kid, privateJwk }) => ({ kid, x: privateJwk.x ?? '' }));
}

/** The newest key whose time has come. Throws Fault('unavailable') if there is none. */
export function signingKeyOf(keys: readonly AssertionKey[], nowMs: number): AssertionKey {
  const [newest] = keys.filter((key) => key.signsFromMs <= nowMs).sort((a, b) => b.signsFromMs - a.signsFromMs);
  if (newest) return newest;
  throw new Fault('unavailable', 'No key may sign assertions yet. Make one with makeAssertionKey.');
}

/** The published keys as a service knows them: fetched once, again when they are old, and once when a key id is unknown. */
export class Keyring {
  readonly #fetch: () => Promise<readonly PublishedKey[]>;
  readonly #nowMs: () => number;
  #keys = new Map<string, CryptoKey>();
  #fetchedAtMs = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;

  /** `fetch` asks identity; `nowMs` is a monotonic clock. */
  constructor(fetch: () => Promise<readonly PublishedKey[]>, nowMs: () => number) {
    this.#fetch = fetch;
    this.#nowMs = nowMs;
  }

  /** The key of this id, or undefined if identity publishes none. Throws what `fetch` throws. For `verifyAssertion`. */
  readonly keyOf = async (kid: string): Promise<CryptoKey | undefined> => {
    if (this.#ageMs() >= KEY_CACHE_LIFE_MS) await this.#refresh();
    if (!this.#keys.has(kid) && this.#ageMs() >= REFETCH_PAUSE_MS) await this.#refresh();
    return this.#keys.get(kid);
  };

  #ageMs(): number {
    return this.#nowMs() - this.#fetchedAtMs;
  }

  #refresh(): Promise<void> {
    this.#fetching ??= this.#load().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #load(): Promise<void> {
    // The time of asking: a key published while the answer travels may be missing in it.
    const askedAtMs = this.#nowMs();
    const imported = await Promise.all((await this.#fetch()).map(importPublished));
    this.#keys = new Map(imported);
    this.#fetchedAtMs = askedAtMs;
  }
}

async function importPublished({ kid, x }: PublishedKey): Promise<[string, CryptoKey]> {
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA');
  if (key instanceof Uint8Array) throw new Fault('internal', 'A published key of identity is no public key.');
  return [kid, key];
}
