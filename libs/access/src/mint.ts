import { Fault } from '@vivarium/fault/fault';
import { type Caller, tokenOf } from './caller.js';
import { parseRestrictions, type Restrictions, widerPart } from './restriction.js';
import { holds, parseScopes, type Scope } from './scope.js';

const DAY_MS = 86_400_000;
const DEFAULT_AGE_MS = 365 * DAY_MS;
const AGE_LIMIT_MS = 3653 * DAY_MS;

export interface MintRequest {
  readonly parent: Caller;
  /** Milliseconds since 1970, or null for a session. */
  readonly parentExpiresAtMs: number | null;
  /** A token with a limited number of uses mints nothing: its child would be a way around the limit. */
  readonly parentUses: 'limited' | 'unlimited';
  readonly scopes: readonly string[] | null;
  readonly restrictions: Restrictions;
  /** Null: one year, or what is left of the parent. */
  readonly maxAgeMs: number | null;
  readonly nowMs: number;
}

export interface Minted {
  readonly scopes: readonly Scope[];
  readonly restrictions: Restrictions;
  readonly expiresAtMs: number;
}

/**
 * What the new token may be. A session mints anything; a token only what is no broader than itself: fewer or equal
 * scopes, its own restrictions (inherited where none are asked, narrowed where some are), no later expiry.
 * Throws Fault('invalid') for unknown scopes, malformed restrictions, an age that is not positive or above ten years;
 * Fault('forbidden') for what is broader than the parent; Fault('unauthenticated') for an anonymous or expired one.
 */
export function judgeMint(request: MintRequest): Minted {
  const { parent, parentExpiresAtMs, nowMs } = request;
  if (parent.kind === 'anonymous') throw new Fault('unauthenticated', 'sign in to create a token');
  const scopes = parseScopes(request.scopes);
  const restrictions = parseRestrictions(request.restrictions);
  const ageMs = ageOf(request.maxAgeMs);
  const token = tokenOf(parent);
  if (token === null) return { scopes, restrictions, expiresAtMs: nowMs + (ageMs ?? DEFAULT_AGE_MS) };

  if (parentExpiresAtMs !== null && parentExpiresAtMs <= nowMs) {
    throw new Fault('unauthenticated', 'this token has expired; sign in to create a new one');
  }
  if (!holds(token.scopes, 'api:write')) {
    throw new Fault('forbidden', 'this token lacks the scope api:write, which creating a token needs');
  }
  if (request.parentUses === 'limited') {
    throw new Fault('forbidden', 'a token with a limited number of uses creates no other; sign in to create one');
  }
  return {
    scopes: judgeScopes(scopes, token.scopes),
    restrictions: judgeRestrictions(restrictions, token.restrictions),
    expiresAtMs: judgeExpiry(ageMs, parentExpiresAtMs, nowMs),
  };
}

function ageOf(maxAgeMs: number | null): number | null {
  if (maxAgeMs === null) return null;
  if (!Number.isFinite(maxAgeMs) || maxAgeMs < 1) {
    throw new Fault(
      'invalid',
      `a token's age of ${maxAgeMs / 1000} s is not possible; give a number of seconds above 0`,
    );
  }
  if (maxAgeMs > AGE_LIMIT_MS) {
    throw new Fault(
      'invalid',
      `a token's age of ${maxAgeMs / 1000} s is too long; the longest is ${AGE_LIMIT_MS / 1000} s, ten years`,
    );
  }
  return Math.floor(maxAgeMs);
}

function judgeScopes(scopes: readonly Scope[], parents: readonly Scope[]): readonly Scope[] {
  const broader = scopes.filter((scope) => !holds(parents, scope));
  if (broader.length === 0) return scopes;
  throw new Fault(
    'forbidden',
    `a token creates none with more scopes than its own: it has ${parents.join(', ')}, and ${broader.join(', ')} is more`,
  );
}

function judgeRestrictions(asked: Restrictions, parents: Restrictions): Restrictions {
  const restrictions = { ...parents, ...asked };
  const wider = widerPart(restrictions, parents);
  if (wider === null) return restrictions;
  throw new Fault('forbidden', `a token creates none that reaches further than itself, and ${wider} is further`);
}

function judgeExpiry(ageMs: number | null, parentExpiresAtMs: number | null, nowMs: number): number {
  const latestMs = parentExpiresAtMs ?? Number.POSITIVE_INFINITY;
  if (ageMs === null) return Math.min(nowMs + DEFAULT_AGE_MS, latestMs);
  if (nowMs + ageMs <= latestMs) return nowMs + ageMs;
  throw new Fault(
    'forbidden',
    `a token creates none that lives longer than itself: until ${new Date(latestMs).toISOString()}; leave the age out to get that`,
  );
}
