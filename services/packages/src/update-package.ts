import { type Audience, audienceOf, isVisibility, type Visibility } from '@vivarium/access/audience';
import { Fault } from '@vivarium/fault/fault';
import { type Actor, missingPackage } from './actor.js';
import { parseAttributes } from './names.js';
import { nextGeneration, raiseFloor } from './next-generation.js';
import { findPackage, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { indexNamesOf, type Removal } from './remove.js';
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
  if (update.attributesJson !== '') await updateAttributes(tx, row, update.attributesJson);
  if (update.visibility === '') return undefined;
  requireRight(actor, row, 'admin', { use: 'api' });
  const visibility = parseVisibility(update.visibility);
  return visibility === row.visibility ? undefined : changeVisibility(tx, ports, actor, row, visibility);
}

/** Throws Fault('invalid') unless the text is one of the three. */
export function parseVisibility(text: string): Visibility {
  if (isVisibility(text)) return text;
  throw new Fault(
    'invalid',
    `"${text.slice(0, 40)}" is not a visibility: a package is public, authenticated or private.`,
  );
}

async function changeVisibility(
  tx: Tx,
  ports: PackagesPorts,
  { channel }: Actor,
  row: PackageRow,
  visibility: Visibility,
): Promise<Removal> {
  const audience = audienceOf({ visibility, grants: row.grants });
  await ask(tx, 'UPDATE packages SET visibility = $2, audience_id = $3, audience = $4 WHERE id = $1', [
    row.id,
    visibility,
    audience.id,
    JSON.stringify(audience),
  ]);
  const kinds = ['conda', 'pypi'];
  const generation = await nextGeneration(tx, ports.invalidations, channel.id, {
    packageIds: [row.id],
    names: indexNamesOf(row, kinds),
  });
  if (isNarrowing(row.audience, audience)) await raiseFloor(tx, ports.blobs, channel.id, generation);
  return { generation, kinds };
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

async function updateAttributes(tx: Tx, row: PackageRow, json: string): Promise<void> {
  const attributes = { ...row.attributes, ...parseAttributes(json, 'What is said of the package') };
  const summary = typeof attributes.summary === 'string' ? attributes.summary.slice(0, 1_000) : row.summary;
  await ask(tx, 'UPDATE packages SET attributes = $2, summary = $3, modified_at = clock_timestamp() WHERE id = $1', [
    row.id,
    JSON.stringify(attributes),
    summary,
  ]);
}
