import { type AuditEntry, addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import type { ChangeUserRequest } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { type Acting, lockCaller, needScope, needSuperuser, needWhole } from './acting.js';
import { OPERATOR } from './create-user.js';
import type { Db, Tx } from './db.js';
import type { Account } from './gen/prisma/client.js';
import { foldLogin, isLogin } from './login.js';
import { parseEmail, parsePersonName } from './person.js';
import type { IdentityPorts } from './ports.js';

/** What becomes of a user. Undefined stays as it is. */
interface Change {
  readonly name: string | undefined;
  readonly email: string | undefined;
  readonly disabled: boolean | undefined;
  readonly superuser: boolean | undefined;
}

/**
 * Changes what is given of a user. A superuser changes anybody; a user its own name and e-mail address. Disabling ends the
 * sessions, and no token of the account counts until it is enabled again.
 * Throws Fault('invalid'), Fault('forbidden'), Fault('not_found'), Fault('conflict') for an e-mail address in use and for
 * the last superuser.
 */
export async function changeUser(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  request: ChangeUserRequest,
): Promise<Account> {
  const login = foldLogin(request.login);
  const change = parseChange(request);
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      // First, and in one order: of two superusers who disable each other at once, one is refused.
      const superusers = await lockSuperusers(tx, change);
      const acting = await lockCaller(tx, caller, ports.clock());
      judge(acting, login, change);
      return apply(tx, ports, acting.message, superusers, login, change);
    }),
  );
}

/**
 * Disables or enables a user on the operator's word; servers that run hear of it within a second.
 * Throws Fault('not_found'), and Fault('conflict') for the last superuser.
 */
export function setDisabled(db: Db, ports: ChangePorts, login: string, disabled: boolean): Promise<Account> {
  const change = { disabled, name: undefined, email: undefined, superuser: undefined };
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const superusers = await lockSuperusers(tx, change);
      return apply(tx, ports, OPERATOR, superusers, foldLogin(login), change);
    }),
  );
}

type ChangePorts = Pick<IdentityPorts, 'clock'> & {
  readonly invalidations: Pick<IdentityPorts['invalidations'], 'add'>;
};

async function apply(
  tx: Tx,
  ports: ChangePorts,
  actor: AuditEntry['actor'],
  superusers: readonly string[],
  login: string,
  change: Change,
): Promise<Account> {
  const before = isLogin(login) ? await lockUser(tx, login) : undefined;
  if (before === undefined) throw new Fault('not_found', `There is no user "${login.slice(0, 70)}".`);
  keepOneSuperuser(superusers, before, change);
  const after = await write(tx, before, change);
  if (change.disabled === true) await endSessions(tx, before.id, ports.clock());
  // What is remembered of a session or token carries its account's version too.
  await ports.invalidations.add(tx, [{ tag: `account:${before.id}`, version: Number(after.version) }]);
  await record(tx, ports, actor, before, after);
  return after;
}

function parseChange({ name, email, disabled, superuser }: ChangeUserRequest): Change {
  if ([name, email, disabled, superuser].every((each) => each === undefined)) {
    throw new Fault('invalid', 'Nothing is to be changed: give "disabled", "superuser", "name" or "email".');
  }
  return {
    name: name === undefined ? undefined : parsePersonName(name),
    email: email === undefined ? undefined : parseEmail(email),
    disabled,
    superuser,
  };
}

function judge(acting: Acting, login: string, { disabled, superuser }: Change): void {
  const isSelf = acting.caller.accountKind === 'user' && acting.caller.login === login;
  if (superuser !== undefined) needSuperuser(acting, 'making or unmaking a superuser');
  else if (disabled !== undefined) needSuperuser(acting, 'disabling or enabling an account', 'api');
  else if (isSelf) {
    needScope(acting.caller, 'api:write', 'changing an account');
    needWhole(acting.caller, 'changing an account');
  } else needSuperuser(acting, "changing another's account", 'api');
}

// Few rows, by accounts_superuser_idx.
async function lockSuperusers(tx: Tx, { disabled, superuser }: Change): Promise<readonly string[]> {
  if (disabled !== true && superuser !== false) return [];
  const rows = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM accounts WHERE superuser AND NOT disabled AND deleted_at IS NULL ORDER BY id FOR UPDATE`;
  return rows.map(({ id }) => id);
}

function keepOneSuperuser(superusers: readonly string[], { id, login }: Account, change: Change): void {
  const ends = change.disabled === true || change.superuser === false;
  if (!ends || superusers.length !== 1 || superusers[0] !== id) return;
  throw new Fault('conflict', `${login} is the only superuser who can sign in; make another one first.`);
}

// By accounts_login_key.
async function lockUser(tx: Tx, login: string): Promise<Account | undefined> {
  await tx.$executeRaw`SELECT 1 FROM accounts WHERE login = ${login} FOR UPDATE`;
  return (await tx.account.findFirst({ where: { login, kind: 'user', deletedAt: null } })) ?? undefined;
}

async function write(tx: Tx, { id }: Account, change: Change): Promise<Account> {
  const { email } = change;
  if (email !== undefined) {
    // By accounts_email_key. Looked up first: a statement that fails would end the transaction.
    const holder = await tx.account.findUnique({ where: { email }, select: { id: true } });
    if (holder !== null && holder.id !== id) {
      throw new Fault('conflict', `The e-mail address ${email} belongs to another account; give another one.`);
    }
  }
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  return tx.account.update({ where: { id }, data: { ...given, version: { increment: 1 } } });
}

// By sessions_account_id_idx.
async function endSessions(tx: Tx, accountId: string, nowMs: number): Promise<void> {
  await tx.$executeRaw`
    UPDATE sessions SET revoked_at = ${new Date(nowMs)}, version = version + 1
    WHERE account_id = ${accountId} AND revoked_at IS NULL`;
}

const FIELDS = ['disabled', 'superuser', 'name', 'email'] as const;

async function record(tx: Tx, { clock }: ChangePorts, actor: AuditEntry['actor'], before: Account, after: Account) {
  const changed = FIELDS.filter((field) => before[field] !== after[field]);
  const factsOf = (row: Account) => Object.fromEntries(changed.map((field) => [field, row[field]]));
  const action = before.disabled === after.disabled ? 'user.update' : after.disabled ? 'user.disable' : 'user.enable';
  const entry = { action, ownerId: after.id, resource: `user ${after.login}` };
  await addAudit(tx, { actor, ...entry, before: factsOf(before), after: factsOf(after) }, clock());
}
