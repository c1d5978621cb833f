import { randomUUID } from 'node:crypto';
import { type AuditEntry, type AuditFacts, addAudit } from '@vivarium/audit/audit';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Db, Tx } from './db.js';
import type { Account } from './gen/prisma/client.js';
import { parseNewLogin } from './login.js';
import { checkNewPassword, hashPassword } from './password.js';
import { parseEmail, parsePersonName } from './person.js';

/** Who acts where somebody types a command on the server. */
export const OPERATOR: AuditEntry['actor'] = { service: 'platform' };

export interface NewUser {
  readonly login: string;
  /** Undefined for the first administrator, whom nobody asked. */
  readonly email: string | undefined;
  readonly password: string;
  readonly superuser: boolean;
  readonly name: string;
}

export interface UserRules {
  readonly clock: () => number;
  readonly reservedLogins: ReadonlySet<string>;
  readonly invalidations: Pick<Invalidations, 'add'>;
}

/** A user that was checked and not made yet. The password is a hash already. */
export interface ParsedUser extends NewUser {
  readonly hash: string;
}

/**
 * Makes a user. Throws Fault('invalid') for what is malformed, Fault('conflict') for a login or an e-mail address in use;
 * the login of a deleted account counts as in use.
 */
export async function createUser(db: Db, rules: UserRules, user: NewUser): Promise<Account> {
  const parsed = await parseUser(rules, user);
  return retryConflicts(() => db.$transaction((tx) => insertUser(tx, rules, parsed, OPERATOR)));
}

/** Checks what is asked and hashes the password, before any transaction: that takes long. Throws Fault('invalid'). */
export async function parseUser(rules: UserRules, user: NewUser): Promise<ParsedUser> {
  const login = parseNewLogin(user.login, rules.reservedLogins);
  const email = user.email === undefined ? undefined : parseEmail(user.email);
  const name = parsePersonName(user.name);
  checkNewPassword(user.password);
  return { ...user, login, email, name, hash: await hashPassword(user.password) };
}

/**
 * The rows of a user. The actor is who makes it; `how` is
 * recorded with it. Throws Fault('conflict') for a login or an
 * e-mail address in use.
 */
export async function insertUser(
  tx: Tx,
  { clock, invalidations }: UserRules,
  user: ParsedUser,
  actor: AuditEntry['actor'],
  how: AuditFacts = {},
): Promise<Account> {
  const { login, email = null, name, superuser, hash } = user;
  const [id, now] = [randomUUID(), new Date(clock())];
  // By accounts_login_key and accounts_email_key: whoever comes second inserts nothing.
  const inserted = await tx.$executeRaw`
    INSERT INTO accounts (id, login, kind, name, email, superuser, created_at)
    VALUES (${id}, ${login}, 'user', ${name}, ${email}, ${superuser}, ${now}) ON CONFLICT DO NOTHING`;
  if (inserted === 0) throw await takenFault(tx, login, email);
  await tx.password.create({ data: { accountId: id, hash, changedAt: now } });
  // Who asked for the channel before remembers that there is none.
  await invalidations.add(tx, [{ tag: `login:${login}`, version: 1 }]);
  const after = { superuser, name, email, ...how };
  await addAudit(tx, { actor, action: 'user.create', ownerId: id, resource: `user ${login}`, after }, clock());
  return tx.account.findUniqueOrThrow({ where: { id } });
}

async function takenFault(tx: Tx, login: string, email: string | null): Promise<Fault> {
  const holder = await tx.account.findUnique({ where: { login } });
  if (holder !== null) {
    return new Fault('conflict', `The login ${login} is taken, and none is ever given twice; choose another.`);
  }
  return new Fault('conflict', `The e-mail address ${email} belongs to another account; give another one.`);
}
