import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type AwaitRequest,
  Channels as ChannelsContract,
  type FindChannelRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { audienceToProto } from '@vivarium/trust/messages';
import { awaitReadable } from './await-readable.js';
import { findChannel, findClosedChannel, readChannel } from './channel-row.js';
import type { PackagesPorts } from './ports.js';
import { Readability } from './readability.js';

@Serves(ChannelsContract)
export class Channels implements HandlerOf<typeof ChannelsContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async find({ login }: FindChannelRequest, call: Call) {
    await this.ports.trust.serviceOf(call);
    const channel = await findChannel(this.ports, login);
    if (channel === undefined) return this.#closed(login);
    const { id, kind, defaultVisibility, incarnation, audiences, createdAt } = channel;
    const generation = BigInt(channel.generation);
    return {
      channel: {
        id,
        login,
        kind,
        defaultVisibility,
        incarnation,
        generation,
        floor: BigInt(channel.floor),
        audiences: audiences.map(audienceToProto),
        createdAtMs: BigInt(createdAt.getTime()),
      },
      versions: [{ tag: `channel:${id}`, version: generation }],
    };
  }

  /** That a channel is gone for ever is a fact with a version too. Throws Fault('not_found') if there never was one. */
  async #closed(login: string) {
    const closed = await findClosedChannel(this.ports.pool, login);
    if (closed === undefined) throw new Fault('not_found', `channel "${login.slice(0, 70)}" does not exist`);
    return { versions: [{ tag: `channel:${closed.id}`, version: BigInt(closed.generation) }] };
  }

  async await(request: AwaitRequest, call: Call) {
    const { ports, readability } = this;
    await ports.trust.serviceOf(call);
    const { channelId, kind } = request;
    if (kind !== 'conda' && kind !== 'pypi') {
      throw new Fault('invalid', `"${kind.slice(0, 40)}" has no index to wait for; conda and pypi have.`);
    }
    const channel = await readChannel(ports.pool, 'id', channelId);
    if (channel === undefined) throw new Fault('not_found', `channel "${channelId.slice(0, 70)}" does not exist`);
    // Nobody waits for a generation that is not there yet: it may never come.
    const generation = Math.min(Number(request.generation) || channel.generation, channel.generation);
    const timeoutMs = Math.min(Math.max(0, Number(request.waitMs)), 60_000);
    const readable = await awaitReadable(ports, readability, { channelId, generation, kinds: [kind], timeoutMs });
    const indexed = BigInt(readability.generationOf(channelId, kind));
    return { readable, generation: BigInt(channel.generation), indexed };
  }
}
