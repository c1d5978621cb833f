import { Views } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { standingFromProto } from '@vivarium/trust/messages';
import { findTokenFacts, type TokenFacts } from './credential-facts.js';
import type { Db } from './db.js';
import type { FactVersion } from './identified.js';
import type { IdentityPorts } from './ports.js';
import { suspendedToken } from './refusals.js';

/** What a user is in an organization today, with the versions that authz read it at. */
export async function standingIn({ bus, trust }: IdentityPorts, organizationId: string, userId: string) {
  const views = clientOf(Views, bus, { assertion: await trust.assertionFor('authz') });
  const { standing, versions } = await views.viewOf({
    accountId: userId,
    accountKind: 'user',
    channelId: organizationId,
    channelKind: 'organization',
  });
  return { standing: standingFromProto(standing), versions };
}

/** Ids of those who own an organization today, the first hundred. Throws Fault('unavailable') when authz does not answer. */
export async function ownersOf({ bus, trust }: IdentityPorts, organizationId: string): Promise<readonly string[]> {
  const views = clientOf(Views, bus, { assertion: await trust.assertionFor('authz') });
  return (await views.ownersOf({ organizationId })).accountIds;
}

/**
 * An organization's token is suspended while its maker is not one of the organization's owners. Gives the versions that
 * this was decided on; none for a user's token. Throws Fault('unauthenticated') for a suspended one, Fault('unavailable')
 * when authz does not answer.
 */
export async function checkMaker(ports: IdentityPorts, facts: TokenFacts): Promise<readonly FactVersion[]> {
  if (facts.kind !== 'organization') return [];
  const { standing, versions } = await standingIn(ports, facts.accountId, facts.makerId);
  if (!standing.owner) throw suspendedToken(facts.login, facts.makerLogin);
  return versions.map(({ tag, version }) => ({ tag, version }));
}

/** The same for a caller that is about to change something. Asked before its transaction: nothing waits on the bus inside one. */
export async function recheckSuspension(ports: IdentityPorts, db: Db, caller: Caller): Promise<void> {
  if (caller.accountKind !== 'organization') return;
  const facts = await findTokenFacts(db, { id: caller.credentialId });
  if (facts !== undefined) await checkMaker(ports, facts);
}
