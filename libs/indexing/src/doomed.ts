import { inTransaction } from '@vivarium/db/open';

type Pool = Parameters<typeof inTransaction>[0];
type Tx = Parameters<Parameters<typeof inTransaction>[1]>[0];

/** Between those who name objects and the one who dooms them, in one schema; each asks for its own share of it. */
const LOCK = "hashtext(current_schema()), hashtext('objects')";
const HASHES_AT_ONCE = 20_000;

/**
 * Objects of indexes are named by their bytes, so one that was superseded may be wanted again while it is swept away, and no
 * other key could be chosen for it. Whoever moves heads therefore claims the objects that they name: either the sweep sees
 * the rows that name them, or the claim sees that they are doomed.
 */
export class Claims {
  readonly #pool: Pool;
  /** Channel → a moment, by the database's clock, before which no fold of it that is still to come has begun. */
  readonly #foldsAfter = new Map<string, string>();

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Runs `move` in a transaction that will name these objects, all of which have been put. Gives false if `move` did, or if
   * one of them may have been deleted since it was put: then nothing was changed, and the channel has to be folded again,
   * which puts them again.
   */
  async move(channelId: string, hashes: readonly string[], move: (tx: Tx) => Promise<boolean>): Promise<boolean> {
    try {
      return await inTransaction(this.#pool, async (tx) => {
        if (!(await move(tx))) return false;
        await this.#claim(tx, channelId, hashes);
        return true;
      });
    } catch (error) {
      if (!(error instanceof Unsure)) throw error;
      this.#foldsAfter.set(channelId, error.now);
      // From now on they are put back, should the delete come late.
      await this.#pool.query("UPDATE doomed SET state = 'wanted' WHERE hash = ANY($1) AND state = 'deleting'", [
        error.deleting,
      ]);
      return false;
    }
  }

  // The last statements before the commit, so that the lock is held for a moment only.
  async #claim(tx: Tx, channelId: string, hashes: readonly string[]): Promise<void> {
    await tx.query(`SELECT pg_advisory_xact_lock_shared(${LOCK})`);
    const foldAfter = this.#foldsAfter.get(channelId) ?? null;
    for (let at = 0; at < hashes.length; at += HASHES_AT_ONCE) {
      const some = hashes.slice(at, at + HASHES_AT_ONCE);
      // By doomed_pkey.
      const { rows } = await tx.query<DoomedRow>(
        `SELECT hash, state, $2::timestamptz IS NULL OR since > $2::timestamptz AS "isNew", clock_timestamp()::text AS now
         FROM doomed WHERE hash = ANY($1)`,
        [some, foldAfter],
      );
      const unsure = rows.filter(({ state, isNew }) => state === 'deleting' || (state === 'gone' && isNew));
      const deleting = unsure.filter(({ state }) => state === 'deleting').map(({ hash }) => hash);
      const [first] = unsure;
      if (first !== undefined) throw new Unsure(first.now, deleting);
      if (rows.length > 0) {
        await tx.query("DELETE FROM doomed WHERE hash = ANY($1) AND state IN ('doomed', 'gone')", [some]);
      }
    }
    this.#foldsAfter.delete(channelId);
  }
}

interface DoomedRow {
  readonly hash: string;
  readonly state: 'doomed' | 'deleting' | 'wanted' | 'gone';
  readonly isNew: boolean;
  readonly now: string;
}

/** Leaves the transaction without a commit. */
class Unsure extends Error {
  constructor(
    readonly now: string,
    readonly deleting: readonly string[],
  ) {
    super('An object may have been deleted.');
  }
}

/** Runs `work` in a transaction during which nobody claims: what it sees named is all that is named. */
export function whileNobodyClaims<T>(pool: Pool, work: (tx: Tx) => Promise<T>): Promise<T> {
  return inTransaction(pool, async (tx) => {
    await tx.query(`SELECT pg_advisory_xact_lock(${LOCK})`);
    return work(tx);
  });
}
