import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  ChannelData as ChannelDataContract,
  type ChannelDataRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { viewFromProto } from '@vivarium/trust/messages';
import { serviceAmong } from './asking-service.js';
import type { PackagesPorts } from './ports.js';
import { type ChannelDataPage, type ChannelDataPart, readChannelData, readRunExports } from './read-channel-data.js';

@Serves(ChannelDataContract)
export class ChannelData implements HandlerOf<typeof ChannelDataContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async packages(request: ChannelDataRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    return pageMessage(await readChannelData(this.ports.pool, partOf(request)));
  }

  async runExports(request: ChannelDataRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    return pageMessage(await readRunExports(this.ports.pool, { ...partOf(request), subdir: request.subdir }));
  }
}

function partOf({ channelId, label, view, audienceIds, sinceGeneration, after }: ChannelDataRequest): ChannelDataPart {
  return { channelId, label, view: viewFromProto(view), audienceIds, sinceGeneration: Number(sinceGeneration), after };
}

function pageMessage({ entries, changed, generation, next }: ChannelDataPage) {
  const messages = entries.map(({ subdirs, ...entry }) => ({ ...entry, subdirs: [...subdirs] }));
  return { entries: messages, changed: [...changed], generation: BigInt(generation), next };
}
