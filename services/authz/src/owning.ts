import type { Call } from '@vivarium/rpc/rpc';
import { type Asker, askerToday } from './asker.js';
import type { Db, Tx } from './db.js';
import { type Organization, requireRight, seenOrganization, standingIn } from './organization-rights.js';
import type { AuthzPorts } from './ports.js';
import { changeStanding } from './standing.js';

/** An owner who is about to change an organization. */
export interface Owning {
  readonly asker: Asker;
  readonly organization: Organization;
}

/**
 * Who calls, if it owns the organization now and may change its groups or itself. Throws Fault('not_found') for those who
 * are nothing there, Fault('forbidden') for members and for tokens that do not reach so far.
 */
export async function owningOf(
  ports: AuthzPorts,
  db: Db,
  call: Call,
  login: string,
  kind: 'groups' | 'organization',
): Promise<Owning> {
  const asker = await askerToday(ports, call);
  const seen = await seenOrganization(ports, db, asker, login);
  requireRight(asker, seen, 'own', kind);
  return { asker, organization: seen.organization };
}

/** Changes the groups of an organization, of which the asker is still an owner under its lock. Throws as `owningOf`. */
export function changeOwned<T>(
  ports: AuthzPorts,
  db: Db,
  { asker, organization }: Owning,
  change: (tx: Tx) => Promise<T>,
): Promise<T> {
  const { invalidations, clock } = ports;
  return changeStanding({ db, invalidations, clock }, organization.id, async (tx) => {
    const standing = await standingIn(tx, asker, organization.id);
    requireRight(asker, { organization, standing }, 'own', 'groups');
    return change(tx);
  });
}
