import { type Grant, principalOf } from '@vivarium/access/audience';
import { changeAccess } from './change-access.js';
import type { PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import type { Removal } from './remove.js';

/** Sets a grant of a package in a locked channel. Gives the change to wait for; undefined if it was there already. */
export async function putGrant(
  tx: Tx,
  ports: PackagesPorts,
  channelId: string,
  row: PackageRow,
  grant: Grant,
): Promise<Removal | undefined> {
  const others = row.grants.filter((each) => principalOf(each) !== principalOf(grant));
  const before = grantLike(row, grant);
  if (before?.permission === grant.permission) return undefined;
  // By grants_pkey.
  await ask(
    tx,
    `INSERT INTO grants (package_id, kind, principal_id, permission) VALUES ($1, $2, $3, $4)
     ON CONFLICT (package_id, kind, principal_id) DO UPDATE SET permission = excluded.permission`,
    [row.id, grant.kind, grant.id, grant.permission],
  );
  return changeAccess(tx, ports, channelId, [{ row, visibility: row.visibility, grants: [...others, grant] }]);
}

/** Takes a grant of a package in a locked channel away. Gives undefined if there was none. */
export async function removeGrant(
  tx: Tx,
  ports: PackagesPorts,
  channelId: string,
  row: PackageRow,
  grant: Pick<Grant, 'kind' | 'id'>,
): Promise<Removal | undefined> {
  if (grantLike(row, grant) === undefined) return undefined;
  await ask(tx, 'DELETE FROM grants WHERE package_id = $1 AND kind = $2 AND principal_id = $3', [
    row.id,
    grant.kind,
    grant.id,
  ]);
  const grants = row.grants.filter((each) => principalOf(each) !== principalOf(grant));
  return changeAccess(tx, ports, channelId, [{ row, visibility: row.visibility, grants }]);
}

/** The grant of the same group or user, as it is. */
export function grantLike(row: PackageRow, grant: Pick<Grant, 'kind' | 'id'>): Grant | undefined {
  return row.grants.find((each) => principalOf(each) === principalOf(grant));
}
