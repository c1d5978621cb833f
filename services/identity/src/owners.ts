import { administers } from '@vivarium/access/administer';
import { decide } from '@vivarium/access/decide';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { type Acting, needScope, needSuperuser, needWhole } from './acting.js';
import { ask, type Db } from './db.js';
import { foldLogin, isLogin } from './login.js';
import { standingIn } from './makers.js';
import type { IdentityPorts } from './ports.js';

/** The account whose tokens are meant, and by what right the caller manages them. */
export interface TokenOwner {
  readonly id: string;
  readonly login: string;
  readonly through: 'self' | 'organization' | 'superuser';
}

/** To list tokens, or to make, rename and revoke them. */
type Verb = 'read' | 'own';

/**
 * The caller itself, or the organization of that login if the caller is one of its owners. Who is nothing there learns
 * nothing: Fault('not_found') as for a missing one. Fault('forbidden') for a member, and for a token that does not reach it.
 */
export async function ownerOf(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  organization: string,
  verb: Verb,
): Promise<TokenOwner> {
  const login = foldLogin(organization);
  if (login === '' || login === caller.login) return selfOf(caller);
  if (!isLogin(login) || caller.accountKind !== 'user') throw notOwned(login);
  const account = await ask(db.account.findFirst({ where: { login, kind: 'organization', deletedAt: null } }));
  if (account === null || !(await isOwnedBy(ports, caller, account, verb))) throw notOwned(login);
  return { id: account.id, login: account.login, through: 'organization' };
}

/** As `ownerOf`, and any account at all for a superuser. */
export async function ownerToManage(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  text: string,
  verb: Verb,
): Promise<TokenOwner> {
  const login = foldLogin(text);
  const isOther = login !== '' && login !== caller.login;
  if (!isOther || !isAdministrator(caller, verb)) return ownerOf(ports, db, caller, text, verb);
  const account = isLogin(login) ? await ask(db.account.findFirst({ where: { login, deletedAt: null } })) : null;
  if (account === null) throw new Fault('not_found', `There is no account "${login.slice(0, 70)}".`);
  return { id: account.id, login: account.login, through: 'superuser' };
}

/**
 * The owner of a token that the caller may revoke or rename; superusers revoke only. Fault('not_found') for every other
 * one, and for one that is revoked.
 */
export async function ownerOfToken(
  ports: IdentityPorts,
  db: Db,
  caller: Caller,
  id: string,
  purpose: 'revoke' | 'rename',
): Promise<TokenOwner> {
  const isPossible = /^[\w-]{1,64}$/.test(id);
  // By tokens_pkey.
  const row = isPossible
    ? await ask(db.token.findFirst({ where: { id, revokedAt: null }, include: { owner: true } }))
    : null;
  if (row === null) throw noSuchToken(id);
  const { owner } = row;
  if (owner.id === caller.accountId) return selfOf(caller);
  if (purpose === 'revoke' && isAdministrator(caller, 'own')) {
    return { id: owner.id, login: owner.login, through: 'superuser' };
  }
  if (owner.kind !== 'organization' || caller.accountKind !== 'user') throw noSuchToken(id);
  if (!(await isOwnedBy(ports, caller, owner, 'own', () => noSuchToken(id)))) throw noSuchToken(id);
  return { id: owner.id, login: owner.login, through: 'organization' };
}

/** Decides again, with the rows under lock. Throws Fault('forbidden'). */
export function needOwnership(acting: Acting, { through }: TokenOwner, purpose: string): void {
  if (through === 'superuser') needSuperuser(acting, purpose, 'api');
  else {
    needScope(acting.caller, through === 'self' ? 'api:write' : 'api', purpose);
    // That of an organization was decided with what the caller is there.
    if (through === 'self') needWhole(acting.caller, purpose);
  }
}

function selfOf({ accountId, login }: Caller): TokenOwner {
  return { id: accountId, login, through: 'self' };
}

function isAdministrator(caller: Caller, verb: Verb): boolean {
  return administers(callerFromProto(caller), verb === 'read' ? 'api:read' : 'api');
}

/** False for who is nothing there. Throws Fault('forbidden'), or what `refuse` gives for a member who is no owner. */
async function isOwnedBy(
  ports: IdentityPorts,
  caller: Caller,
  { id, login }: { readonly id: string; readonly login: string },
  verb: Verb,
  refuse: (reason: string) => Fault = (reason) => new Fault('forbidden', reason),
): Promise<boolean> {
  const { standing } = await standingIn(ports, id, caller.accountId);
  if (!standing.owner && !standing.member) return false;
  const channel = { id, login, ownerId: id, defaultVisibility: 'private' } as const;
  const address = caller.address === '' ? undefined : caller.address;
  const decision = decide(callerFromProto(caller), { standing, channel }, verb, {
    kind: 'tokens',
    use: 'api',
    address,
  });
  if (decision.allow) return true;
  throw standing.owner ? new Fault(decision.code, decision.reason) : refuse(decision.reason);
}

function notOwned(login: string): Fault {
  return new Fault('not_found', `there is no organization "${login.slice(0, 70)}" that this account owns`);
}

function noSuchToken(id: string): Fault {
  return new Fault('not_found', `there is no token "${id.slice(0, 64)}" that this account may manage`);
}
