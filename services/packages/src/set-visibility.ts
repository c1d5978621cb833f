import type { Visibility } from '@vivarium/access/audience';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import { type Actor, type Reader, readablePackage } from './actor.js';
import { changeAccess } from './change-access.js';
import { findPackages, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';
import type { Removal } from './remove.js';
import { requireRight } from './rights.js';

// As many as one transaction does while others wait for the channel, and a person can mean.
const LIMIT = 1_000;
const NAMED_IN_AUDIT = 100;

/**
 * Gives packages of a locked channel one visibility, all of them in one generation or none. Gives the names of those that
 * had another before, sorted. Throws at the first package that is not there for the reader, or that the actor does not
 * administer, in a sentence that names it.
 */
export async function setVisibility(
  tx: Tx,
  ports: PackagesPorts,
  reader: Reader,
  actor: Actor,
  asked: { readonly names: readonly string[]; readonly visibility: Visibility },
): Promise<{ readonly changed: readonly string[]; readonly change: Removal | undefined }> {
  const { visibility } = asked;
  const { channel } = actor;
  const find = await findPackages(tx, channel.id, namesIn(asked.names));
  const rows = new Map<string, PackageRow>();
  for (const name of asked.names) {
    const row = readablePackage(reader, find(name), name);
    requireRight(actor, row, 'admin', { use: 'api' });
    if (row.visibility !== visibility) rows.set(row.name, row);
  }
  const others = [...rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  if (others.length === 0) return { changed: [], change: undefined };
  const changes = others.map((row) => ({ row, visibility, grants: row.grants }));
  const change = await changeAccess(tx, ports, channel.id, changes);
  const changed = others.map(({ name }) => name);
  const named = others.slice(0, NAMED_IN_AUDIT);
  await addAudit(
    tx,
    {
      ...actingOf(actor),
      action: 'package.visibility',
      resource: changed.map((name) => `${channel.login}/${name}`).join(', '),
      before: Object.fromEntries(named.map((row) => [row.name, row.visibility])),
      after: { visibility, packages: changed.length },
    },
    ports.clock(),
  );
  return { changed, change };
}

function namesIn(names: readonly string[]): readonly string[] {
  if (names.length > 0 && names.length <= LIMIT) return names;
  throw new Fault('invalid', `Name 1 to ${LIMIT} packages; these are ${names.length}.`);
}
