import { create } from '@bufbuild/protobuf';
import { administers } from '@vivarium/access/administer';
import { type Caller as AccessCaller, tokenOf } from '@vivarium/access/caller';
import { wholeCut } from '@vivarium/access/cut';
import { admitsChannel } from '@vivarium/access/restriction';
import { holds, type Scope } from '@vivarium/access/scope';
import { type Caller, CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import type { Call } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import type { TokenFacts } from './credential-facts.js';
import type { Tx } from './db.js';
import type { IdentityPorts } from './ports.js';
import { recheck } from './recheck.js';
import { nobodySignedIn } from './refusals.js';

/** Who changes something, as the rows under lock say. */
export interface Acting {
  readonly message: Caller;
  readonly caller: Exclude<AccessCaller, { kind: 'anonymous' }>;
  readonly token: TokenFacts | undefined;
}

/**
 * The account that calls. Throws Fault('unauthenticated') for an anonymous call, Fault('forbidden') for a program that a
 * browser let in: it makes itself a token, and nothing else.
 */
export async function callerOf(ports: IdentityPorts, call: Call): Promise<Caller> {
  const caller = await tokenMakerOf(ports, call);
  if (caller.credentialKind !== 'browser') return caller;
  throw new Fault('forbidden', 'what a login by the browser gave only counts to make a token');
}

/** As `callerOf`, where a token is made. */
export async function tokenMakerOf({ trust }: IdentityPorts, call: Call): Promise<Caller> {
  const caller = await trust.callerMessageOf(call);
  if (caller === undefined) throw nobodySignedIn();
  return caller;
}

/**
 * The caller today, with its credential and account locked against change until the transaction ends: what it does is
 * done by rights that it has at that moment. Throws Fault('unauthenticated') when it has none any more.
 */
export async function lockCaller(tx: Tx, caller: Caller, nowMs: number): Promise<Acting> {
  await tx.$executeRaw`SELECT 1 FROM accounts WHERE id = ${caller.accountId} FOR SHARE`;
  if (caller.credentialKind === 'token') {
    await tx.$executeRaw`SELECT 1 FROM tokens WHERE id = ${caller.credentialId} FOR SHARE`;
  }
  if (caller.credentialKind === 'session') {
    await tx.$executeRaw`SELECT 1 FROM sessions WHERE id = ${caller.credentialId} FOR SHARE`;
  }
  if (caller.credentialKind === 'browser') {
    // It makes one token, so two that try wait for each other.
    await tx.$executeRaw`SELECT 1 FROM browser_logins WHERE id = ${caller.credentialId} FOR UPDATE`;
  }
  // A statement of its own: it sees what whoever held those locks before has committed.
  const today = await recheck(tx, caller, nowMs);
  const message = create(CallerSchema, { ...today.caller, address: caller.address });
  const account = callerFromProto(message);
  if (account.kind === 'anonymous') throw nobodySignedIn();
  return { message, caller: account, token: today.token };
}

/** Throws Fault('forbidden') that names the scope which the caller's token lacks. Sessions and passwords lack none. */
export function needScope(caller: AccessCaller, scope: Scope, purpose: string): void {
  const token = tokenOf(caller);
  if (token === null || holds(token.scopes, scope)) return;
  throw new Fault('forbidden', `this token lacks the scope ${scope}, which ${purpose} needs`);
}

/**
 * Throws Fault('forbidden') for a token that is limited to a part of what its owner has: what concerns the whole account
 * is beyond it.
 */
export function needWhole(caller: AccessCaller, purpose: string): void {
  const token = tokenOf(caller);
  if (token === null || caller.kind === 'anonymous') return;
  const ask = { verb: 'own', use: 'api', kind: 'tokens', channelId: caller.accountId } as const;
  const isElsewhere = !admitsChannel(token.restrictions, caller.accountId);
  const cut = isElsewhere ? 'is limited to other channels' : wholeCut(token, ask);
  if (cut !== null) throw new Fault('forbidden', `this token ${cut}; ${purpose} needs one without such limits`);
}

/**
 * Throws Fault('forbidden') unless the caller may manage accounts. A token must be without any limit for it, and have the
 * scope: `all` where what is done, as setting a password, would open everything that its limits forbid.
 */
export function needSuperuser({ caller, token }: Acting, purpose: string, scope: Scope = 'all'): void {
  needAdministration(caller, purpose, scope);
  if (token === undefined || token.remainingUses === null) return;
  throw restricted(purpose);
}

/** The same where nothing is changed, and the assertion's word is enough. */
export function needAdministration(caller: AccessCaller, purpose: string, scope: Scope): void {
  if (administers(caller, scope)) return;
  if (caller.kind === 'anonymous') throw nobodySignedIn();
  if (!caller.superuser) {
    throw new Fault('forbidden', `${purpose} needs a superuser, and ${caller.login} is none`);
  }
  needScope(caller, scope, purpose);
  throw restricted(purpose);
}

function restricted(purpose: string): Fault {
  return new Fault('forbidden', `${purpose} needs a token without restrictions; sign in, or create such a token`);
}
