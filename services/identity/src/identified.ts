import type { MessageInitShape } from '@bufbuild/protobuf';
import { restrictionsOf } from '@vivarium/access/restriction';
import type { CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { ASSERTION_LIFE_MS } from '@vivarium/rpc/assertion';
import { restrictionsToProto } from '@vivarium/trust/caller';
import type { AccountFacts, BrowserFacts, SessionFacts, TokenFacts } from './credential-facts.js';
import {
  deletedAccount,
  disabledAccount,
  endedBrowserLogin,
  endedSession,
  expiredToken,
  revokedToken,
  suspendedToken,
  unknownToken,
  usedUpToken,
} from './refusals.js';

/** A session ends when nobody used it for this long. */
export const SESSION_IDLE_MS = 12 * 3_600_000;
/** A session ends this long after it was opened. */
export const SESSION_LIFE_MS = 14 * 86_400_000;

export interface FactVersion {
  readonly tag: string;
  readonly version: bigint;
}

/** Who a credential stands for today, and the versions of the rows that say so. */
export interface Identified {
  readonly caller: MessageInitShape<typeof CallerSchema>;
  readonly versions: readonly FactVersion[];
}

/** Throws Fault('unauthenticated') that says why the token does not count and what to do. */
export function identifyToken(facts: TokenFacts | undefined, nowMs: number): Identified {
  if (facts === undefined) throw unknownToken();
  if (facts.revokedAt !== null) throw revokedToken(facts.revokedAt);
  if (facts.expiresAt.getTime() <= nowMs) throw expiredToken(facts.expiresAt);
  if (facts.remainingUses === 0n) throw usedUpToken();
  checkAccount(facts);
  if (facts.makerGone) throw suspendedToken(facts.login, facts.makerLogin);
  return {
    caller: {
      ...accountPart(facts),
      credentialKind: 'token',
      credentialId: facts.id,
      tokenName: facts.name,
      scopes: [...facts.scopes],
      restrictions: restrictionsToProto(restrictionsOf(facts.restrictions)),
      expiresAtMs: BigInt(facts.expiresAt.getTime()),
      limitedUses: facts.remainingUses !== null,
    },
    versions: [
      { tag: `token:${facts.id}`, version: facts.version },
      accountVersion(facts),
      ...(facts.makerId === facts.accountId ? [] : [{ tag: `account:${facts.makerId}`, version: facts.makerVersion }]),
    ],
  };
}

/** `lastUsedMs` is what the idle time counts from. Throws Fault('unauthenticated'). */
export function identifySession(facts: SessionFacts | undefined, nowMs: number, lastUsedMs: number): Identified {
  if (facts === undefined || facts.revokedAt !== null) throw endedSession();
  // By the row: a use that comes too late does not bring a session back.
  if (sessionEndMs(facts, facts.lastUsedAt.getTime()) <= nowMs) throw endedSession();
  checkAccount(facts);
  return {
    caller: {
      ...accountPart(facts),
      credentialKind: 'session',
      credentialId: facts.id,
      expiresAtMs: BigInt(sessionEndMs(facts, lastUsedMs)),
    },
    versions: [{ tag: `session:${facts.id}`, version: facts.version }, accountVersion(facts)],
  };
}

/** A caller whose password was just found right: good for as long as an assertion. Throws Fault('unauthenticated'). */
export function identifyByPassword(facts: AccountFacts, verifiedMs: number): Identified {
  checkAccount(facts);
  return {
    caller: {
      ...accountPart(facts),
      credentialKind: 'password',
      expiresAtMs: BigInt(verifiedMs + ASSERTION_LIFE_MS),
    },
    versions: [accountVersion(facts)],
  };
}

/** A program that was let in by a browser. Throws Fault('unauthenticated'). */
export function identifyByBrowser(facts: BrowserFacts | undefined, nowMs: number): Identified {
  if (facts === undefined || facts.spent || facts.accessExpiresAt.getTime() <= nowMs) throw endedBrowserLogin();
  checkAccount(facts);
  return {
    caller: {
      ...accountPart(facts),
      credentialKind: 'browser',
      credentialId: facts.id,
      expiresAtMs: BigInt(facts.accessExpiresAt.getTime()),
    },
    versions: [accountVersion(facts)],
  };
}

function sessionEndMs(facts: SessionFacts, lastUsedMs: number): number {
  return Math.min(facts.expiresAt.getTime(), lastUsedMs + SESSION_IDLE_MS);
}

function accountPart({ accountId, login, kind, superuser }: AccountFacts) {
  return { accountId, login, accountKind: kind, superuser };
}

function accountVersion({ accountId, accountVersion: version }: AccountFacts): FactVersion {
  return { tag: `account:${accountId}`, version };
}

function checkAccount({ login, deleted, disabled }: AccountFacts): void {
  if (deleted) throw deletedAccount(login);
  if (disabled) throw disabledAccount(login);
}
