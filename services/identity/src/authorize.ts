import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { AuthorizeRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { lockCaller } from './acting.js';
import type { Db, Tx } from './db.js';
import type { IdentityPorts } from './ports.js';
import { findProgram } from './programs.js';
import { randomText } from './session-secret.js';

/** How long a code counts. RFC 6749 advises ten minutes at most; the browser hands it on at once. */
const CODE_LIFE_MS = 60_000;
// Longer than what came of it can be asked about.
const KEPT_MS = 7 * 86_400_000;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

/**
 * A code for the program that the session's user lets in, bound to the program, to where it is sent and to the challenge.
 * Throws Fault('forbidden') for another credential than a session, Fault('not_found') and Fault('invalid') for what is
 * not registered. Source: RFC 6749 4.1, RFC 7636.
 */
export async function authorize(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  request: AuthorizeRequest,
): Promise<string> {
  if (caller.credentialKind !== 'session') {
    throw new Fault('forbidden', 'a program is let in by the session of a browser; sign in on the web page');
  }
  const { clientId, redirectUri, codeChallenge } = request;
  const program = findProgram(clientId);
  if (!program.redirectUris.includes(redirectUri)) {
    throw new Fault('invalid', `"${redirectUri.slice(0, 200)}" is no address at which ${program.name} listens.`);
  }
  if (!/^[\w-]{43}$/.test(codeChallenge)) {
    throw new Fault('invalid', 'The code challenge must be the SHA-256 of the verifier, in base64url.');
  }
  const code = `vic-${randomText(randomBytes, ALPHABET, 32)}`;
  const nowMs = ports.clock();
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      const { message } = await lockCaller(tx, caller, nowMs);
      const { accountId, login, credentialId } = message;
      await tx.$executeRaw`
        INSERT INTO browser_logins
          (id, account_id, session_id, client_id, redirect_uri, challenge, code_sha256, created_at, code_expires_at)
        VALUES (${randomUUID()}, ${accountId}, ${credentialId}, ${clientId}, ${redirectUri}, ${codeChallenge},
          ${createHash('sha256').update(code).digest()}, ${new Date(nowMs)}, ${new Date(nowMs + CODE_LIFE_MS)})`;
      await forgetOld(tx, nowMs);
      const entry = { action: 'login.authorize', ownerId: accountId, resource: `user ${login}` };
      await addAudit(tx, { actor: message, ...entry, after: { program: program.name } }, nowMs);
    }),
  );
  return code;
}

// By browser_logins_created_at_idx. Each login removes more than it adds, so that they never pile up.
async function forgetOld(tx: Tx, nowMs: number): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM browser_logins WHERE id IN (
      SELECT id FROM browser_logins WHERE created_at < ${new Date(nowMs - KEPT_MS)}
      ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED)`;
}
