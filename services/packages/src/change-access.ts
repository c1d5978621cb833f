import { type Audience, audienceOf, type Grant, type Visibility } from '@vivarium/access/audience';
import { nextGeneration, raiseFloor } from './next-generation.js';
import type { PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { indexNamesOf, type Removal } from './remove.js';

/** A package and who shall have rights on it. Its rows in `grants` are the giver's to write, in the same transaction. */
export interface AccessChange {
  readonly row: PackageRow;
  readonly visibility: Visibility;
  readonly grants: readonly Grant[];
}

const KINDS = ['conda', 'pypi'] as const;

/**
 * Gives packages of a locked channel another visibility or other grants: their audiences and one generation for all of
 * them. A narrowing raises the floor. Indexes hear only of those whose readers change.
 */
export async function changeAccess(
  tx: Tx,
  ports: Pick<PackagesPorts, 'invalidations' | 'blobs'>,
  channelId: string,
  changes: readonly AccessChange[],
): Promise<Removal> {
  const next = changes.map(({ row, visibility, grants }) => ({
    row,
    visibility,
    audience: audienceOf({ visibility, grants }),
  }));
  await ask(
    tx,
    `UPDATE packages p SET visibility = n.visibility, audience_id = n.audience->>'id', audience = n.audience
     FROM jsonb_to_recordset($1::jsonb) AS n (id text, visibility text, audience jsonb) WHERE p.id = n.id`,
    [JSON.stringify(next.map(({ row, visibility, audience }) => ({ id: row.id, visibility, audience })))],
  );
  const moved = next.filter(({ row, audience }) => row.audience.id !== audience.id);
  const generation = await nextGeneration(tx, ports.invalidations, channelId, {
    packageIds: next.map(({ row }) => row.id),
    names: moved.flatMap(({ row }) => indexNamesOf(row, KINDS)),
  });
  if (moved.some(({ row, audience }) => isNarrowing(row.audience, audience))) {
    await raiseFloor(tx, ports.blobs, channelId, generation);
  }
  return { generation, kinds: moved.length === 0 ? [] : KINDS };
}

/** True if somebody could read before who cannot read now. */
export function isNarrowing(before: Audience, after: Audience): boolean {
  if (after.visibility === 'public') return false;
  if (before.visibility === 'public') return true;
  // A grant may name an organization's own account, which is signed in wherever it counts at all.
  if (after.visibility === 'authenticated') return false;
  if (before.visibility === 'authenticated') return true;
  return before.principals.some((principal) => !after.principals.includes(principal));
}
