import { type AuditEntry, addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { SetPasswordRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import { lockCaller, needScope, needSuperuser, needWhole } from './acting.js';
import { findPasswordFacts } from './credential-facts.js';
import { ask, type Db, type Tx } from './db.js';
import { generatePassword } from './generate-password.js';
import { foldLogin, isLogin } from './login.js';
import { checkNewPassword, hashPassword, isPasswordOf } from './password.js';

export interface PasswordPorts {
  readonly invalidations: Pick<Invalidations, 'add'>;
  readonly clock: () => number;
}

const PURPOSE = "setting another account's password";

/**
 * Sets a password and ends all sessions of the account. A superuser sets anybody's, or has one made, which is given here
 * and stored nowhere; a user sets its own, with the old one.
 * Throws Fault('invalid'), Fault('forbidden'), and Fault('not_found') to superusers.
 */
export async function setPassword(
  db: Db,
  ports: PasswordPorts,
  caller: Caller,
  request: SetPasswordRequest,
): Promise<string> {
  const login = foldLogin(request.login);
  const made = request.password === '' && caller.superuser ? generatePassword() : '';
  const password = made || request.password;
  checkNewPassword(password);
  const isSelf = login === caller.login && caller.accountKind === 'user';
  const isProven = isSelf && (await isOldPassword(db, caller, request.oldPassword));
  const hash = await hashPassword(password);
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      const acting = await lockCaller(tx, caller, ports.clock());
      if (isProven) {
        needScope(acting.caller, 'api:write', 'changing a password');
        needWhole(acting.caller, 'changing a password');
      } else if (isSelf && (request.oldPassword !== '' || !acting.caller.superuser)) {
        throw new Fault('forbidden', 'the old password is wrong; try again');
      } else needSuperuser(acting, PURPOSE);
      await replacePassword(tx, ports, login, hash, acting.message);
    }),
  );
  return made;
}

/** Stores the hash, ends the sessions, and says so. Throws Fault('not_found') unless there is a user of that login. */
export async function replacePassword(
  tx: Tx,
  ports: PasswordPorts,
  login: string,
  hash: string,
  actor: AuditEntry['actor'],
): Promise<void> {
  const now = new Date(ports.clock());
  const account = isLogin(login) ? await raiseVersion(tx, login) : undefined;
  if (account === undefined) throw new Fault('not_found', `There is no user "${login.slice(0, 70)}".`);
  const { id, version } = account;
  await tx.password.upsert({
    where: { accountId: id },
    update: { hash, changedAt: now },
    create: { accountId: id, hash, changedAt: now },
  });
  // By sessions_account_id_idx.
  await tx.$executeRaw`
    UPDATE sessions SET revoked_at = ${now}, version = version + 1 WHERE account_id = ${id} AND revoked_at IS NULL`;
  // What is remembered of a session carries its account's version too, so one fact ends them all.
  await ports.invalidations.add(tx, [{ tag: `account:${id}`, version: Number(version) }]);
  await addAudit(tx, { actor, action: 'password.set', ownerId: id, resource: `user ${login}` }, ports.clock());
}

async function isOldPassword(db: Db, caller: Caller, oldPassword: string): Promise<boolean> {
  if (oldPassword === '') return false;
  const facts = await ask(findPasswordFacts(db, { id: caller.accountId }));
  return isPasswordOf(oldPassword, facts?.hash ?? undefined);
}

// By accounts_login_key.
async function raiseVersion(tx: Tx, login: string): Promise<{ id: string; version: bigint } | undefined> {
  const rows = await tx.$queryRaw<{ id: string; version: bigint }[]>`
    UPDATE accounts SET version = version + 1
    WHERE login = ${login} AND kind = 'user' AND deleted_at IS NULL RETURNING id, version`;
  return rows[0];
}
