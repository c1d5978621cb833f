import { Inject } from '@nestjs/common';
import type { Grant } from '@vivarium/access/audience';
import { addAudit } from '@vivarium/audit/audit';
import { PORTS } from '@vivarium/boot/ports';
import {
  Collaborators as CollaboratorsContract,
  type ListCollaboratorsRequest,
  type PutCollaboratorRequest,
  type RemoveCollaboratorRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actingOf } from './acting.js';
import { type Actor, type Reader, readablePackage, readerIn } from './actor.js';
import { changeChannel } from './change-channel.js';
import { grantLike, putGrant, removeGrant } from './change-grants.js';
import { findPackage, type PackageRow } from './package-row.js';
import { findUser, namePeople, type Person } from './people.js';
import type { PackagesPorts } from './ports.js';
import type { Queryable } from './query.js';
import { Readability } from './readability.js';
import { requireRight } from './rights.js';
import { settleAccess } from './settle.js';

// More than people whom anybody can keep apart. A group has no such limit.
const LIMIT = 1_000;

/** Users with rights on one package, outside any group. Rows hold ids: a login that is made anew has none of them. */
@Serves(CollaboratorsContract)
export class Collaborators implements HandlerOf<typeof CollaboratorsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async list({ channel, package: name }: ListCollaboratorsRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, channel, 'upload');
    const row = await administered(ports.pool, reader, reader, name);
    const permissions = new Map(collaboratorsOf(row).map(({ id, permission }) => [id, permission]));
    const people = await namePeople(ports, [...permissions.keys()]);
    return { collaborators: people.map((person) => messageOf(person, permissions.get(person.id) ?? 'read')) };
  }

  async put({ channel, package: name, login, ...asked }: PutCollaboratorRequest, call: Call) {
    const { ports } = this;
    const permission = parsePermission(asked.permission);
    const reader = await readerIn(ports, call, channel, 'upload');
    const { person, change } = await changeChannel(ports, reader, async (tx, actor) => {
      const row = await administered(tx, reader, actor, name);
      const person = await findUser(ports, login);
      refuseOwner(actor, person);
      const grant: Grant = { kind: 'user', id: person.id, permission };
      const before = grantLike(row, grant);
      refuseMany(actor, row, before);
      const change = await putGrant(tx, ports, actor.channel.id, row, grant);
      if (change === undefined) return { person, change };
      const resource = `collaborator ${person.login} of ${actor.channel.login}/${row.name}`;
      const entry = { ...actingOf(actor), action: 'collaborator.put', resource };
      await addAudit(tx, { ...entry, before: permissionIn(before), after: { permission } }, ports.clock());
      return { person, change };
    });
    await this.#settle(reader, change, `${person.login} is a collaborator`);
    return { collaborator: messageOf(person, permission) };
  }

  async remove({ channel, package: name, login }: RemoveCollaboratorRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, channel, 'upload');
    const change = await changeChannel(ports, reader, async (tx, actor) => {
      const row = await administered(tx, reader, actor, name);
      // One whose account is gone has no login any more, and no rights either.
      const person = await findUser(ports, login);
      const before = grantLike(row, { kind: 'user', id: person.id });
      const change = await removeGrant(tx, ports, actor.channel.id, row, { kind: 'user', id: person.id });
      const target = `${actor.channel.login}/${row.name}`;
      if (change === undefined) throw new Fault('not_found', `${person.login} is no collaborator of ${target}.`);
      const resource = `collaborator ${person.login} of ${target}`;
      const entry = { ...actingOf(actor), action: 'collaborator.remove', resource };
      await addAudit(tx, { ...entry, before: permissionIn(before) }, ports.clock());
      return change;
    });
    await this.#settle(reader, change, `${login} is no collaborator any more`);
    return {};
  }

  async #settle(reader: Reader, change: Awaited<ReturnType<typeof putGrant>>, done: string): Promise<void> {
    await settleAccess(this.ports, this.readability, reader.channel.id, change, done);
  }
}

async function administered(db: Queryable, reader: Reader, actor: Actor, name: string): Promise<PackageRow> {
  const row = readablePackage(reader, await findPackage(db, actor.channel.id, name), name);
  requireRight(actor, row, 'admin', { use: 'api' });
  return row;
}

function collaboratorsOf(row: PackageRow): readonly Grant[] {
  return row.grants.filter(({ kind }) => kind === 'user');
}

function parsePermission(text: string): 'read' | 'write' {
  if (text === '' || text === 'write') return 'write';
  if (text === 'read') return 'read';
  throw new Fault(
    'invalid',
    `"${text.slice(0, 40)}" is no permission of a collaborator: use read or write. Administrators are members of a group with admin.`,
  );
}

function refuseOwner({ channel }: Actor, { id, login }: Person): void {
  if (id !== channel.id) return;
  throw new Fault('invalid', `${login} owns the channel ${channel.login}, and needs no grant there.`);
}

function refuseMany({ channel }: Actor, row: PackageRow, before: Grant | undefined): void {
  if (before !== undefined || collaboratorsOf(row).length < LIMIT) return;
  throw new Fault(
    'conflict',
    `${channel.login}/${row.name} has ${LIMIT} collaborators, which is the limit: put them into a group of an organization.`,
  );
}

function permissionIn(grant: Grant | undefined) {
  return grant === undefined ? undefined : { permission: grant.permission };
}

function messageOf({ id, login, name }: Person, permission: string) {
  return { accountId: id, login, name, permission };
}
