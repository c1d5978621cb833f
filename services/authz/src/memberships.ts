import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  Memberships as MembershipsContract,
  type MembershipsRequest,
} from '@vivarium/contracts/gen/vivarium/authz/v1/memberships_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { ask, DB, type Db } from './db.js';
import type { AuthzPorts } from './ports.js';

interface Row {
  readonly channelId: string;
  readonly groupId: string;
  readonly groupName: string;
  readonly permission: string;
  readonly all: boolean;
}

/** What an account is anywhere, in one question. */
@Serves(MembershipsContract)
export class Memberships implements HandlerOf<typeof MembershipsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async of({ accountId }: MembershipsRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    // By members_pkey (account_id first) and groups_pkey.
    const memberships = await ask(this.db.$queryRaw<Row[]>`
      SELECT g.organization_id AS "channelId", g.id AS "groupId", g.name AS "groupName", g.permission, g.all_packages AS all
      FROM members m JOIN groups g ON g.id = m.group_id WHERE m.account_id = ${accountId} ORDER BY g.id`);
    return { memberships };
  }
}
