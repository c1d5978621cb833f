import { type Caller as AccessCaller, tokenOf } from '@vivarium/access/caller';
import { admitsChannel } from '@vivarium/access/restriction';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { callerFromProto } from '@vivarium/trust/caller';
import { ask, type Db } from './db.js';
import { foldLogin, isLogin } from './login.js';
import { standingIn } from './makers.js';
import type { IdentityPorts } from './ports.js';

/** The account whose tokens are meant. */
export interface TokenOwner {
  readonly id: string;
  readonly login: string;
}

/**
 * The caller itself, or the organization of that login if the caller is one of its owners. Who is nothing there learns
 * nothing: Fault('not_found') as for a missing one. Fault('forbidden') for a member, and for a token that does not reach it.
 */
export async function ownerOf(ports: IdentityPorts, db: Db, caller: Caller, organization: string): Promise<TokenOwner> {
  const login = foldLogin(organization);
  if (login === '' || login === caller.login) return { id: caller.accountId, login: caller.login };
  if (!isLogin(login) || caller.accountKind !== 'user') throw notOwned(login);
  const account = await ask(db.account.findFirst({ where: { login, kind: 'organization', deletedAt: null } }));
  if (account === null) throw notOwned(login);
  const { isOwner, isMember } = await standingIn(ports, account.id, caller.accountId);
  if (!isOwner && !isMember) throw notOwned(login);
  if (!isOwner) {
    throw new Fault(
      'forbidden',
      `the tokens of ${login} are managed by its owners, and ${caller.login} is none of them`,
    );
  }
  checkReach(callerFromProto(caller), account);
  return account;
}

function checkReach(caller: AccessCaller, { id, login }: TokenOwner): void {
  const token = tokenOf(caller);
  if (token === null || admitsChannel(token.restrictions, id)) return;
  throw new Fault('forbidden', `this token is restricted to other channels than ${login}`);
}

function notOwned(login: string): Fault {
  return new Fault('not_found', `there is no organization "${login.slice(0, 70)}" that this account owns`);
}
