import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type FindHeadRequest,
  Heads as HeadsContract,
  type RebuildRequest,
} from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ChannelIndexer, versionsOf } from '@vivarium/indexing/channel-indexer';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { findHead } from './find-head.js';
import type { PypiIndexPorts } from './ports.js';
import { INDEXER } from './pypi-indexer.js';

@Serves(HeadsContract)
export class Heads implements HandlerOf<typeof HeadsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PypiIndexPorts,
    @Inject(INDEXER) private readonly indexer: ChannelIndexer,
  ) {}

  async find({ channelId, label, everywhere }: FindHeadRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const head = await findHead(this.ports.pool, channelId, label);
    if (everywhere && !(await this.ports.invalidations.barrier())) throw notEverywhere();
    return {
      generation: BigInt(head.generation),
      manifestKey: head.hash,
      versions: versionsOf('pypi', channelId, head),
    };
  }

  async rebuild({ channelId }: RebuildRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const { generation, names, changedHeads } = await this.indexer.rebuild(channelId);
    return { generation: BigInt(generation), names, changedHeads };
  }
}

function notEverywhere(): Fault {
  return new Fault('unavailable', 'A gateway has not taken in the newest index yet. Ask again.');
}
