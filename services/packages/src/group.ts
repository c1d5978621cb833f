import { PERMISSIONS, type Permission } from '@vivarium/access/audience';
import { decide } from '@vivarium/access/decide';
import { GroupIds } from '@vivarium/contracts/gen/vivarium/authz/v1/group_ids_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import type { Actor } from './actor.js';
import type { PackagesPorts } from './ports.js';

/** A group of the organization whose channel it is, as it is today. */
export interface Group {
  readonly id: string;
  readonly name: string;
  readonly permission: Permission;
  /** Covers every package, those to come too. */
  readonly all: boolean;
}

/** Throws unless the actor may know of the groups of the channel's organization (`read`), or change them (`own`). */
export function requireGroups(actor: Actor, verb: 'read' | 'own'): void {
  const decision = decideGroups(actor, verb);
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}

/** True if the actor may change the groups: an owner, by a session or a token that is not limited to a part. */
export function ownsGroups(actor: Actor): boolean {
  return decideGroups(actor, 'own').allow;
}

/** The group of this name. Throws Fault('not_found'). */
export async function findGroup(
  ports: Pick<PackagesPorts, 'bus' | 'trust'>,
  { channel }: Actor,
  name: string,
): Promise<Group> {
  const assertion = await ports.trust.assertionFor('authz');
  try {
    const asked = { organizationId: channel.id, name };
    const found = await clientOf(GroupIds, ports.bus, { assertion }).find(asked);
    const permission = PERMISSIONS.find((each) => each === found.permission);
    if (permission === undefined) throw new Error(`a group with the permission ${found.permission}`);
    return { id: found.id, name: found.name, permission, all: found.allPackages };
  } catch (error) {
    if (!isFault(error) || error.code !== 'not_found') throw error;
    throw new Fault('not_found', `group "${channel.login}/${name.slice(0, 70)}" does not exist`);
  }
}

function decideGroups({ caller, channel, standing }: Actor, verb: 'read' | 'own') {
  const { id, login, defaultVisibility } = channel;
  const facts = { standing, channel: { id, login, ownerId: id, defaultVisibility } };
  return decide(caller, facts, verb, { kind: 'groups', use: 'api' });
}
