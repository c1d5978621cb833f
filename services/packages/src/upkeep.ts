import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import type { CheckRequest, SweepRequest } from '@vivarium/contracts/gen/vivarium/common/v1/upkeep_pb';
import { Upkeep as UpkeepContract } from '@vivarium/contracts/gen/vivarium/packages/v1/upkeep_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { serviceAmong } from './asking-service.js';
import { check } from './fsck.js';
import type { PackagesPorts } from './ports.js';
import { Sweep } from './sweep.js';

/** What an operator asks of the service from the command line. */
@Serves(UpkeepContract)
export class Upkeep implements HandlerOf<typeof UpkeepContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Sweep) private readonly sweeping: Sweep,
  ) {}

  async sweep({ dryRun, graceMs }: SweepRequest, call: Call) {
    await serviceAmong(this.ports, call, ['platform']);
    const swept = await this.sweeping.run({ dryRun, graceMs: graceMs === undefined ? undefined : Number(graceMs) });
    return {
      swept: swept.map(({ what, count, sizeBytes }) => {
        return { what, count: BigInt(count), sizeBytes: BigInt(sizeBytes) };
      }),
    };
  }

  async check(request: CheckRequest, call: Call) {
    await serviceAmong(this.ports, call, ['platform']);
    const { differences, lookedAt, next } = await check(this.ports, request);
    return {
      differences: differences.map((each) => ({ ...each })),
      next,
      lookedAt: Object.fromEntries(Object.entries(lookedAt).map(([sort, count]) => [sort, BigInt(count)])),
    };
  }
}
