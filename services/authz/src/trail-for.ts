import { administers } from '@vivarium/access/administer';
import { accountByLogin } from './accounts-by.js';
import type { Asker } from './asker.js';
import type { Db } from './db.js';
import { requireRight, seenOrganization } from './organization-rights.js';
import type { AuthzPorts } from './ports.js';

/** Which events somebody may read. */
export interface Whose {
  readonly everything: boolean;
  readonly ownerId: string;
}

/**
 * The part of the audit trail that the asker means, if it may read that. Throws Fault('not_found') for an account that the
 * asker is nothing in, Fault('forbidden') for a member that owns nothing and for a token that does not reach so far.
 */
export async function trailFor(
  ports: Pick<AuthzPorts, 'bus' | 'trust'>,
  db: Db,
  asker: Asker,
  owner: string,
): Promise<Whose> {
  const { caller } = asker;
  const login = owner.trim().toLowerCase();
  if (administers(caller, 'api:read')) {
    if (login === '') return { everything: true, ownerId: '' };
    const account = await accountByLogin(ports, login);
    if (account !== undefined) return { everything: false, ownerId: account.id };
  }
  if (login === '' || login === caller.login) {
    const organization = { id: caller.accountId, login: caller.login };
    const standing = { owner: true, member: false, groups: [] };
    requireRight(asker, { organization, standing }, 'read', 'audit');
    return { everything: false, ownerId: caller.accountId };
  }
  const seen = await seenOrganization(ports, db, asker, login);
  requireRight(asker, seen, 'read', 'audit');
  return { everything: false, ownerId: seen.organization.id };
}
