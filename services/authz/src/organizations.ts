import { randomUUID } from 'node:crypto';
import { codesOf } from '@vivarium/db/database-fault';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { changeStanding, type StandingPorts, standingTag } from './standing.js';
import { OWNERS } from './view-of.js';

const GROUP_NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
// Above 0, the version of a channel without an organization.
const FIRST_VERSION = 1;

export type Permission = 'read' | 'write' | 'admin';

/**
 * Makes an organization for an account of that kind, with its group `owners` and the first member of that. Gives the
 * group's id. Throws Fault('conflict') if there is one for this account.
 */
export async function addOrganization(
  { db, invalidations, clock }: StandingPorts,
  organization: { readonly accountId: string; readonly ownerId: string },
): Promise<{ readonly ownersGroupId: string }> {
  const { accountId, ownerId } = organization;
  const [ownersGroupId, createdAt] = [randomUUID(), new Date(clock())];
  const owners = { id: ownersGroupId, name: OWNERS, permission: 'admin', allPackages: true, createdAt };
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      await tx.organization.create({ data: { id: accountId, createdAt, version: FIRST_VERSION } });
      await tx.group.create({ data: { ...owners, organizationId: accountId } });
      await tx.member.create({ data: { groupId: ownersGroupId, accountId: ownerId, createdAt } });
      // Somebody may have asked before, and remembers that nobody is anything here.
      await invalidations.add(tx, [{ tag: standingTag(accountId), version: FIRST_VERSION }]);
    }),
  ).catch((error) => {
    throw taken(error, `There is an organization for the account ${accountId} already.`);
  });
  await untilForgotten(invalidations, 'The organization is made');
  return { ownersGroupId };
}

/** Adds a group and gives its id. Throws Fault('invalid') for its name, Fault('conflict') if there is one of that name. */
export async function addGroup(
  ports: StandingPorts,
  group: {
    readonly organizationId: string;
    readonly name: string;
    readonly permission: Permission;
    readonly allPackages: boolean;
  },
): Promise<{ readonly groupId: string }> {
  if (!GROUP_NAME.test(group.name)) {
    throw new Fault(
      'invalid',
      `"${group.name.slice(0, 70)}" is no name of a group: use 1 to 63 characters of a-z, 0-9, _, . and -.`,
    );
  }
  const groupId = randomUUID();
  return changeStanding(ports, group.organizationId, async (tx) => {
    await tx.group.create({ data: { ...group, id: groupId, createdAt: new Date(ports.clock()) } }).catch((error) => {
      throw taken(error, `There is a group ${group.name} already; choose another name.`);
    });
    return { groupId };
  });
}

/** Adds a user to a group; it may be in it already. Throws Fault('not_found') without such a group. */
export async function addMember(
  ports: StandingPorts,
  member: { readonly groupId: string; readonly accountId: string },
): Promise<void> {
  const { groupId, accountId } = member;
  await changeStanding(ports, await organizationOf(ports, groupId), async (tx) => {
    await tx.$executeRaw`
      INSERT INTO members (group_id, account_id, created_at) VALUES (${groupId}, ${accountId}, ${new Date(ports.clock())})
      ON CONFLICT ON CONSTRAINT members_pkey DO NOTHING`;
  });
}

/**
 * Takes a user out of a group. Throws Fault('not_found') if it is not in it, Fault('conflict') for the last owner, who
 * would leave an organization that nobody can administer.
 */
export async function removeMember(
  ports: StandingPorts,
  member: { readonly groupId: string; readonly accountId: string },
): Promise<void> {
  const { groupId, accountId } = member;
  await changeStanding(ports, await organizationOf(ports, groupId), async (tx) => {
    const { count } = await tx.member.deleteMany({ where: { groupId, accountId } });
    if (count === 0) throw new Fault('not_found', `The account ${accountId} is not in the group ${groupId}.`);
    const { name } = await tx.group.findUniqueOrThrow({ where: { id: groupId } });
    if (name !== OWNERS || (await tx.member.count({ where: { groupId } })) > 0) return;
    throw new Fault('conflict', 'This is the last owner of the organization; add another one first.');
  });
}

async function organizationOf({ db }: StandingPorts, groupId: string): Promise<string> {
  const group = await db.group.findUnique({ where: { id: groupId }, select: { organizationId: true } });
  if (group === null) throw new Fault('not_found', `There is no group with the id ${groupId}.`);
  return group.organizationId;
}

function taken(error: unknown, message: string): unknown {
  return codesOf(error).includes('23505') ? new Fault('conflict', message, { cause: error }) : error;
}
