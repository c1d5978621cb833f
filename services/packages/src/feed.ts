import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type AudienceOfRequest,
  type ChangesRequest,
  type ChannelsRequest,
  Feed as FeedContract,
  type RecordsRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { audienceToProto } from '@vivarium/trust/messages';
import { serviceAmong } from './asking-service.js';
import type { PackagesPorts } from './ports.js';
import { readAudience, readChangedChannels, readChanges, readRecords } from './read-feed.js';
import type { IndexedKind } from './readability.js';

const READERS = ['conda-index', 'pypi-index', 'platform'];
const NAMES_LIMIT = 2_000;

@Serves(FeedContract)
export class Feed implements HandlerOf<typeof FeedContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async channels({ sinceMs, after }: ChannelsRequest, call: Call) {
    await serviceAmong(this.ports, call, READERS);
    const { channels, more, nowMs } = await readChangedChannels(this.ports.pool, Number(sinceMs), after);
    return {
      channels: channels.map((each) => ({ ...each, generation: BigInt(each.generation) })),
      more,
      nowMs: BigInt(nowMs),
    };
  }

  async changes(request: ChangesRequest, call: Call) {
    await serviceAmong(this.ports, call, READERS);
    const { channelId, after } = request;
    const from = {
      channelId,
      kind: indexedKind(request.kind),
      afterGeneration: Number(request.afterGeneration),
      after,
    };
    const { generation, names, more } = await readChanges(this.ports.pool, from);
    return { generation: BigInt(generation), names: [...names], more };
  }

  async records(request: RecordsRequest, call: Call) {
    await serviceAmong(this.ports, call, READERS);
    const { channelId, names, after } = request;
    if (names.length > NAMES_LIMIT) {
      throw new Fault('invalid', `At most ${NAMES_LIMIT} names are read at once, not ${names.length}.`);
    }
    const from = { channelId, kind: indexedKind(request.kind), names, after };
    const { records, more, next, generation } = await readRecords(this.ports.pool, from);
    return {
      records: records.map(({ audience, labels, ...record }) => ({
        ...record,
        audience: audienceToProto(audience),
        labels: [...labels],
      })),
      more,
      next,
      generation: BigInt(generation),
    };
  }

  async audienceOf({ packageId }: AudienceOfRequest, call: Call) {
    await serviceAmong(this.ports, call, READERS);
    const audience = await readAudience(this.ports.pool, packageId);
    return audience === undefined ? { found: false } : { found: true, audience: audienceToProto(audience) };
  }
}

function indexedKind(kind: string): IndexedKind {
  if (kind === 'conda' || kind === 'pypi') return kind;
  throw new Fault('invalid', `"${kind.slice(0, 40)}" has no index; conda and pypi have.`);
}
