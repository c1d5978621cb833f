import type { Restrictions } from '@vivarium/access/restriction';
import { ask, type Db, type Tx } from './db.js';
import { Prisma } from './gen/prisma/client.js';

/** An account as every credential needs it. */
export interface AccountFacts {
  readonly accountId: string;
  readonly login: string;
  readonly kind: string;
  readonly superuser: boolean;
  readonly disabled: boolean;
  readonly deleted: boolean;
  readonly accountVersion: bigint;
}

export interface PasswordFacts extends AccountFacts {
  /** Null for an organization. */
  readonly hash: string | null;
  readonly changedAt: Date | null;
}

export interface SessionFacts extends AccountFacts {
  readonly id: string;
  readonly lastUsedAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
  readonly version: bigint;
}

/** A program that was let in by a session, and has a few minutes to make itself a token. */
export interface BrowserFacts extends AccountFacts {
  readonly id: string;
  readonly accessExpiresAt: Date;
  /** It has made its token, or what it came from has ended. */
  readonly spent: boolean;
}

/** A token with its owner (as the account) and the account that made it. */
export interface TokenFacts extends AccountFacts {
  readonly id: string;
  readonly name: string;
  readonly scopes: string[];
  readonly restrictions: Restrictions;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly remainingUses: bigint | null;
  readonly version: bigint;
  readonly parentId: string | null;
  readonly makerId: string;
  readonly makerLogin: string;
  readonly makerGone: boolean;
  readonly makerVersion: bigint;
}

// Each is one statement and so one snapshot: the versions are those of the very facts beside them.
const ACCOUNT = Prisma.sql`
  a.id AS "accountId", a.login, a.kind, a.superuser, a.disabled, a.deleted_at IS NOT NULL AS deleted,
  a.version AS "accountVersion"`;

/** Relies on accounts_login_key or accounts_pkey. */
export async function findPasswordFacts(
  db: Db | Tx,
  by: { readonly login: string } | { readonly id: string },
): Promise<PasswordFacts | undefined> {
  const rows = await ask(db.$queryRaw<PasswordFacts[]>`
    SELECT ${ACCOUNT}, p.hash, p.changed_at AS "changedAt"
    FROM accounts a LEFT JOIN passwords p ON p.account_id = a.id WHERE ${'id' in by ? Prisma.sql`a.id = ${by.id}` : Prisma.sql`a.login = ${by.login}`}`);
  return rows[0];
}

/** Relies on sessions_sha256_key or sessions_pkey. */
export async function findSessionFacts(
  db: Db | Tx,
  by: { readonly sha256: Uint8Array } | { readonly id: string },
): Promise<SessionFacts | undefined> {
  const rows = await ask(db.$queryRaw<SessionFacts[]>`
    SELECT ${ACCOUNT}, s.id, s.last_used_at AS "lastUsedAt", s.expires_at AS "expiresAt", s.revoked_at AS "revokedAt",
      s.version
    FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE ${keyOf('s', by)}`);
  return rows[0];
}

/** Relies on browser_logins_access_sha256_key or browser_logins_pkey. */
export async function findBrowserFacts(
  db: Db | Tx,
  by: { readonly sha256: Uint8Array } | { readonly id: string },
): Promise<BrowserFacts | undefined> {
  const rows = await ask(db.$queryRaw<BrowserFacts[]>`
    SELECT ${ACCOUNT}, b.id, b.access_expires_at AS "accessExpiresAt",
      b.token_id IS NOT NULL OR b.revoked_at IS NOT NULL OR s.revoked_at IS NOT NULL AS spent
    FROM browser_logins b JOIN accounts a ON a.id = b.account_id JOIN sessions s ON s.id = b.session_id
    WHERE b.access_sha256 IS NOT NULL
      AND ${'id' in by ? Prisma.sql`b.id = ${by.id}` : Prisma.sql`b.access_sha256 = ${Buffer.from(by.sha256)}`}`);
  return rows[0];
}

/** Relies on tokens_sha256_key or tokens_pkey. */
export async function findTokenFacts(
  db: Db | Tx,
  by: { readonly sha256: Uint8Array } | { readonly id: string },
): Promise<TokenFacts | undefined> {
  const rows = await ask(db.$queryRaw<TokenFacts[]>`
    SELECT ${ACCOUNT}, t.id, t.name, t.scopes, t.restrictions, t.expires_at AS "expiresAt",
      t.revoked_at AS "revokedAt", t.last_used_at AS "lastUsedAt", t.remaining_uses AS "remainingUses", t.version,
      t.parent_id AS "parentId",
      m.id AS "makerId", m.login AS "makerLogin", m.disabled OR m.deleted_at IS NOT NULL AS "makerGone",
      m.version AS "makerVersion"
    FROM tokens t JOIN accounts a ON a.id = t.owner_id JOIN accounts m ON m.id = t.maker_id WHERE ${keyOf('t', by)}`);
  return rows[0];
}

function keyOf(table: 's' | 't', by: { readonly sha256: Uint8Array } | { readonly id: string }): Prisma.Sql {
  const row = Prisma.raw(table);
  return 'id' in by ? Prisma.sql`${row}.id = ${by.id}` : Prisma.sql`${row}.sha256 = ${Buffer.from(by.sha256)}`;
}
