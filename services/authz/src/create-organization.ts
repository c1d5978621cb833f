import { randomUUID } from 'node:crypto';
import { decide } from '@vivarium/access/decide';
import type { Account } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { OrganizationAccounts } from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { addOrganization, dropOrganization } from './add-organization.js';
import type { Asker } from './asker.js';
import { ask, type Db } from './db.js';
import type { AuthzPorts } from './ports.js';
import { OWNERS } from './view-of.js';

/**
 * Makes an organization that the asker owns: first what authz knows of it, under a new id, then its account. So no account
 * is ever there without owners. What a crash in between leaves behind belongs to an id that nobody has: it is in no list,
 * opens nothing, and is never given to another. Throws Fault('forbidden'), Fault('conflict') for one too many, and what
 * identity throws for login and address.
 */
export async function createOrganization(
  ports: AuthzPorts,
  db: Db,
  asker: Asker,
  organization: { readonly login: string; readonly name: string; readonly email: string },
): Promise<Account> {
  const id = randomUUID();
  requireCreation(ports, asker, id, organization.login);
  await requireFew(db, asker);
  await addOrganization({ db, clock: ports.clock }, { accountId: id, ownerId: asker.caller.accountId });
  try {
    const assertion = await ports.trust.assertionFor('identity');
    const accounts = clientOf(OrganizationAccounts, ports.bus, { assertion, timeoutMs: IDENTITY_MS });
    const { account } = await accounts.create({ ...organization, id, actor: asker.message });
    if (account !== undefined) return account;
  } catch (error) {
    // Only a refusal says for certain that there is no account; one that is just late may still be made.
    if (isFault(error) && REFUSALS.has(error.code)) await dropOrganization({ db }, id);
    throw error;
  }
  throw new Fault('internal', 'Something went wrong on our side.', {
    cause: new Error('an answer without an account'),
  });
}

// Logins are never given back, so nobody may take very many.
const OWNED_MAX = 500;

async function requireFew(db: Db, { caller }: Asker): Promise<void> {
  // By members_pkey and groups_pkey.
  const owned = await ask(db.member.count({ where: { accountId: caller.accountId, group: { name: OWNERS } } }));
  if (owned < OWNED_MAX) return;
  throw new Fault(
    'conflict',
    `${caller.login} owns ${OWNED_MAX} organizations, which is the most; leave or delete one first.`,
  );
}

// It waits until no gateway believes any more that there is no such login.
const IDENTITY_MS = 12_000;
const REFUSALS: ReadonlySet<string> = new Set(['invalid', 'conflict', 'forbidden']);

/** As the owner that the asker will be, since nobody is anything in an organization that is not there. */
function requireCreation({ organizations }: AuthzPorts, asker: Asker, id: string, login: string): void {
  const { caller } = asker;
  if (organizations === 'superusers' && !caller.superuser) {
    throw new Fault('forbidden', 'Organizations are made by the superusers of this server; ask one of them.');
  }
  if (caller.accountKind !== 'user') {
    throw new Fault('forbidden', `${caller.login} is an organization, and only users make organizations.`);
  }
  const channel = { id, login: login.slice(0, 70), ownerId: id, defaultVisibility: 'private' } as const;
  const standing = { owner: true, member: false, groups: [] };
  const decision = decide(caller, { standing, channel }, 'own', { kind: 'organization', use: 'api' });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}
