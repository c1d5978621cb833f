import { randomUUID } from 'node:crypto';
import { PERMISSIONS, type Permission } from '@vivarium/access/audience';
import { codesOf } from '@vivarium/db/database-fault';
import { Fault } from '@vivarium/fault/fault';
import type { Db, Tx } from './db.js';
import type { Group } from './gen/prisma/client.js';
import { OWNERS } from './view-of.js';

const GROUP_NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
// All of them fit into what a gateway remembers of one member.
const GROUPS_MAX = 1_000;

/** A group, or what of it shall be otherwise. */
export interface GroupSettings {
  readonly name: string;
  readonly permission: Permission;
  readonly allPackages: boolean;
}

/**
 * Adds a group to a locked organization. Throws Fault('invalid') for its name, Fault('conflict') if there is one of that
 * name, or too many.
 */
export async function addGroup(
  tx: Tx,
  group: GroupSettings & { readonly organizationId: string },
  now: Date,
): Promise<Group> {
  const name = parseGroupName(group.name);
  // By groups_organization_id_name_key.
  if ((await tx.group.count({ where: { organizationId: group.organizationId } })) >= GROUPS_MAX) {
    throw new Fault('conflict', `There are ${GROUPS_MAX} groups already, which is the most; remove one first.`);
  }
  const id = randomUUID();
  return tx.group.create({ data: { ...group, name, id, createdAt: now } }).catch((error) => {
    throw nameTaken(error, name);
  });
}

/** Changes a group of a locked organization. Throws as `addGroup`, and Fault('conflict') for `owners`. */
export async function changeGroup(tx: Tx, group: Group, change: Partial<GroupSettings>): Promise<Group> {
  refuseOwners(group);
  const name = change.name === undefined ? group.name : parseGroupName(change.name);
  return tx.group.update({ where: { id: group.id }, data: { ...change, name } }).catch((error) => {
    throw nameTaken(error, name);
  });
}

/** Removes a group of a locked organization with its members. Throws Fault('conflict') for `owners`. */
export async function removeGroup(tx: Tx, group: Group): Promise<void> {
  refuseOwners(group);
  await tx.group.delete({ where: { id: group.id } });
}

/** The group of this name. By groups_organization_id_name_key. Throws Fault('not_found'). */
export async function findGroup(
  db: Db | Tx,
  organization: { readonly id: string; readonly login: string },
  name: string,
): Promise<Group> {
  // What no group can be called is not looked up: the database refuses some of it.
  const where = { organizationId: organization.id, name };
  const group = GROUP_NAME.test(name) ? await db.group.findFirst({ where }) : null;
  if (group !== null) return group;
  const { login } = organization;
  throw new Fault(
    'not_found',
    `${login} has no group "${name.slice(0, 70)}"; "anaconda groups show ${login}" lists those that there are.`,
  );
}

/** Throws Fault('invalid') unless the text is one of the three. */
export function parsePermission(text: string): Permission {
  const permission = PERMISSIONS.find((each) => each === text);
  if (permission !== undefined) return permission;
  throw new Fault('invalid', `"${text.slice(0, 40)}" is no permission of a group: use read, write or admin.`);
}

/** The error, or the conflict that it stands for. */
export function taken(error: unknown, message: string): unknown {
  return codesOf(error).includes('23505') ? new Fault('conflict', message, { cause: error }) : error;
}

function parseGroupName(name: string): string {
  if (GROUP_NAME.test(name)) return name;
  throw new Fault(
    'invalid',
    `"${name.slice(0, 70)}" is no name of a group: use 1 to 63 characters of a-z, 0-9, _, . and -.`,
  );
}

function nameTaken(error: unknown, name: string): unknown {
  return taken(error, `There is a group ${name} already; choose another name.`);
}

function refuseOwners({ name }: Group): void {
  if (name !== OWNERS) return;
  throw new Fault(
    'conflict',
    'The group owners stays as it is: whoever is in it may do everything. Change who is in it instead.',
  );
}
