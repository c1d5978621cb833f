import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { lockCaller, needScope, needWhole } from './acting.js';
import { ask, type Db } from './db.js';
import { SESSION_IDLE_MS } from './identified.js';
import type { IdentityPorts } from './ports.js';

const SESSIONS_MAX = 200;
// News of one change is one message, and a message of this many facts is still small.
const FACTS_PER_MESSAGE = 500;

/** The sessions of the caller's account that still count, the youngest first, at most 200. */
export async function listSessions(db: Db, caller: Caller, nowMs: number) {
  needScope(callerFromProto(caller), 'api:read', 'listing sessions');
  // By sessions_account_id_idx.
  const rows = await ask(
    db.session.findMany({
      where: {
        accountId: caller.accountId,
        revokedAt: null,
        expiresAt: { gt: new Date(nowMs) },
        lastUsedAt: { gt: new Date(nowMs - SESSION_IDLE_MS) },
      },
      orderBy: [{ createdAt: 'desc' }, { id: 'asc' }],
      take: SESSIONS_MAX,
    }),
  );
  return rows.map((row) => ({
    id: row.id,
    createdAtMs: BigInt(row.createdAt.getTime()),
    lastUsedAtMs: BigInt(row.lastUsedAt.getTime()),
    expiresAtMs: BigInt(row.expiresAt.getTime()),
    address: row.address,
    userAgent: row.userAgent,
    presented: row.id === caller.credentialId,
  }));
}

/** Ends one of the caller's sessions, or all (empty id), and gives how many. Throws Fault('not_found'). */
export async function endSessions(ports: IdentityPorts, db: Db, caller: Caller, id: string): Promise<number> {
  const nowMs = ports.clock();
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const acting = await lockCaller(tx, caller, nowMs);
      needScope(acting.caller, 'api:write', 'ending a session');
      needWhole(acting.caller, 'ending a session');
      const { accountId, login } = acting.caller;
      // By sessions_account_id_idx.
      const rows = await tx.$queryRaw<{ id: string; version: bigint }[]>`
        UPDATE sessions SET revoked_at = ${new Date(nowMs)}, version = version + 1
        WHERE account_id = ${accountId} AND revoked_at IS NULL AND (${id} = '' OR id = ${id}) RETURNING id, version`;
      if (rows.length === 0 && id !== '') {
        throw new Fault('not_found', `There is no session "${id.slice(0, 64)}" of yours.`);
      }
      if (rows.length === 0) return 0;
      const facts = rows.map((row) => ({ tag: `session:${row.id}`, version: Number(row.version) }));
      for (let at = 0; at < facts.length; at += FACTS_PER_MESSAGE) {
        await ports.invalidations.add(tx, facts.slice(at, at + FACTS_PER_MESSAGE));
      }
      const entry = { action: 'session.close', ownerId: accountId, resource: `user ${login}` };
      await addAudit(tx, { actor: acting.message, ...entry, before: { sessions: rows.length } }, nowMs);
      return rows.length;
    }),
  );
}
