import { Inject } from '@nestjs/common';
import { listAudit } from '@vivarium/audit/audit';
import { PORTS } from '@vivarium/boot/ports';
import type { ListAuditRequest } from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import { Audit as AuditContract } from '@vivarium/contracts/gen/vivarium/identity/v1/audit_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import type { IdentityPorts } from './ports.js';

/** What this service changed, for the service that puts the trail together. */
@Serves(AuditContract)
export class Audit implements HandlerOf<typeof AuditContract> {
  constructor(@Inject(PORTS) private readonly ports: IdentityPorts) {}

  async list(request: ListAuditRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    return listAudit(this.ports.pool, request);
  }
}
