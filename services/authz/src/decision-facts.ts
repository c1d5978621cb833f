import type { ChannelFacts } from '@vivarium/access/admission';
import { type Grant, isVisibility, PERMISSIONS } from '@vivarium/access/audience';
import type { Caller } from '@vivarium/access/caller';
import type { Facts, PackageFacts } from '@vivarium/access/decide';
import { STRANGER_STANDING } from '@vivarium/access/standing';
import { AccessFacts, type AccessGrant } from '@vivarium/contracts/gen/vivarium/packages/v1/access_facts_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { audienceFromProto } from '@vivarium/trust/messages';
import type { Db } from './db.js';
import type { AuthzPorts } from './ports.js';
import { viewOf } from './view-of.js';

export type { ChannelFacts };

type AskPorts = Pick<AuthzPorts, 'bus' | 'trust'>;

/** A channel as packages knows it now; undefined if there is none of that login. */
export async function findChannelFacts({ bus, trust }: AskPorts, login: string): Promise<ChannelFacts | undefined> {
  const assertion = await trust.assertionFor('packages');
  try {
    const { channel } = await clientOf(Channels, bus, { assertion }).find({ login });
    if (channel === undefined || !isVisibility(channel.defaultVisibility)) return undefined;
    const { id, defaultVisibility } = channel;
    return { id, login, ownerId: id, defaultVisibility, audiences: channel.audiences.map(audienceFromProto) };
  } catch (error) {
    if (isFault(error) && error.code === 'not_found') return undefined;
    throw error;
  }
}

/** A package as it is now; undefined if there is none of that name. */
export async function findPackageFacts(
  { bus, trust }: AskPorts,
  channel: ChannelFacts,
  name: string,
): Promise<PackageFacts | undefined> {
  const assertion = await trust.assertionFor('packages');
  const facts = clientOf(AccessFacts, bus, { assertion });
  const { found, visibility, grants, names } = await facts.ofPackage({ channelId: channel.id, name });
  if (!found || !isVisibility(visibility)) return undefined;
  return { visibility, grants: grants.map(grantFrom), names };
}

/** All that a decision about this caller needs. */
export async function factsFor(
  { ports, db }: { readonly ports: AskPorts; readonly db: Db },
  channel: ChannelFacts,
  found: PackageFacts | undefined,
  caller: Caller,
): Promise<Facts> {
  if (caller.kind === 'anonymous') return { standing: STRANGER_STANDING, channel, package: found };
  const { accountId, accountKind } = caller;
  const { owner, member, groups } = await viewOf(db, { accountId, accountKind, channelId: channel.id });
  const assertion = await ports.trust.assertionFor('packages');
  const granted = await clientOf(AccessFacts, ports.bus, { assertion }).grantedTo({
    channelId: channel.id,
    userId: accountId,
    groupIds: groups.map(({ id }) => id),
  });
  return { standing: { owner, member, groups }, channel, package: found, grants: granted.grants.map(grantFrom) };
}

function grantFrom({ kind, id, permission }: AccessGrant): Grant {
  const known = PERMISSIONS.find((each) => each === permission) ?? 'read';
  return { kind: kind === 'group' ? 'group' : 'user', id, permission: known };
}
