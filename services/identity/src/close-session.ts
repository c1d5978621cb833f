import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Db } from './db.js';
import type { IdentityPorts } from './ports.js';

/** Ends the presented session. One that has ended already stays so. Throws Fault('invalid') for another credential. */
export async function closeSession(ports: IdentityPorts, db: Db, caller: Caller): Promise<void> {
  if (caller.credentialKind !== 'session') {
    throw new Fault('invalid', 'only a session can be closed; a token is removed with "anaconda logout"');
  }
  const id = caller.credentialId;
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      // By sessions_pkey.
      const rows = await tx.$queryRaw<{ version: bigint }[]>`
        UPDATE sessions SET revoked_at = ${new Date(ports.clock())}, version = version + 1
        WHERE id = ${id} AND revoked_at IS NULL RETURNING version`;
      const facts = rows.map(({ version }) => ({ tag: `session:${id}`, version: Number(version) }));
      if (facts.length === 0) return;
      await ports.invalidations.add(tx, facts);
      const entry = { action: 'session.close', ownerId: caller.accountId, resource: `user ${caller.login}` };
      await addAudit(tx, { actor: caller, ...entry }, ports.clock());
    }),
  );
}
