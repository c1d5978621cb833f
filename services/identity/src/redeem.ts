import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type AuditFacts, addAudit } from '@vivarium/audit/audit';
import type { RedeemRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Db, Tx } from './db.js';
import type { IdentityPorts } from './ports.js';
import { revokeTokens } from './revoke-token.js';
import { randomText } from './session-secret.js';

/** How long a program has to make itself a token. */
export const ACCESS_LIFE_MS = 5 * 60_000;
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';

interface Row {
  readonly id: string;
  readonly accountId: string;
  readonly login: string;
  readonly clientId: string;
  readonly redirectUri: string;
  readonly challenge: string;
  readonly codeExpiresAt: Date;
  readonly redeemedAt: Date | null;
  readonly revokedAt: Date | null;
  readonly tokenId: string | null;
  readonly alive: boolean;
}

/**
 * What the program may make a token with, for its code. Whatever is wrong, the code is spent. One that comes a second time
 * was stolen from the program, or by it: then all that came of it ends, a token that was made too, and `ended` says so.
 * Throws Fault('invalid') in one sentence for whatever is wrong. Source: RFC 6749 4.1.2, RFC 7636 4.6.
 */
export async function redeem(
  ports: IdentityPorts,
  db: Db,
  request: RedeemRequest,
): Promise<{ readonly accessToken: string } | { readonly ended: boolean }> {
  const accessToken = `via-${randomText(randomBytes, ALPHABET, 32)}`;
  // Not thrown in the transaction, which would undo that the code is spent.
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const row = await lockCode(tx, request.code);
      if (row === undefined) return { ended: false };
      const now = new Date(ports.clock());
      if (row.redeemedAt !== null || row.revokedAt !== null) return { ended: await endAll(tx, ports, row, now) };
      if (!isBoundTo(row, request) || row.codeExpiresAt <= now || !row.alive) {
        await tx.$executeRaw`UPDATE browser_logins SET revoked_at = ${now} WHERE id = ${row.id}`;
        await record(tx, row, 'login.refused', now);
        return { ended: false };
      }
      const sha256 = createHash('sha256').update(accessToken).digest();
      await tx.$executeRaw`
        UPDATE browser_logins SET redeemed_at = ${now}, access_sha256 = ${sha256},
          access_expires_at = ${new Date(now.getTime() + ACCESS_LIFE_MS)} WHERE id = ${row.id}`;
      await record(tx, row, 'login.redeem', now);
      return { accessToken };
    }),
  );
}

export function refusedCode(): Fault {
  return new Fault(
    'invalid',
    'This code does not count: it is unknown, older than a minute, spent, or was given to another program. Sign in again.',
  );
}

// By browser_logins_code_sha256_key.
async function lockCode(tx: Tx, code: string): Promise<Row | undefined> {
  const sha256 = createHash('sha256').update(code).digest();
  const [row] = await tx.$queryRaw<Row[]>`
    SELECT b.id, b.account_id AS "accountId", a.login, b.client_id AS "clientId", b.redirect_uri AS "redirectUri",
      b.challenge, b.code_expires_at AS "codeExpiresAt", b.redeemed_at AS "redeemedAt", b.revoked_at AS "revokedAt",
      b.token_id AS "tokenId", s.revoked_at IS NULL AND NOT a.disabled AND a.deleted_at IS NULL AS alive
    FROM browser_logins b JOIN accounts a ON a.id = b.account_id JOIN sessions s ON s.id = b.session_id
    WHERE b.code_sha256 = ${sha256} FOR UPDATE OF b`;
  return row;
}

function isBoundTo({ clientId, redirectUri, challenge }: Row, request: RedeemRequest): boolean {
  if (request.clientId !== clientId || request.redirectUri !== redirectUri) return false;
  if (!/^[\w.~-]{43,128}$/.test(request.codeVerifier)) return false;
  const given = createHash('sha256').update(request.codeVerifier, 'ascii').digest();
  const wanted = Buffer.from(challenge, 'base64url');
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

async function endAll(tx: Tx, ports: IdentityPorts, row: Row, now: Date): Promise<boolean> {
  if (row.revokedAt !== null) return false;
  await tx.$executeRaw`UPDATE browser_logins SET revoked_at = ${now} WHERE id = ${row.id}`;
  const revoked = row.tokenId === null ? [] : await revokeTokens(tx, ports, [row.tokenId]);
  await record(tx, row, 'login.replay', now, { revoked: revoked.length });
  return revoked.length > 0;
}

/** Whoever brings a code has not said who it is: only whose it is can be recorded. */
function record(tx: Tx, { accountId: ownerId, login }: Row, action: string, now: Date, after?: AuditFacts) {
  const entry = { actor: { service: 'identity' }, action, ownerId, resource: `user ${login}`, after };
  return addAudit(tx, entry, now.getTime());
}
