import { type Audience, audienceOf, type Grant, type Visibility } from '@vivarium/access/audience';
import { floorKey } from '@vivarium/blobs/keys';
import { inTransaction } from '@vivarium/db/open';
import { Fault, isFault } from '@vivarium/fault/fault';
import type { Checked, CheckOptions, CheckPorts, Difference } from './fsck-options.js';
import { type Change, lockChannel, nextGeneration } from './next-generation.js';
import { ask, type Queryable } from './query.js';

const PAGE = 2_000;
const FLOOR_LIMIT_BYTES = 1_000;

/** What a channel says of itself: its floor in the blob store, who may read its packages, and which names indexes are told. */
export async function checkChannel(
  ports: CheckPorts,
  { channelId, repair }: Pick<CheckOptions, 'channelId' | 'repair'>,
): Promise<Omit<Checked, 'next'>> {
  const floor = await checkFloor(ports, channelId, repair);
  const audiences = await checkAudiences(ports, channelId);
  const names = await checkNames(ports, channelId, repair);
  return { differences: [...floor, ...audiences.differences, ...names], lookedAt: { packages: audiences.count } };
}

/** A floor there that is lower than the truth would let a gateway that is cut off show what was hidden. */
async function checkFloor(ports: CheckPorts, channelId: string, repair: boolean): Promise<readonly Difference[]> {
  // Row before object: a narrowing raises the object first.
  const before = await lowFloor(ports, ports.pool, channelId);
  if (before === undefined) return [];
  const what = `the floor ${before.stored} in the blob store is below the channel's, ${before.floor}`;
  const remedy = 'vivarium fsck --repair writes it again';
  if (!repair) return [{ what, remedy }];
  await inTransaction(ports.pool, async (tx) => {
    await lockChannel(tx, channelId);
    const now = await lowFloor(ports, tx, channelId);
    if (now === undefined) return;
    await ports.blobs.put(floorKey(channelId), Buffer.from(JSON.stringify({ floor: now.floor })));
  });
  return [{ what, remedy, repaired: true }];
}

async function lowFloor({ blobs }: CheckPorts, db: Queryable, channelId: string) {
  const [row] = await ask<{ floor: string }>(db, 'SELECT floor FROM channels WHERE id = $1', [channelId]);
  if (row === undefined) throw new Fault('not_found', `channel "${channelId.slice(0, 70)}" does not exist`);
  const floor = Number(row.floor);
  const stored = await storedFloor(blobs, channelId);
  return floor > stored ? { floor, stored } : undefined;
}

async function storedFloor(blobs: CheckPorts['blobs'], channelId: string): Promise<number> {
  try {
    const bytes = await (await blobs.get(floorKey(channelId))).bytes(FLOOR_LIMIT_BYTES);
    const value = JSON.parse(bytes.toString('utf8')) as { readonly floor?: unknown } | null;
    return typeof value?.floor === 'number' ? value.floor : 0;
  } catch (error) {
    if (error instanceof SyntaxError || (isFault(error) && error.code === 'not_found')) return 0;
    throw error;
  }
}

interface PackageFacts {
  readonly id: string;
  readonly name: string;
  readonly visibility: Visibility;
  readonly audience: Audience;
  readonly audienceId: string;
  readonly grants: readonly Grant[];
}

async function checkAudiences({ pool }: CheckPorts, channelId: string) {
  const differences: Difference[] = [];
  let count = 0;
  for (let after = ''; ; ) {
    // One statement, so that package and grants are of one moment. By packages_name.
    const rows = await ask<PackageFacts>(
      pool,
      `SELECT p.id, p.name, p.visibility, p.audience, p.audience_id AS "audienceId",
         coalesce((SELECT jsonb_agg(jsonb_build_object('kind', g.kind, 'id', g.principal_id, 'permission', g.permission))
                   FROM grants g WHERE g.package_id = p.id), '[]') AS grants
       FROM packages p WHERE p.channel_id = $1 AND p.removed_at IS NULL AND p.name > $2 ORDER BY p.name LIMIT ${PAGE}`,
      [channelId, after],
    );
    for (const { name, visibility, grants, audience, audienceId } of rows) {
      const { id } = audienceOf({ visibility, grants });
      if (id === audienceId && id === audience.id) continue;
      differences.push({
        what: `the package ${name} is ${visibility} with ${grants.length} grants, which is the audience ${id}, and is shown to ${audience.id}`,
        remedy: 'give it another visibility, then the one that it should have',
      });
    }
    count += rows.length;
    if (rows.length < PAGE) return { differences, count };
    after = rows.at(-1)?.name ?? after;
  }
}

/** A name with files that indexers are never told of would be lost when an index is made anew. */
async function checkNames(ports: CheckPorts, channelId: string, repair: boolean): Promise<readonly Difference[]> {
  const untold = await untoldNames(ports.pool, channelId);
  if (untold.length === 0) return [];
  const differences = untold.map(({ kind, name }) => ({
    what: `the ${kind} package ${name} has files, and indexes are not told of it`,
    remedy: 'vivarium fsck --repair tells them',
    repaired: repair,
  }));
  if (!repair) return differences;
  await inTransaction(ports.pool, async (tx) => {
    await lockChannel(tx, channelId);
    const names = await untoldNames(tx, channelId);
    if (names.length > 0) await nextGeneration(tx, ports.invalidations, channelId, { packageIds: [], names });
  });
  ports.invalidations.wake();
  return differences;
}

function untoldNames(db: Queryable, channelId: string): Promise<Change['names']> {
  return ask<Change['names'][number]>(
    db,
    `SELECT DISTINCT f.kind, CASE f.kind WHEN 'conda' THEN p.name ELSE p.pypi_name END AS name
     FROM packages p JOIN files f ON f.package_id = p.id
     WHERE p.channel_id = $1 AND p.removed_at IS NULL AND f.removed_at IS NULL AND f.kind IN ('conda', 'pypi')
       AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.channel_id = p.channel_id AND c.kind = f.kind
                       AND c.name = CASE f.kind WHEN 'conda' THEN p.name ELSE p.pypi_name END)
     ORDER BY 1, 2 LIMIT 1000`,
    [channelId],
  );
}
