import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreateInvitationRequest,
  Invitations as InvitationsContract,
  type ListInvitationsRequest,
  type RevokeInvitationRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerOf } from './acting.js';
import { DB, type Db } from './db.js';
import { createInvitation, listInvitations, revokeInvitation } from './invite.js';
import type { IdentityPorts } from './ports.js';

@Serves(InvitationsContract)
export class Invitations implements HandlerOf<typeof InvitationsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async create(request: CreateInvitationRequest, call: Call) {
    return createInvitation(this.ports, this.db, await callerOf(this.ports, call), request);
  }

  async list(_request: ListInvitationsRequest, call: Call) {
    return { invitations: await listInvitations(this.ports, this.db, await callerOf(this.ports, call)) };
  }

  async revoke({ id }: RevokeInvitationRequest, call: Call) {
    await revokeInvitation(this.ports, this.db, await callerOf(this.ports, call), id);
    return {};
  }
}
