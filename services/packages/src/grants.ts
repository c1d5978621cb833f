import { Inject } from '@nestjs/common';
import { addAudit } from '@vivarium/audit/audit';
import { PORTS } from '@vivarium/boot/ports';
import {
  Grants as GrantsContract,
  type ListOfGroupRequest,
  type PutGrantRequest,
  type RemoveGrantRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actingOf } from './acting.js';
import { type Actor, actorIn, admitted, missingPackage, readerIn } from './actor.js';
import { changeChannel } from './change-channel.js';
import { putGrant, removeGrant } from './change-grants.js';
import { findGroup, type Group, ownsGroups, requireGroups } from './group.js';
import { listGroupPackages } from './group-packages.js';
import { packageMessages } from './messages.js';
import { findPackage, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import type { Tx } from './query.js';
import { Readability } from './readability.js';
import type { Removal } from './remove.js';
import { settleAccess } from './settle.js';

/** The packages that the groups of an organization cover, group by group. */
@Serves(GrantsContract)
export class Grants implements HandlerOf<typeof GrantsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async listOfGroup({ channel, group: name, after, limit }: ListOfGroupRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, channel, 'api');
    requireGroups(reader, 'read');
    const group = await findGroup(ports, reader, name);
    const { rows, more } = await listGroupPackages(ports.pool, reader, group, { after, limit });
    return { packages: [...(await packageMessages(ports.pool, reader.channel.login, rows))], more };
  }

  async put(request: PutGrantRequest, call: Call) {
    const { ports } = this;
    await this.#change(
      request,
      call,
      `The group ${request.group} covers the package`,
      async (tx, actor, group, row) => {
        // It does already, and whoever is in it is part of every audience.
        if (group.all) return undefined;
        const grant = { kind: 'group', id: group.id, permission: group.permission } as const;
        const change = await putGrant(tx, ports, actor.channel.id, row, grant);
        if (change === undefined) return undefined;
        await addAudit(
          tx,
          {
            ...actingOf(actor),
            action: 'group.add_package',
            resource: `group ${actor.channel.login}/${group.name}`,
            after: { package: row.name, permission: group.permission },
          },
          ports.clock(),
        );
        return change;
      },
    );
    return {};
  }

  async remove(request: RemoveGrantRequest, call: Call) {
    const { ports } = this;
    await this.#change(request, call, 'The package is out of the group', async (tx, actor, group, row) => {
      const name = `${actor.channel.login}/${group.name}`;
      if (group.all) {
        throw new Fault('conflict', `The group ${name} covers all packages: no single one can be taken out of it.`);
      }
      const change = await removeGrant(tx, ports, actor.channel.id, row, { kind: 'group', id: group.id });
      if (change === undefined) throw new Fault('not_found', `The group ${name} does not cover ${row.name}.`);
      await addAudit(
        tx,
        {
          ...actingOf(actor),
          action: 'group.remove_package',
          resource: `group ${name}`,
          before: { package: row.name, permission: group.permission },
        },
        ports.clock(),
      );
      return change;
    });
    return {};
  }

  async #change(
    asked: { readonly channel: string; readonly group: string; readonly package: string },
    call: Call,
    done: string,
    change: (tx: Tx, actor: Actor, group: Group, row: PackageRow) => Promise<Removal | undefined>,
  ): Promise<void> {
    const { ports } = this;
    const asker = await actorIn(ports, call, asked.channel);
    // Owners may know of everything here, even by a token that may do nothing but this. Others are told what they may know.
    if (!ownsGroups(asker)) admitted(asker, 'upload');
    const changed = await changeChannel(ports, asker, async (tx, actor) => {
      requireGroups(actor, 'own');
      const group = await findGroup(ports, actor, asked.group);
      const row = await findPackage(tx, actor.channel.id, asked.package);
      if (row === undefined) throw missingPackage(actor.channel.login, asked.package);
      return change(tx, actor, group, row);
    });
    await settleAccess(ports, this.readability, asker.channel.id, changed, done);
  }
}
