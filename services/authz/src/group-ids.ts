import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type FindGroupIdRequest,
  GroupIds as GroupIdsContract,
} from '@vivarium/contracts/gen/vivarium/authz/v1/group_ids_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ask, DB, type Db } from './db.js';
import type { AuthzPorts } from './ports.js';

/** What the name of a group stands for, for services that keep ids. */
@Serves(GroupIdsContract)
export class GroupIds implements HandlerOf<typeof GroupIdsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async find({ organizationId, name }: FindGroupIdRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    // By groups_organization_id_name_key.
    const group = await ask(this.db.group.findFirst({ where: { organizationId, name } }));
    if (group === null) throw new Fault('not_found', `There is no group "${name.slice(0, 70)}".`);
    const { id, permission, allPackages } = group;
    return { id, name: group.name, permission, allPackages };
  }
}
