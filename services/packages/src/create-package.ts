import { addAudit } from '@vivarium/audit/audit';
import type { CreatePackageRequest } from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { isFault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import type { Actor } from './actor.js';
import { addPackage } from './add-package.js';
import { parseAttributes, parsePackageName } from './names.js';
import { nextGeneration } from './next-generation.js';
import { findPackage, type PackageRow, readPackageById } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';
import { requireCreate, requireRight } from './rights.js';
import { parseVisibility } from './update-package.js';

/**
 * Makes a package, or gives the one that is there if the actor may write it: a client that lost the answer asks again. The
 * visibility counts for a new package only.
 */
export async function createPackage(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  request: CreatePackageRequest,
): Promise<{ readonly row: PackageRow; readonly created: boolean }> {
  const { channel } = actor;
  const name = parsePackageName(request.name);
  const visibility = request.visibility === '' ? channel.defaultVisibility : parseVisibility(request.visibility);
  const attributes = parseAttributes(request.attributesJson, 'What is said of the package');
  const known = await findPackage(tx, channel.id, request.name);
  if (known !== undefined) {
    requireWritable(actor, known, name);
    return { row: known, created: false };
  }
  requireCreate(actor, name, 'upload');
  const summary = typeof attributes.summary === 'string' ? attributes.summary.slice(0, 1_000) : '';
  const row = await addPackage(tx, channel.id, { name, visibility, summary, attributes });
  await nextGeneration(tx, ports.invalidations, channel.id, { packageIds: [row.id], names: [] });
  const entry = {
    ...actingOf(actor),
    action: 'package.create',
    resource: `${channel.login}/${name}`,
    after: { visibility },
  };
  await addAudit(tx, entry, ports.clock());
  return { row: (await readPackageById(tx, row.id)) ?? row, created: true };
}

function requireWritable(actor: Actor, row: PackageRow, name: string): void {
  try {
    requireRight(actor, row, 'write', { use: 'upload' });
  } catch (error) {
    // A hidden package answers as a missing one would.
    if (isFault(error) && error.code === 'not_found') requireCreate(actor, name, 'upload');
    throw error;
  }
}
