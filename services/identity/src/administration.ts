import { retryConflicts } from '@vivarium/db/open';
import { addInvalidation, type Invalidations } from '@vivarium/invalidation/invalidations';
import { insertUser, OPERATOR, parseUser, type UserRules } from './create-user.js';
import { ask, type Db } from './db.js';
import { generatePassword } from './generate-password.js';
import { foldLogin } from './login.js';
import { checkNewPassword, hashPassword } from './password.js';
import { type PasswordPorts, replacePassword } from './set-password.js';

/**
 * Makes the first administrator if there is no superuser. Gives the password if it was generated: it is stored nowhere
 * else. Throws Fault('conflict') if the login belongs to an account that is none, Fault('invalid') for a weak password.
 */
export async function ensureFirstAdmin(
  db: Db,
  rules: UserRules,
  admin: { readonly login: string; readonly password?: string },
): Promise<{ readonly created: boolean; readonly password?: string }> {
  if (await hasSuperuser(db)) return { created: false };
  const generated = admin.password === undefined ? generatePassword() : undefined;
  const password = admin.password ?? generated ?? '';
  const user = await parseUser(rules, { login: admin.login, email: undefined, password, superuser: true, name: '' });
  const created = await retryConflicts(() =>
    db.$transaction(async (tx) => {
      // Two processes that start together make one administrator.
      await tx.$executeRaw`LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE`;
      if (await hasSuperuser(tx)) return false;
      await insertUser(tx, rules, user, OPERATOR);
      return true;
    }),
  );
  if (!created || generated === undefined) return { created };
  return { created, password: generated };
}

/**
 * Sets a user's password on the operator's word, and ends its sessions; servers that run hear of it within a second.
 * Gives the password if it was generated. Throws Fault('not_found') and Fault('invalid').
 */
export async function resetPassword(
  db: Db,
  ports: PasswordPorts,
  user: { readonly login: string; readonly password?: string },
): Promise<{ readonly password?: string }> {
  const generated = user.password === undefined ? generatePassword() : undefined;
  const password = user.password ?? generated ?? '';
  checkNewPassword(password);
  const hash = await hashPassword(password);
  await retryConflicts(() =>
    db.$transaction((tx) => replacePassword(tx, ports, foldLogin(user.login), hash, OPERATOR)),
  );
  return generated === undefined ? {} : { password: generated };
}

async function hasSuperuser(db: Pick<Db, 'account'>): Promise<boolean> {
  return (
    (await ask(db.account.findFirst({ where: { superuser: true, deletedAt: null }, select: { id: true } }))) !== null
  );
}

/** News for the outbox alone, for a process that is on no bus: a server that runs finds and announces it. */
export const outboxOnly: Pick<Invalidations, 'add'> = {
  add: (tx, facts) => addInvalidation(tx, 'identity', facts),
};
