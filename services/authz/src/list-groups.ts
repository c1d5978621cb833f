import type { MessageInitShape } from '@bufbuild/protobuf';
import { tokenOf } from '@vivarium/access/caller';
import { lackingScope } from '@vivarium/access/cut';
import { admitsChannel } from '@vivarium/access/restriction';
import type { GroupSchema } from '@vivarium/contracts/gen/vivarium/authz/v1/groups_pb';
import { Fault } from '@vivarium/fault/fault';
import { namesById } from './accounts-by.js';
import type { Asker } from './asker.js';
import { ask, type Db } from './db.js';
import type { Group } from './gen/prisma/client.js';
import type { Organization } from './organization-rights.js';
import type { AuthzPorts } from './ports.js';

export interface PageAsked {
  /** Cursor of the page before; empty: from the first. */
  readonly after: string;
  readonly limit: number;
}

const PAGE_MAX = 500;

interface Row extends Group {
  readonly members: number;
}

/** A page of an organization's groups, by name. */
export async function listGroups(db: Db, organization: Organization, { after, limit }: PageAsked) {
  const count = pageSizeOf(limit);
  // By groups_organization_id_name_key and members_group.
  const rows = await ask(db.$queryRaw<Row[]>`
    SELECT g.id, g.organization_id AS "organizationId", g.name, g.permission, g.all_packages AS "allPackages",
      g.created_at AS "createdAt", (SELECT count(*)::int FROM members m WHERE m.group_id = g.id) AS members
    FROM groups g WHERE g.organization_id = ${organization.id} AND g.name > ${after} ORDER BY g.name LIMIT ${count + 1}`);
  const page = rows.slice(0, count);
  return {
    groups: page.map((row) => messageOf(organization.login, row)),
    next: rows.length > count ? (page.at(-1)?.name ?? '') : '',
  };
}

/** A page of the groups that the asker is in, in all organizations that its token reaches. Throws Fault('forbidden'). */
export async function listGroupsOf(
  ports: Pick<AuthzPorts, 'bus' | 'trust'>,
  db: Db,
  asker: Asker,
  { after, limit }: PageAsked,
) {
  const { caller } = asker;
  requireReading(asker);
  const count = pageSizeOf(limit);
  if (caller.accountKind !== 'user') return { groups: [], next: '' };
  // By members_pkey and groups_pkey.
  const rows = await ask(db.$queryRaw<Row[]>`
    SELECT g.id, g.organization_id AS "organizationId", g.name, g.permission, g.all_packages AS "allPackages",
      g.created_at AS "createdAt", (SELECT count(*)::int FROM members o WHERE o.group_id = g.id) AS members
    FROM members m JOIN groups g ON g.id = m.group_id
    WHERE m.account_id = ${caller.accountId} AND m.group_id > ${after} ORDER BY m.group_id LIMIT ${count + 1}`);
  const page = rows.slice(0, count);
  const names = await namesById(ports, [...new Set(page.map(({ organizationId }) => organizationId))]);
  const token = tokenOf(caller);
  const reached = page.filter((row) => token === null || admitsChannel(token.restrictions, row.organizationId));
  return {
    // An organization that is being deleted has no account any more.
    groups: reached.flatMap((row) => {
      const login = names.get(row.organizationId)?.login;
      return login === undefined ? [] : [messageOf(login, row)];
    }),
    next: rows.length > count ? (page.at(-1)?.id ?? '') : '',
  };
}

/** Throws Fault('forbidden') for a token that may not read by the API. */
export function requireReading({ caller }: Asker): void {
  const token = tokenOf(caller);
  const lacking = token === null ? null : lackingScope(token.scopes, { verb: 'read', use: 'api', kind: 'groups' });
  if (lacking !== null) throw new Fault('forbidden', `This token lacks the scope ${lacking}.`);
}

/** A group as people see it. */
export async function groupMessageOf(db: Db, { login }: Organization, group: Group) {
  // By members_group.
  return messageOf(login, { ...group, members: await ask(db.member.count({ where: { groupId: group.id } })) });
}

export function pageSizeOf(limit: number): number {
  return limit > 0 ? Math.min(limit, PAGE_MAX) : PAGE_MAX;
}

function messageOf(organization: string, row: Row): MessageInitShape<typeof GroupSchema> {
  const { name, permission, allPackages, members, createdAt } = row;
  const [count, createdAtMs] = [BigInt(members), BigInt(createdAt.getTime())];
  return { organization, name, permission, allPackages, members: count, createdAtMs };
}
