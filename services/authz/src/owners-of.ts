import { ask, type Db } from './db.js';
import { OWNERS } from './view-of.js';

const OWNERS_MAX = 100;

/** The ids of an organization's owners, the first hundred; none of one that does not exist. */
export async function ownersOf(db: Db, organizationId: string): Promise<string[]> {
  // By groups_organization_id_name_key and members_group.
  const rows = await ask(db.$queryRaw<{ id: string }[]>`
    SELECT m.account_id AS id FROM groups g JOIN members m ON m.group_id = g.id
    WHERE g.organization_id = ${organizationId} AND g.name = ${OWNERS}
    ORDER BY m.account_id LIMIT ${OWNERS_MAX}`);
  return rows.map(({ id }) => id);
}
