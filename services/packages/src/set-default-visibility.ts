import type { Visibility } from '@vivarium/access/audience';
import { decide } from '@vivarium/access/decide';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import type { Actor } from './actor.js';
import { nextGeneration, raiseFloor } from './next-generation.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import type { Removal } from './remove.js';

/**
 * Says what new packages of a locked channel are unless their maker says otherwise. Those that are there stay as they are.
 * A channel whose default is not public is hidden from those who may see nothing in it, so that counts as a narrowing.
 */
export async function setDefaultVisibility(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  visibility: Visibility,
): Promise<Removal | undefined> {
  const { channel } = actor;
  requireOwner(actor);
  const before = channel.defaultVisibility;
  if (before === visibility) return undefined;
  await ask(tx, 'UPDATE channels SET default_visibility = $2 WHERE id = $1', [channel.id, visibility]);
  const generation = await nextGeneration(tx, ports.invalidations, channel.id, { packageIds: [], names: [] });
  if (before === 'public') await raiseFloor(tx, ports.blobs, channel.id, generation);
  await addAudit(
    tx,
    {
      ...actingOf(actor),
      action: 'channel.default_visibility',
      resource: `channel ${channel.login}`,
      before: { visibility: before },
      after: { visibility },
    },
    ports.clock(),
  );
  return { generation, kinds: ['conda', 'pypi'] };
}

function requireOwner({ caller, channel, standing }: Actor): void {
  const { id, login, defaultVisibility } = channel;
  const facts = { standing, channel: { id, login, ownerId: id, defaultVisibility } };
  const decision = decide(caller, facts, 'own', { kind: 'channel', use: 'api' });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}
