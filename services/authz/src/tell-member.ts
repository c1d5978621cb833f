import { randomUUID } from 'node:crypto';
import type { Tx } from './db.js';
import type { Group } from './gen/prisma/client.js';
import type { Owning } from './owning.js';
import { OWNERS } from './view-of.js';

/** Writes down that a user shall be told of a group that somebody else added it to. */
export async function tellMember(
  tx: Tx,
  { asker, organization }: Owning,
  { group, userId }: { readonly group: Group; readonly userId: string },
  now: Date,
): Promise<void> {
  if (userId === asker.caller.accountId) return;
  const { login } = organization;
  const text = `${asker.caller.login} added you to the group ${group.name} of ${login}. ${givenBy(group, login)}`;
  const { name, permission, allPackages } = group;
  const detail = {
    organization: login,
    group: name,
    permission,
    all_packages: allPackages,
    by: asker.caller.login,
  };
  await tx.$executeRaw`
    INSERT INTO deliveries (id, account_id, kind, text, detail, created_at)
    VALUES (${randomUUID()}, ${userId}, 'group.added', ${text}, ${JSON.stringify(detail)}::jsonb, ${now})`;
}

function givenBy({ name, permission, allPackages }: Group, organization: string): string {
  if (name === OWNERS) return `You may do everything in ${organization} now.`;
  const may = { read: 'read', write: 'read and write', admin: 'administer' }[permission] ?? permission;
  return `You may ${may} ${allPackages ? `all packages of ${organization}` : 'the packages of the group'} now.`;
}
