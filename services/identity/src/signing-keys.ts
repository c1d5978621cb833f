import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { AssertionSigner } from '@vivarium/rpc/assertion';
import { type AssertionKey, makeAssertionKey } from '@vivarium/rpc/assertion-key';
import type { Db, Tx } from './db.js';
import { type KeyPolicy, missingKeySignsFrom, outlivedKeys } from './key-plan.js';
import { openSealedKey, sealKey } from './sealed-key.js';

export interface SigningKeysOptions {
  readonly db: Db;
  /** 32 bytes that are not in the database. */
  readonly sealingKey: Uint8Array;
  readonly clock: () => number;
  readonly policy: KeyPolicy;
}

// How long a replica goes on with what it read. New keys are published that much earlier than anybody's cache demands.
const READ_LIFE_MS = 60_000;

/** The keys that sign assertions: one that signs, the next one already published, and those just replaced. */
export class SigningKeys {
  readonly #options: SigningKeysOptions;
  readonly #policy: KeyPolicy;
  #read: { readonly atMs: number; readonly signer: AssertionSigner; readonly published: string } | undefined;
  #reading: Promise<void> | undefined;

  constructor(options: SigningKeysOptions) {
    this.#options = options;
    this.#policy = { ...options.policy, cacheMs: options.policy.cacheMs + READ_LIFE_MS };
  }

  /** Signs with the key whose time it is. Keys are made where there are none. */
  async signer(): Promise<AssertionSigner> {
    return (await this.#current()).signer;
  }

  /** The JWK set that verifies everything signed now, lately, and by the next key. Source: RFC 7517, RFC 8037. */
  async published(): Promise<string> {
    return (await this.#current()).published;
  }

  async #current() {
    if (!this.#isFresh()) {
      this.#reading ??= this.#refresh().finally(() => {
        this.#reading = undefined;
      });
      await this.#reading;
    }
    if (this.#read !== undefined) return this.#read;
    throw new Fault('unavailable', 'There is no key to sign with yet. Try again in a moment.');
  }

  #isFresh(): boolean {
    if (this.#read === undefined) return false;
    const ageMs = this.#options.clock() - this.#read.atMs;
    // Negative when the clock was set back.
    return ageMs >= 0 && ageMs < READ_LIFE_MS;
  }

  async #refresh(): Promise<void> {
    const { db, clock } = this.#options;
    const atMs = clock();
    const found = await readRows(db);
    const isDue = missingKeySignsFrom(this.#opened(found), atMs, this.#policy) !== undefined;
    const rows = isDue ? await retryConflicts(() => db.$transaction((tx) => this.#rotate(tx, atMs))) : found;
    const keys = rows.map(({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', x, kid, alg: 'EdDSA', use: 'sig' }));
    this.#read = {
      atMs,
      signer: new AssertionSigner(this.#opened(rows), clock),
      published: JSON.stringify({ keys }),
    };
  }

  async #rotate(tx: Tx, nowMs: number): Promise<readonly KeyRow[]> {
    // Replicas take turns here, and those that come second find the keys that the first one made.
    await tx.$executeRaw`LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`;
    const outlived = outlivedKeys(await readRows(tx), nowMs, this.#policy).map(({ kid }) => kid);
    await tx.signingKey.deleteMany({ where: { kid: { in: outlived } } });
    for (;;) {
      const rows = await readRows(tx);
      const signsFromMs = missingKeySignsFrom(this.#opened(rows), nowMs, this.#policy);
      if (signsFromMs === undefined) return rows;
      await this.#insert(tx, await makeAssertionKey(signsFromMs), nowMs);
    }
  }

  async #insert(tx: Tx, { kid, signsFromMs, privateJwk }: AssertionKey, nowMs: number): Promise<void> {
    await tx.signingKey.create({
      data: {
        kid,
        x: privateJwk.x ?? '',
        sealedKey: sealKey(kid, privateJwk, this.#options.sealingKey),
        publishedAt: new Date(nowMs),
        signsFrom: new Date(signsFromMs),
      },
    });
  }

  // A key that does not open was sealed under another secret: of a replica that is being replaced, or before a change of
  // the secret. It still verifies, and this replica signs with one of its own.
  #opened(rows: readonly KeyRow[]): readonly AssertionKey[] {
    return rows.flatMap(({ kid, signsFromMs, sealedKey }) => {
      const privateJwk = openSealedKey(kid, sealedKey, this.#options.sealingKey);
      return privateJwk === undefined ? [] : [{ kid, signsFromMs, privateJwk }];
    });
  }
}

interface KeyRow {
  readonly kid: string;
  readonly x: string;
  readonly sealedKey: Uint8Array;
  readonly signsFromMs: number;
}

async function readRows(db: Db | Tx): Promise<readonly KeyRow[]> {
  const rows = await db.signingKey.findMany({ orderBy: { signsFrom: 'asc' } });
  return rows.map(({ kid, x, sealedKey, signsFrom }) => ({ kid, x, sealedKey, signsFromMs: signsFrom.getTime() }));
}
