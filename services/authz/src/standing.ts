import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Db, Tx } from './db.js';

/** What a change of standing needs. */
export interface StandingPorts {
  readonly db: Db;
  readonly invalidations: Pick<Invalidations, 'add' | 'barrier'>;
  readonly clock: () => number;
}

/** The tag under which gateways keep what anybody is in this channel. */
export function standingTag(channelId: string): string {
  return `standing:${channelId}`;
}

/**
 * Changes an organization's groups or members: in one transaction and under the organization's row, the change, the next
 * version, and the news of it. Gives what `change` gives, when no gateway remembers the former standing.
 * Throws Fault('not_found') without such an organization, and what `change` throws, with nothing changed.
 */
export async function changeStanding<T>(
  { db, invalidations }: StandingPorts,
  organizationId: string,
  change: (tx: Tx) => Promise<T>,
): Promise<T> {
  const result = await retryConflicts(() =>
    db.$transaction(async (tx) => {
      // First of all: whoever changes this organization next waits here and sees our change.
      const [row] = await tx.$queryRaw<{ version: bigint }[]>`
        UPDATE organizations SET version = version + 1 WHERE id = ${organizationId} RETURNING version`;
      if (row === undefined) throw new Fault('not_found', `There is no organization with the id ${organizationId}.`);
      const changed = await change(tx);
      await invalidations.add(tx, [{ tag: standingTag(organizationId), version: Number(row.version) }]);
      return changed;
    }),
  );
  await untilForgotten(invalidations, 'The change is made');
  return result;
}
