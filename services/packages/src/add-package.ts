import { randomUUID } from 'node:crypto';
import { audienceOf, type Visibility } from '@vivarium/access/audience';
import type { PackageRow } from './package-row.js';
import { ask, type Tx } from './query.js';

/** Adds a package to a locked channel. Its audience is there from the first moment: nothing is public by being unfinished. */
export async function addPackage(
  tx: Tx,
  channelId: string,
  init: Pick<PackageRow, 'name' | 'summary' | 'attributes'> & { readonly visibility: Visibility },
): Promise<PackageRow> {
  const { name, visibility, summary, attributes } = init;
  const id = randomUUID();
  const audience = audienceOf({ visibility, grants: [] });
  const [row] = await ask<{ createdAt: Date }>(
    tx,
    `INSERT INTO packages (id, channel_id, name, visibility, audience_id, audience, summary, attributes)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING created_at AS "createdAt"`,
    [id, channelId, name, visibility, audience.id, JSON.stringify(audience), summary, JSON.stringify(attributes)],
  );
  const createdAt = row?.createdAt ?? new Date(0);
  return { ...init, id, pypiName: null, audience, grants: [], createdAt, modifiedAt: createdAt };
}
