import { addAudit } from '@vivarium/audit/audit';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import type { Db, Tx } from './db.js';
import type { Account } from './gen/prisma/client.js';
import { parseNewLogin } from './login.js';
import { parseEmail, parsePersonName } from './person.js';
import type { IdentityPorts } from './ports.js';
import { changeProfile, type Profile, profileIn } from './profile.js';
import { revokeTokens } from './revoke-token.js';

type Ports = Pick<IdentityPorts, 'clock' | 'invalidations' | 'reservedLogins'>;

/**
 * Makes the account of an organization under a given id. Its login follows the rules of users' logins and is taken from
 * the same names. Throws Fault('invalid') for what is malformed, Fault('conflict') for a login or an e-mail address in use.
 */
export function createOrganization(
  db: Db,
  ports: Ports,
  actor: Caller,
  organization: { readonly id: string; readonly login: string; readonly name: string; readonly email: string },
): Promise<Account> {
  const { id } = organization;
  const login = parseNewLogin(organization.login, ports.reservedLogins);
  const [name, email] = [parsePersonName(organization.name), parseOwnEmail(organization.email)];
  const nowMs = ports.clock();
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      // By accounts_login_key, accounts_email_key and accounts_pkey: whoever comes second inserts nothing.
      const inserted = await tx.$executeRaw`
        INSERT INTO accounts (id, login, kind, name, email, created_at)
        VALUES (${id}, ${login}, 'organization', ${name}, ${email}, ${new Date(nowMs)}) ON CONFLICT DO NOTHING`;
      if (inserted === 0) throw await takenFault(tx, login, email);
      // Who asked for the channel before remembers that there is none.
      await ports.invalidations.add(tx, [{ tag: `login:${login}`, version: 1 }]);
      const after = { name, email: email ?? '' };
      await addAudit(tx, { actor, action: 'organization.create', ownerId: id, resource: login, after }, nowMs);
      return tx.account.findUniqueOrThrow({ where: { id } });
    }),
  );
}

/** Changes the profile; what is undefined stays. Throws Fault('not_found'), Fault('invalid'), Fault('conflict'). */
export function updateOrganization(
  db: Db,
  ports: Ports,
  actor: Caller,
  change: {
    readonly id: string;
    readonly name: string | undefined;
    readonly email: string | undefined;
    readonly profile: Profile;
  },
): Promise<Account> {
  const { id } = change;
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const before = await lockOrganization(tx, id);
      const name = change.name === undefined ? before.name : parsePersonName(change.name);
      const email = change.email === undefined ? before.email : parseOwnEmail(change.email);
      const profile = changeProfile(profileIn(before.profile), change.profile);
      const holder = email === null ? null : await tx.account.findUnique({ where: { email } });
      if (holder !== null && holder.id !== id) throw emailTaken(email);
      const account = await tx.account.update({ where: { id }, data: { name, email, profile } });
      const entry = { actor, action: 'organization.update', ownerId: id, resource: account.login };
      await addAudit(tx, { ...entry, before: saidBy(before), after: saidBy(account) }, ports.clock());
      return account;
    }),
  );
}

/**
 * Deletes the account and revokes its tokens. The row keeps the login, so that nobody else is ever called so. Does nothing
 * for one that was deleted before, or never was.
 */
export function deleteOrganization(db: Db, ports: Ports, actor: Caller, id: string): Promise<void> {
  const nowMs = ports.clock();
  return retryConflicts(() =>
    db.$transaction(async (tx) => {
      const before = await findOrganization(tx, id);
      if (before === null) return;
      const { version } = await tx.account.update({
        where: { id },
        data: { deletedAt: new Date(nowMs), email: null, version: { increment: 1 } },
      });
      // By tokens_living_name_key.
      const tokens = await tx.token.findMany({ where: { ownerId: id, revokedAt: null }, select: { id: true } });
      await revokeTokens(
        tx,
        ports,
        tokens.map((token) => token.id),
      );
      await ports.invalidations.add(tx, [{ tag: `account:${id}`, version: Number(version) }]);
      const entry = { actor, action: 'organization.delete', ownerId: id, resource: before.login };
      await addAudit(tx, { ...entry, before: { ...saidBy(before), tokens: tokens.length } }, nowMs);
    }),
  );
}

async function lockOrganization(tx: Tx, id: string): Promise<Account> {
  const account = await findOrganization(tx, id);
  if (account !== null) return account;
  throw new Fault('not_found', 'This organization does not exist any more.');
}

async function findOrganization(tx: Tx, id: string): Promise<Account | null> {
  // Whoever makes a token of it takes this lock, too.
  await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${id} FOR NO KEY UPDATE`;
  return tx.account.findFirst({ where: { id, kind: 'organization', deletedAt: null } });
}

function parseOwnEmail(text: string): string | null {
  return text.trim() === '' ? null : parseEmail(text);
}

async function takenFault(tx: Tx, login: string, email: string | null): Promise<Fault> {
  const holder = await tx.account.findUnique({ where: { login } });
  if (holder === null) return emailTaken(email);
  return new Fault('conflict', `The login ${login} is taken, and none is ever given twice; choose another.`);
}

function emailTaken(email: string | null): Fault {
  return new Fault('conflict', `The e-mail address ${email} belongs to another account; give another one.`);
}

function saidBy({ name, email, profile }: Account) {
  return { name, email: email ?? '', ...profileIn(profile) };
}
