import type { Permission } from '@vivarium/access/audience';
import { ask, type Db, type Tx } from './db.js';

export interface ViewQuestion {
  readonly accountId: string;
  readonly accountKind: string;
  /** Id of the account whose channel it is. */
  readonly channelId: string;
}

export interface GroupRow {
  readonly id: string;
  readonly name: string;
  readonly permission: Permission;
  readonly all: boolean;
}

export interface ViewFacts {
  readonly owner: boolean;
  readonly member: boolean;
  readonly groups: readonly GroupRow[];
  /** Of everybody's standing in this channel. */
  readonly version: bigint;
}

export const OWNERS = 'owners';

interface Row {
  readonly version: bigint;
  readonly id: string | null;
  readonly name: string | null;
  /** One of the three, by its CHECK. */
  readonly permission: Permission | null;
  readonly all: boolean | null;
}

/**
 * What an account is in a channel, with the version it was read at. A user's own channel has no groups and no version
 * but 0: who owns it never changes. An organization is in no group.
 */
export async function viewOf(db: Db | Tx, question: ViewQuestion): Promise<ViewFacts> {
  const { accountId, accountKind, channelId } = question;
  // One statement, so the version is that of the very groups beside it. The left joins keep the version when there are
  // none. Relies on organizations_pkey, members_pkey (account_id first) and groups_pkey.
  const rows = await ask(db.$queryRaw<Row[]>`
    SELECT o.version, g.id, g.name, g.permission, g.all_packages AS all
    FROM organizations o
    LEFT JOIN (members m JOIN groups g ON g.id = m.group_id)
      ON g.organization_id = o.id AND m.account_id = ${accountId} AND ${accountKind} = 'user'
    WHERE o.id = ${channelId}
    ORDER BY g.id`);
  const groups = rows.flatMap(groupOf);
  return {
    owner: accountId === channelId || groups.some((group) => group.name === OWNERS),
    member: groups.length > 0,
    groups,
    version: rows[0]?.version ?? 0n,
  };
}

function groupOf({ id, name, permission, all }: Row): readonly GroupRow[] {
  if (id === null || name === null || permission === null || all === null) return [];
  return [{ id, name, permission, all }];
}
