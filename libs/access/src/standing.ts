import { type Grant, isAtLeast, type Permission } from './audience.js';
import type { AccountCaller } from './caller.js';

/** One group that the account is in. */
export interface GroupStanding {
  readonly id: string;
  /** Only for the words of a reason. */
  readonly name?: string | undefined;
  readonly permission: Permission;
  /** The group covers all packages of the channel, those to come too. */
  readonly all: boolean;
}

/** What one account is in one channel, today. */
export interface Standing {
  /** The user whose channel it is, a member of the organization's `owners`, or the organization itself. */
  readonly owner: boolean;
  readonly member: boolean;
  readonly groups: readonly GroupStanding[];
}

export const STRANGER_STANDING: Standing = { owner: false, member: false, groups: [] };

/** A permission and where it comes from, in words: `as an owner`, `through group devs`, `as a collaborator`. */
export interface Right {
  readonly permission: Permission | 'own';
  readonly through: string;
}

/** What the account may do with every package of the channel, or null. */
export function rightOnAll(standing: Standing): Right | null {
  if (standing.owner) return { permission: 'own', through: 'as an owner' };
  return strongest(
    standing.groups.filter((group) => group.all).map((group) => rightOf(group, ', which covers all packages')),
  );
}

/**
 * What the account may do with a package that has these grants, or null if nothing beyond its visibility.
 * A group counts with the permission that it has today, whatever the grant's row remembers.
 */
export function rightOn(grants: readonly Grant[], standing: Standing, caller: AccountCaller): Right | null {
  const granted = grants.map((grant): Right | null => {
    if (grant.kind === 'user') return grant.id === caller.accountId ? collaborator(grant) : null;
    const group = standing.groups.find((other) => other.id === grant.id);
    return group === undefined ? null : rightOf(group, '');
  });
  return strongest([rightOnAll(standing), ...granted]);
}

function collaborator(grant: Grant): Right {
  // Collaborators read or write; administration is for groups and owners, even if a row says otherwise.
  return { permission: grant.permission === 'read' ? 'read' : 'write', through: 'as a collaborator' };
}

function rightOf(group: GroupStanding, more: string): Right {
  return { permission: group.permission, through: `through group ${group.name ?? group.id}${more}` };
}

function strongest(rights: readonly (Right | null)[]): Right | null {
  return rights.reduce(
    (best, right) => (right !== null && (best === null || exceeds(right, best)) ? right : best),
    null,
  );
}

function exceeds(right: Right, other: Right): boolean {
  if (other.permission === 'own') return false;
  return right.permission === 'own' || !isAtLeast(other.permission, right.permission);
}
