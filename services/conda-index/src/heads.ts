import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type FindHeadRequest,
  Heads as HeadsContract,
  type RebuildRequest,
  type RetiredShardRequest,
} from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ChannelIndexer, versionsOf } from '@vivarium/indexing/channel-indexer';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { INDEXER } from './conda-indexer.js';
import { findHead } from './find-head.js';
import type { CondaIndexPorts } from './ports.js';
import { retiredShard } from './retired-shard.js';

@Serves(HeadsContract)
export class Heads implements HandlerOf<typeof HeadsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: CondaIndexPorts,
    @Inject(INDEXER) private readonly indexer: ChannelIndexer,
  ) {}

  async find({ channelId, label, subdir, everywhere }: FindHeadRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const head = await findHead(this.ports.pool, channelId, { label, subdir });
    if (everywhere && !(await this.ports.invalidations.barrier())) throw notEverywhere();
    return {
      generation: BigInt(head.generation),
      manifestKey: head.hash,
      versions: versionsOf('conda', channelId, head),
    };
  }

  async retiredShard({ channelId, label, subdir, hash }: RetiredShardRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    return retiredShard(this.ports, channelId, { label, subdir }, hash);
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
