import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { CheckRequest, SweepRequest } from '@vivarium/contracts/gen/vivarium/common/v1/upkeep_pb';
import { Upkeep as UpkeepContract } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/upkeep_pb';
import { Fault } from '@vivarium/fault/fault';
import { checkMessage } from '@vivarium/indexing/index-fsck';
import { IndexSweep } from '@vivarium/indexing/index-sweep';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { check } from './fsck.js';
import type { PypiIndexPorts } from './ports.js';

/** What an operator asks of the service from the command line. */
@Serves(UpkeepContract)
export class Upkeep implements HandlerOf<typeof UpkeepContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PypiIndexPorts,
    @Inject(IndexSweep) private readonly sweeping: IndexSweep,
  ) {}

  async sweep({ dryRun, graceMs }: SweepRequest, call: Call) {
    await this.#requireOperator(call);
    const swept = await this.sweeping.run({ dryRun, graceMs: graceMs === undefined ? undefined : Number(graceMs) });
    return {
      swept: swept.map(({ what, count, sizeBytes }) => {
        return { what, count: BigInt(count), sizeBytes: BigInt(sizeBytes) };
      }),
    };
  }

  async check(request: CheckRequest, call: Call) {
    await this.#requireOperator(call);
    return checkMessage(await check(this.ports, request.channelId, request));
  }

  async #requireOperator(call: Call): Promise<void> {
    const service = await this.ports.trust.serviceOf(call);
    if (service !== 'platform') throw new Fault('forbidden', `${call.subject} does not answer ${service}.`);
  }
}
