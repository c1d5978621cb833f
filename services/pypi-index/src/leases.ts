import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { LeaseRequest } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { Invalidations } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import type { PypiIndexPorts } from './ports.js';

/** The right of a gateway to answer from what it remembers of this service. */
@Serves(Invalidations)
export class Leases implements HandlerOf<typeof Invalidations> {
  constructor(@Inject(PORTS) private readonly ports: PypiIndexPorts) {}

  async lease(request: LeaseRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    return this.ports.invalidations.lease(request);
  }
}
