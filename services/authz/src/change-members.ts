import { Fault } from '@vivarium/fault/fault';
import type { Tx } from './db.js';
import type { Group } from './gen/prisma/client.js';
import { OWNERS } from './view-of.js';

const MEMBERS_MAX = 10_000;

/**
 * Adds a user to a group of a locked organization. False if it was in it before. Throws Fault('conflict') for one too many.
 */
export async function addMember(tx: Tx, group: Pick<Group, 'id'>, accountId: string, now: Date): Promise<boolean> {
  const added = await tx.$executeRaw`
    INSERT INTO members (group_id, account_id, created_at) VALUES (${group.id}, ${accountId}, ${now})
    ON CONFLICT ON CONSTRAINT members_pkey DO NOTHING`;
  // By members_group.
  if (added > 0 && (await tx.member.count({ where: { groupId: group.id } })) > MEMBERS_MAX) {
    throw new Fault('conflict', `A group has at most ${MEMBERS_MAX} members; make another one.`);
  }
  return added > 0;
}

/**
 * Takes a user out of a group of a locked organization. Throws Fault('not_found') if it is not in it, Fault('conflict') for
 * the last owner, who would leave an organization that nobody can administer.
 */
export async function removeMember(
  tx: Tx,
  group: Pick<Group, 'id' | 'name'>,
  member: { readonly id: string; readonly login: string },
): Promise<void> {
  const { count } = await tx.member.deleteMany({ where: { groupId: group.id, accountId: member.id } });
  if (count === 0) throw notMember(group, member.login);
  if (group.name !== OWNERS || (await tx.member.count({ where: { groupId: group.id } })) > 0) return;
  throw new Fault('conflict', `${member.login} is the last owner of the organization; add another one first.`);
}

export function notMember(group: Pick<Group, 'name'>, login: string): Fault {
  return new Fault('not_found', `${login.slice(0, 70)} is not in the group ${group.name}.`);
}
