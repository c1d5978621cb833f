import type { Account } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { accountByLogin, namesById } from './accounts-by.js';
import { notMember } from './change-members.js';
import { ask, type Db } from './db.js';
import type { Group } from './gen/prisma/client.js';
import { type PageAsked, pageSizeOf } from './list-groups.js';
import type { AuthzPorts } from './ports.js';

type AskPorts = Pick<AuthzPorts, 'bus' | 'trust'>;

/** A page of a group's members, in no order that means anything. Those whose account is gone are left out. */
export async function listMembers(ports: AskPorts, db: Db, group: Group, { after, limit }: PageAsked) {
  const count = pageSizeOf(limit);
  // By members_group.
  const rows = await ask(
    db.member.findMany({
      where: { groupId: group.id, accountId: { gt: after } },
      orderBy: { accountId: 'asc' },
      take: count + 1,
    }),
  );
  const page = rows.slice(0, count);
  const names = await namesById(
    ports,
    page.map(({ accountId }) => accountId),
  );
  return {
    members: page.flatMap(({ accountId, createdAt }) => {
      const account = names.get(accountId);
      if (account === undefined) return [];
      return [{ login: account.login, name: account.name, addedAtMs: BigInt(createdAt.getTime()) }];
    }),
    next: rows.length > count ? (page.at(-1)?.accountId ?? '') : '',
  };
}

/** One member. Throws Fault('not_found') in one sentence for who is not in the group and for who does not exist. */
export async function findMember(ports: AskPorts, db: Db, group: Group, login: string) {
  const account = await accountByLogin(ports, login);
  const where = { accountId_groupId: { accountId: account?.id ?? '', groupId: group.id } };
  // By members_pkey.
  const member = await ask(db.member.findUnique({ where }));
  if (account === undefined || member === null) throw notMember(group, login);
  return { login: account.login, name: account.name, addedAtMs: BigInt(member.createdAt.getTime()) };
}

/** The user of this login. Throws Fault('not_found'), Fault('invalid') for an organization. */
export async function userByLogin(ports: AskPorts, login: string): Promise<Account> {
  const account = await accountByLogin(ports, login);
  if (account === undefined) throw new Fault('not_found', `There is no user "${login.slice(0, 70)}".`);
  if (account.kind === 'user') return account;
  throw new Fault('invalid', `${account.login} is an organization; only users are members of a group.`);
}
