import { findTokenFacts } from './credential-facts.js';
import { ask, type Db } from './db.js';
import { identifyToken } from './identified.js';
import { usedUpToken } from './refusals.js';

/**
 * Takes one use from a token and gives how many are left; -1 for a token without a limit.
 * Throws Fault('unauthenticated') when none is left, or the token does not count any more.
 */
export async function useToken(db: Db, id: string, nowMs: number): Promise<bigint> {
  const now = new Date(nowMs);
  // One statement, so that no two requests take the same use. By tokens_pkey.
  const [row] = await ask(
    db.$queryRaw<{ remaining: bigint }[]>`
      UPDATE tokens SET remaining_uses = remaining_uses - 1
      WHERE id = ${id} AND remaining_uses > 0 AND revoked_at IS NULL AND expires_at > ${now}
      RETURNING remaining_uses AS remaining`,
  );
  if (row !== undefined) return row.remaining;
  const facts = await findTokenFacts(db, { id });
  identifyToken(facts, nowMs);
  if (facts?.remainingUses === null) return -1n;
  throw usedUpToken();
}
