import { isVisibility, type Visibility } from '@vivarium/access/audience';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import { type Actor, missingPackage } from './actor.js';
import { changeAccess } from './change-access.js';
import { parseAttributes } from './names.js';
import { findPackage, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import type { Removal } from './remove.js';
import { requireRight } from './rights.js';

export interface PackageUpdate {
  readonly name: string;
  /** Empty: unchanged. */
  readonly attributesJson: string;
  /** Empty: unchanged. */
  readonly visibility: string;
}

/**
 * Changes what publishers say of a package, and who may read it: in one transaction, the audience with its rows and the
 * generation. Gives the generation to wait for if the audience changed. A narrowing raises the floor.
 */
export async function updatePackage(
  tx: Tx,
  ports: PackagesPorts,
  actor: Actor,
  update: PackageUpdate,
): Promise<Removal | undefined> {
  const { channel } = actor;
  const row = await findPackage(tx, channel.id, update.name);
  if (row === undefined) throw missingPackage(channel.login, update.name);
  requireRight(actor, row, 'write', { use: 'upload' });
  if (update.visibility !== '') requireRight(actor, row, 'admin', { use: 'api' });
  const visibility = update.visibility === '' ? row.visibility : parseVisibility(update.visibility);
  const said =
    update.attributesJson === '' ? undefined : parseAttributes(update.attributesJson, 'What is said of the package');
  if (said !== undefined) await updateAttributes(tx, row, said);
  const isOther = visibility !== row.visibility;
  const change = isOther
    ? await changeAccess(tx, ports, channel.id, [{ row, visibility, grants: row.grants }])
    : undefined;
  if (said !== undefined || isOther) {
    const attributes = said === undefined ? {} : { attributes: Object.keys(said).sort() };
    await addAudit(
      tx,
      {
        ...actingOf(actor),
        action: isOther ? 'package.visibility' : 'package.update',
        resource: `${channel.login}/${row.name}`,
        before: isOther ? { visibility: row.visibility } : undefined,
        after: { ...(isOther ? { visibility } : {}), ...attributes },
      },
      ports.clock(),
    );
  }
  return change;
}

/** Throws Fault('invalid') unless the text is one of the three. */
export function parseVisibility(text: string): Visibility {
  if (isVisibility(text)) return text;
  throw new Fault(
    'invalid',
    `"${text.slice(0, 40)}" is not a visibility: a package is public, authenticated or private.`,
  );
}

async function updateAttributes(tx: Tx, row: PackageRow, said: Readonly<Record<string, unknown>>): Promise<void> {
  const attributes = { ...row.attributes, ...said };
  const summary = typeof attributes.summary === 'string' ? attributes.summary.slice(0, 1_000) : row.summary;
  await ask(tx, 'UPDATE packages SET attributes = $2, summary = $3, modified_at = clock_timestamp() WHERE id = $1', [
    row.id,
    JSON.stringify(attributes),
    summary,
  ]);
}
