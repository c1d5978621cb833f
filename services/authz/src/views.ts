import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type OwnersOfRequest,
  type ViewOfRequest,
  Views as ViewsContract,
} from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { DB, type Db } from './db.js';
import { ownersOf } from './owners-of.js';
import type { AuthzPorts } from './ports.js';
import { standingTag } from './standing.js';
import { viewOf } from './view-of.js';

@Serves(ViewsContract)
export class Views implements HandlerOf<typeof ViewsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: AuthzPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async viewOf(request: ViewOfRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const { version, ...standing } = await viewOf(this.db, request);
    return {
      standing: { ...standing, groups: [...standing.groups] },
      versions: [{ tag: standingTag(request.channelId), version }],
    };
  }

  async ownersOf({ organizationId }: OwnersOfRequest, call: Call) {
    const service = await this.ports.trust.serviceOf(call);
    if (service !== 'identity') throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
    return { accountIds: await ownersOf(this.db, organizationId) };
  }
}
