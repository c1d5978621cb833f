import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  ChannelEnds as ChannelEndsContract,
  type CloseChannelRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channel_ends_pb';
import { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { serviceAmong } from './asking-service.js';
import { closeChannel } from './close-channel.js';
import type { PackagesPorts } from './ports.js';

@Serves(ChannelEndsContract)
export class ChannelEnds implements HandlerOf<typeof ChannelEndsContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async close({ actor, ...request }: CloseChannelRequest, call: Call) {
    const { ports } = this;
    await serviceAmong(ports, call, ['authz']);
    if (actor === undefined) throw new Fault('invalid', 'A channel is closed by somebody.');
    const packages = await inTransaction(ports.pool, (tx) => closeChannel(tx, ports, actor, request));
    await untilForgotten(ports.invalidations, `The channel ${request.login} is closed`);
    return { packages: BigInt(packages) };
  }
}
