import type { MessageInitShape } from '@bufbuild/protobuf';
import { administers } from '@vivarium/access/administer';
import { admitReader } from '@vivarium/access/admission';
import { ANONYMOUS, tokenOf } from '@vivarium/access/caller';
import { admitsChannel } from '@vivarium/access/restriction';
import { STRANGER_STANDING } from '@vivarium/access/standing';
import type { AccountSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { accountByLogin, namesById } from './accounts-by.js';
import type { Asker } from './asker.js';
import { ask, type Db } from './db.js';
import { findChannelFacts } from './decision-facts.js';
import { type PageAsked, requireReading } from './list-groups.js';
import { standingIn } from './organization-rights.js';
import type { AuthzPorts } from './ports.js';

type Account = MessageInitShape<typeof AccountSchema>;

const PAGE_MAX = 50;

/**
 * A page of the organizations that a user is a member of: all of them to the user itself and to superusers, to others those
 * whose channel they may see. Throws Fault('not_found') for a login that nobody has, Fault('forbidden') for a token that
 * may not read its own.
 */
export async function listOrganizations(
  ports: AuthzPorts,
  db: Db,
  asker: Asker | undefined,
  { login, after, limit }: PageAsked & { readonly login: string },
): Promise<{ readonly accounts: Account[]; readonly next: string }> {
  const userId = login === '' ? asker?.caller.accountId : (await accountByLogin(ports, login))?.id;
  if (userId === undefined) throw new Fault('not_found', `There is no account "${login.slice(0, 70)}".`);
  const count = limit > 0 ? Math.min(limit, PAGE_MAX) : PAGE_MAX;
  // By members_pkey and groups_pkey.
  const rows = await ask(db.$queryRaw<{ id: string; createdAt: Date }[]>`
    SELECT DISTINCT o.id, o.created_at AS "createdAt"
    FROM members m JOIN groups g ON g.id = m.group_id JOIN organizations o ON o.id = g.organization_id
    WHERE m.account_id = ${userId} AND o.id > ${after} ORDER BY o.id LIMIT ${count + 1}`);
  const page = rows.slice(0, count);
  const names = await namesById(
    ports,
    page.map(({ id }) => id),
  );
  const isOwn = asker !== undefined && (asker.caller.accountId === userId || administers(asker.caller, 'api:read'));
  if (isOwn && asker !== undefined) requireReading(asker);
  const known = await Promise.all(
    page.map(async ({ id, createdAt }): Promise<Account[]> => {
      const account = names.get(id);
      // Its account may be gone already, or not there yet.
      if (account === undefined) return [];
      const { login: organization, kind, name } = account;
      const isKnown = isOwn ? isReached(asker, id) : await isVisible(ports, db, asker, { id, login: organization });
      return isKnown ? [{ id, login: organization, kind, name, createdAtMs: BigInt(createdAt.getTime()) }] : [];
    }),
  );
  return { accounts: known.flat(), next: rows.length > count ? (page.at(-1)?.id ?? '') : '' };
}

function isReached(asker: Asker | undefined, organizationId: string): boolean {
  const token = asker === undefined ? null : tokenOf(asker.caller);
  return token === null || admitsChannel(token.restrictions, organizationId);
}

/** Whether the asker may know of the organization, by the decision that opens its channel. */
async function isVisible(
  ports: AuthzPorts,
  db: Db,
  asker: Asker | undefined,
  { id, login }: { readonly id: string; readonly login: string },
): Promise<boolean> {
  const [channel, standing] = await Promise.all([
    findChannelFacts(ports, login),
    asker === undefined ? STRANGER_STANDING : standingIn(db, asker, id),
  ]);
  if (channel === undefined) return false;
  const admission = admitReader({ caller: asker?.caller ?? ANONYMOUS, standing, channel, use: 'api' });
  return admission.kind === 'view' || admission.admitsPublic;
}
