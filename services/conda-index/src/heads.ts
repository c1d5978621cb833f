import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type FindHeadRequest,
  Heads as HeadsContract,
  type RebuildRequest,
  type RetiredShardRequest,
} from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { type CondaIndexer, headsTag, INDEXER, rebuildsTag } from './conda-indexer.js';
import { findHead } from './find-head.js';
import type { CondaIndexPorts } from './ports.js';
import { retiredShard } from './retired-shard.js';

@Serves(HeadsContract)
export class Heads implements HandlerOf<typeof HeadsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: CondaIndexPorts,
    @Inject(INDEXER) private readonly indexer: CondaIndexer,
  ) {}

  async find({ channelId, label, subdir }: FindHeadRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const { generation, rebuilds, hash } = await findHead(this.ports.pool, channelId, { label, subdir });
    return {
      generation: BigInt(generation),
      manifestKey: hash,
      versions: [
        { tag: headsTag(channelId), version: BigInt(generation) },
        { tag: rebuildsTag(channelId), version: BigInt(rebuilds) },
      ],
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
