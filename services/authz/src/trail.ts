// Events of the audit trail, each written in the transaction of its change.
import { addAudit } from '@vivarium/audit/audit';
import type { Tx } from './db.js';
import type { Group } from './gen/prisma/client.js';
import type { Owning } from './owning.js';

/** That a group was made, changed or deleted. */
export function noteGroup(
  tx: Tx,
  { asker, organization }: Owning,
  change: { readonly action: string; readonly before?: Group; readonly after?: Group },
  nowMs: number,
): Promise<void> {
  const { action, before, after } = change;
  const resource = `group ${organization.login}/${(before ?? after)?.name ?? ''}`;
  const entry = { actor: asker.message, action, ownerId: organization.id, resource };
  return addAudit(tx, { ...entry, before: factsOf(before), after: factsOf(after) }, nowMs);
}

/** That a user was added to a group, or left it. */
export function noteMember(
  tx: Tx,
  { asker, organization }: Owning,
  change: { readonly action: string; readonly group: Group; readonly user: { readonly login: string } },
  nowMs: number,
): Promise<void> {
  const { action, group, user } = change;
  const resource = `group ${organization.login}/${group.name}`;
  const facts = { member: user.login };
  const isAdded = action === 'group.add_member';
  const entry = { actor: asker.message, action, ownerId: organization.id, resource };
  return addAudit(tx, isAdded ? { ...entry, after: facts } : { ...entry, before: facts }, nowMs);
}

function factsOf(group: Group | undefined) {
  if (group === undefined) return undefined;
  const { name, permission, allPackages } = group;
  return { name, permission, all_packages: allPackages };
}
