import { decide } from '@vivarium/access/decide';
import type { Standing } from '@vivarium/access/standing';
import { Fault } from '@vivarium/fault/fault';
import { accountByLogin } from './accounts-by.js';
import type { Asker } from './asker.js';
import type { Db, Tx } from './db.js';
import type { AuthzPorts } from './ports.js';
import { viewOf } from './view-of.js';

export interface Organization {
  readonly id: string;
  readonly login: string;
}

/** An organization that the asker is something in, and what. */
export interface Seen {
  readonly organization: Organization;
  readonly standing: Standing;
}

/**
 * The organization of this login, if the asker is one of its owners or members. For anybody else the answer is the one for
 * an organization that does not exist, and as much is asked for it: Fault('not_found').
 */
export async function seenOrganization(
  ports: Pick<AuthzPorts, 'bus' | 'trust'>,
  db: Db,
  asker: Asker,
  text: string,
): Promise<Seen> {
  const account = await accountByLogin(ports, text);
  const standing = await standingIn(db, asker, account?.id ?? 'no organization');
  const isSomething = standing.owner || standing.member;
  if (account?.kind === 'organization' && isSomething) return { organization: account, standing };
  throw new Fault(
    'not_found',
    `There is no organization "${text.slice(0, 70)}" that ${asker.caller.login} is a member of.`,
  );
}

/** What the asker is in a channel now. In a transaction that holds the organization's lock it stays so. */
export async function standingIn(db: Db | Tx, { caller }: Asker, channelId: string): Promise<Standing> {
  const { accountId, accountKind } = caller;
  const { owner, member, groups } = await viewOf(db, { accountId, accountKind, channelId });
  return { owner, member, groups };
}

/** Throws Fault('forbidden') with its reason unless the asker may do this to the groups, the organization, or its trail. */
export function requireRight(
  asker: Asker,
  { organization, standing }: Seen,
  verb: 'read' | 'own',
  kind: 'groups' | 'organization' | 'audit',
): void {
  const { id, login } = organization;
  const channel = { id, login, ownerId: id, defaultVisibility: 'private' } as const;
  const decision = decide(asker.caller, { standing, channel }, verb, { kind, use: 'api' });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}
