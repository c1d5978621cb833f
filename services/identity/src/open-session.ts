import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { OpenSessionRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { lockCaller } from './acting.js';
import type { Db } from './db.js';
import { SESSION_LIFE_MS } from './identified.js';
import { noteOf } from './note.js';
import type { IdentityPorts } from './ports.js';
import { mintSessionSecret } from './session-secret.js';

/** Opens a session for who just gave the password. The secret is shown once. Throws Fault('forbidden') for others. */
export async function openSession(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  request: OpenSessionRequest,
): Promise<{ readonly secret: string; readonly expiresAtMs: bigint }> {
  if (caller.credentialKind !== 'password') {
    throw new Fault('forbidden', 'a session is opened with the login and the password; sign in on the web page');
  }
  const secret = mintSessionSecret(randomBytes);
  const nowMs = ports.clock();
  const [now, expiresAt] = [new Date(nowMs), new Date(nowMs + SESSION_LIFE_MS)];
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      const { caller: account, message } = await lockCaller(tx, caller, nowMs);
      const { accountId: ownerId, login } = account;
      await tx.session.create({
        data: {
          id: randomUUID(),
          accountId: ownerId,
          sha256: createHash('sha256').update(secret).digest(),
          createdAt: now,
          lastUsedAt: now,
          expiresAt,
          address: noteOf(request.address, 64),
          userAgent: noteOf(request.userAgent, 300),
        },
      });
      const after = { userAgent: noteOf(request.userAgent, 300) };
      await addAudit(tx, { actor: message, action: 'login', ownerId, resource: `user ${login}`, after }, nowMs);
    }),
  );
  return { secret, expiresAtMs: BigInt(expiresAt.getTime()) };
}
