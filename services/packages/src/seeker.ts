import { ANONYMOUS, type Caller, tokenOf } from '@vivarium/access/caller';
import { lackingScope } from '@vivarium/access/cut';
import type { Restrictions } from '@vivarium/access/restriction';
import { Memberships } from '@vivarium/contracts/gen/vivarium/authz/v1/memberships_pb';
import { Fault } from '@vivarium/fault/fault';
import { type Call, clientOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import type { PackagesPorts } from './ports.js';

/** What somebody may read anywhere, as sets that a query understands. */
export interface Seeker {
  /** False for anybody, and for an organization, which is signed in at home only. */
  readonly signedIn: boolean;
  /** Channels of which the seeker reads everything. */
  readonly whole: readonly string[];
  /** `group:<id>` and `user:<id>`. */
  readonly principals: readonly string[];
  /** Of the token; they cut what is not public. */
  readonly restrictions: Restrictions;
}

/**
 * Who asks, for a question about all channels. A token must hold `api:read`: it is told so, instead of being shown what
 * strangers see. Its channels, globs and labels cut what it finds beyond that.
 */
export async function seekerOf(ports: Pick<PackagesPorts, 'bus' | 'trust'>, call: Call): Promise<Seeker> {
  const message = await ports.trust.callerMessageOf(call);
  const caller = message === undefined ? ANONYMOUS : callerFromProto(message);
  if (caller.kind === 'anonymous') return { signedIn: false, whole: [], principals: [], restrictions: {} };
  const token = tokenOf(caller);
  const lacking = token === null ? null : lackingScope(token.scopes, { verb: 'read', use: 'api', kind: 'channel' });
  if (lacking !== null) throw new Fault('forbidden', `this token lacks the scope ${lacking}`);
  const restrictions = token?.restrictions ?? {};
  return { ...(await reachOf(ports, caller)), restrictions };
}

async function reachOf(ports: Pick<PackagesPorts, 'bus' | 'trust'>, caller: Extract<Caller, { kind: 'account' }>) {
  if (caller.accountKind === 'organization') return { signedIn: false, whole: [caller.accountId], principals: [] };
  const assertion = await ports.trust.assertionFor('authz');
  const { memberships } = await clientOf(Memberships, ports.bus, { assertion }).of({ accountId: caller.accountId });
  return {
    signedIn: true,
    whole: [caller.accountId, ...memberships.filter(({ all }) => all).map(({ channelId }) => channelId)],
    principals: [`user:${caller.accountId}`, ...memberships.map(({ groupId }) => `group:${groupId}`)],
  };
}
