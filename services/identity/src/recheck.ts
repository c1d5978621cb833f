import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault } from '@vivarium/fault/fault';
import { ASSERTION_LIFE_MS } from '@vivarium/rpc/assertion';
import {
  findBrowserFacts,
  findPasswordFacts,
  findSessionFacts,
  findTokenFacts,
  type TokenFacts,
} from './credential-facts.js';
import type { Db, Tx } from './db.js';
import {
  type Identified,
  identifyByBrowser,
  identifyByPassword,
  identifySession,
  identifyToken,
} from './identified.js';
import { endedBrowserLogin, endedSession, unknownToken, wrongPassword } from './refusals.js';

/** Who a caller is today, and its token's row if it came by one. */
export interface Rechecked extends Identified {
  readonly token?: TokenFacts;
}

/**
 * The facts of today of a caller that was identified a moment ago, by its ids. Throws Fault('unauthenticated') when its
 * credential does not count any more. Does not ask whether an organization's token is suspended: `checkMaker` does.
 */
export async function recheck(db: Db | Tx, caller: Caller, nowMs: number): Promise<Rechecked> {
  switch (caller.credentialKind) {
    case 'token': {
      const token = await findTokenFacts(db, { id: caller.credentialId });
      if (token?.accountId !== caller.accountId) throw unknownToken();
      return { ...identifyToken(token, nowMs), token };
    }
    case 'session': {
      const session = await findSessionFacts(db, { id: caller.credentialId });
      if (session?.accountId !== caller.accountId) throw endedSession();
      return identifySession(session, nowMs, session.lastUsedAt.getTime());
    }
    case 'browser': {
      const browser = await findBrowserFacts(db, { id: caller.credentialId });
      if (browser?.accountId !== caller.accountId) throw endedBrowserLogin();
      return identifyByBrowser(browser, nowMs);
    }
    case 'password':
      return recheckPassword(db, caller);
    default:
      throw new Fault(
        'invalid',
        `A caller comes by a token, a session or a password, not by "${caller.credentialKind}".`,
      );
  }
}

async function recheckPassword(db: Db | Tx, caller: Caller): Promise<Identified> {
  const facts = await findPasswordFacts(db, { id: caller.accountId });
  const verifiedMs = Number(caller.expiresAtMs) - ASSERTION_LIFE_MS;
  // A password that was changed since ends what the former one had begun.
  if (facts?.changedAt == null || facts.changedAt.getTime() > verifiedMs) throw wrongPassword();
  return identifyByPassword(facts, verifiedMs);
}
