import { randomUUID } from 'node:crypto';
import { retryConflicts } from '@vivarium/db/open';
import { taken } from './change-groups.js';
import type { StandingPorts } from './standing.js';
import { OWNERS } from './view-of.js';

// Above 0, the version of a channel without an organization.
const FIRST_VERSION = 1;

/**
 * Makes an organization for an account of that kind, with its group `owners` and the first member of that. Gives the
 * group's id. Nobody can have asked about an account that is just being made, so no gateway need be told.
 * Throws Fault('conflict') if there is one for this account.
 */
export async function addOrganization(
  { db, clock }: Pick<StandingPorts, 'db' | 'clock'>,
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
    }),
  ).catch((error) => {
    throw taken(error, `There is an organization for the account ${accountId} already.`);
  });
  return { ownersGroupId };
}

/** Takes back what `addOrganization` made for an account that was then refused, and of which nobody ever heard. */
export async function dropOrganization({ db }: Pick<StandingPorts, 'db'>, accountId: string): Promise<void> {
  await retryConflicts(() =>
    db.$transaction(async (tx) => {
      // The members go with their groups.
      await tx.group.deleteMany({ where: { organizationId: accountId } });
      await tx.organization.deleteMany({ where: { id: accountId } });
    }),
  );
}
