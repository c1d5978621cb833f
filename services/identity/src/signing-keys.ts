import { type KeyObject, randomBytes } from 'node:crypto';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Db, Tx } from './db.js';
import { type KeyPolicy, missingKeySignsFrom, outlivedKeys, signerOf } from './key-plan.js';
import { makeSealedKey, openSealedKey, type PublicJwk } from './sealed-key.js';

export interface SigningKey {
  readonly kid: string;
  readonly publicJwk: PublicJwk;
  readonly signsFromMs: number;
  readonly privateKey: KeyObject;
}

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
  #keys: readonly SigningKey[] = [];
  #published: readonly PublicJwk[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: SigningKeysOptions) {
    this.#options = options;
    this.#policy = { ...options.policy, cacheMs: options.policy.cacheMs + READ_LIFE_MS };
  }

  /** The key that signs now. Made, with its successor, where there is none. */
  async signer(): Promise<SigningKey> {
    await this.#refresh();
    const signer = signerOf(this.#keys, this.#options.clock());
    if (signer === undefined)
      throw new Fault('unavailable', 'There is no key to sign with yet. Try again in a moment.');
    return signer;
  }

  /** The JWK set that verifies everything signed now, lately, and by the next key. */
  async published(): Promise<string> {
    await this.#refresh();
    return JSON.stringify({ keys: this.#published });
  }

  async #refresh(): Promise<void> {
    const ageMs = this.#options.clock() - this.#readAtMs;
    if (ageMs >= 0 && ageMs < READ_LIFE_MS) return;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { db, clock } = this.#options;
    const nowMs = clock();
    const rows = await readRows(db);
    const isDue = missingKeySignsFrom(this.#opened(rows), nowMs, this.#policy) !== undefined;
    const current = isDue ? await retryConflicts(() => db.$transaction((tx) => this.#rotate(tx, nowMs))) : rows;
    this.#keys = this.#opened(current);
    this.#published = current.map(({ kid, publicJwk }) => ({ ...publicJwk, kid, alg: 'EdDSA', use: 'sig' }));
    this.#readAtMs = nowMs;
  }

  async #rotate(tx: Tx, nowMs: number): Promise<readonly KeyRow[]> {
    // Replicas take turns here, and those that come second find the keys that the first one made.
    await tx.$executeRaw`LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE`;
    const outlived = outlivedKeys(await readRows(tx), nowMs, this.#policy).map(({ kid }) => kid);
    await tx.signingKey.deleteMany({ where: { kid: { in: [...outlived] } } });
    for (;;) {
      const rows = await readRows(tx);
      const signsFromMs = missingKeySignsFrom(this.#opened(rows), nowMs, this.#policy);
      if (signsFromMs === undefined) return rows;
      await this.#insert(tx, nowMs, signsFromMs);
    }
  }

  async #insert(tx: Tx, nowMs: number, signsFromMs: number): Promise<void> {
    const kid = randomBytes(12).toString('base64url');
    const { publicJwk, sealedKey } = makeSealedKey(kid, this.#options.sealingKey);
    await tx.signingKey.create({
      data: {
        kid,
        publicJwk: { ...publicJwk },
        sealedKey,
        publishedAt: new Date(nowMs),
        signsFrom: new Date(signsFromMs),
      },
    });
  }

  // A key that does not open was sealed under another secret: of a replica that is being replaced, or before a change of
  // the secret. It still verifies, and this replica signs with one of its own.
  #opened(rows: readonly KeyRow[]): readonly SigningKey[] {
    return rows.flatMap((row) => {
      const privateKey = openSealedKey(row.kid, row.sealedKey, this.#options.sealingKey);
      return privateKey === undefined ? [] : [{ ...row, privateKey }];
    });
  }
}

interface KeyRow {
  readonly kid: string;
  readonly publicJwk: PublicJwk;
  readonly sealedKey: Uint8Array;
  readonly signsFromMs: number;
}

async function readRows(db: Db | Tx): Promise<readonly KeyRow[]> {
  const rows = await db.signingKey.findMany({ orderBy: { signsFrom: 'asc' } });
  return rows.map(({ kid, publicJwk, sealedKey, signsFrom }) => ({
    kid,
    // Only this class writes the column.
    publicJwk: publicJwk as unknown as PublicJwk,
    sealedKey,
    signsFromMs: signsFrom.getTime(),
  }));
}
