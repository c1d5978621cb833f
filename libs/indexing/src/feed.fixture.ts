import { InvalidationSchema } from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import type {
  AudienceOfRequest,
  ChangesRequest,
  ChannelsRequest,
  Feed,
  RecordsRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';
import { invalidationSubject } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { publishEvent } from '@vivarium/rpc/events';
import type { HandlerOf } from '@vivarium/rpc/rpc';
import { type audienceFromProto, audienceToProto } from '@vivarium/trust/messages';

export interface ToldFile {
  /** Empty for Python files. */
  readonly subdir: string;
  readonly filename: string;
  readonly labels: readonly string[];
  readonly version: string;
  readonly recordJson: string;
}

export interface ToldPackage {
  readonly packageId: string;
  readonly audience: ReturnType<typeof audienceFromProto>;
  readonly files: readonly ToldFile[];
}

interface ToldChannel {
  generation: number;
  changedMs: number;
  readonly packages: Map<string, ToldPackage>;
  /** Name → generation of its last change, of one kind. */
  readonly changes: Map<string, number>;
}

/** What the packages service tells indexers, from a table that a test edits: another service, seen from here. */
export class ToldFeed implements HandlerOf<typeof Feed> {
  readonly channelsById = new Map<string, ToldChannel>();
  /** Channels that are not there, whoever asks. */
  readonly unknown = new Set<string>();
  /** Small, so that every list comes in pages. */
  pageSize = 7;
  /** Runs before each page of records: a channel may change between two pages. */
  beforeRecords: () => void = () => undefined;
  /** How many questions of each kind were asked. */
  readonly asked = { channels: 0, changes: 0, records: 0 };
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** One change: what a name is from now on, or that it is gone. Gives the channel's new generation. */
  set(channelId: string, name: string, told: ToldPackage | undefined): number {
    const channel = this.#channel(channelId);
    channel.generation++;
    channel.changedMs = this.#nowMs();
    channel.changes.set(name, channel.generation);
    if (told === undefined) channel.packages.delete(name);
    else channel.packages.set(name, told);
    return channel.generation;
  }

  /** A change that concerns no name of this kind. */
  touch(channelId: string): number {
    const channel = this.#channel(channelId);
    channel.changedMs = this.#nowMs();
    return ++channel.generation;
  }

  /** Tells the event of the last change, as the packages service does after its commit. */
  announce(bus: Bus, channelId: string): void {
    const facts = [{ tag: `channel:${channelId}`, version: BigInt(this.generationOf(channelId)) }];
    publishEvent(bus, InvalidationSchema, invalidationSubject('packages'), { epoch: 'e', seq: 1n, facts });
  }

  generationOf(channelId: string): number {
    return this.channelsById.get(channelId)?.generation ?? 0;
  }

  packagesOf(channelId: string): ReadonlyMap<string, ToldPackage> {
    return this.#channel(channelId).packages;
  }

  async channels({ sinceMs, after }: ChannelsRequest) {
    this.asked.channels++;
    const ids = [...this.channelsById]
      .filter(([id, { changedMs }]) => changedMs >= Number(sinceMs) && id > after)
      .map(([id]) => id)
      .sort();
    const channels = ids.slice(0, this.pageSize).map((id) => {
      return { channelId: id, login: id, generation: BigInt(this.generationOf(id)) };
    });
    return { channels, more: ids.length > this.pageSize, nowMs: BigInt(this.#nowMs()) };
  }

  async changes({ channelId, afterGeneration, after }: ChangesRequest) {
    this.asked.changes++;
    if (this.unknown.has(channelId)) throw new Fault('not_found', `channel "${channelId}" does not exist`);
    const { changes, generation } = this.#channel(channelId);
    const names = [...changes]
      .filter(([name, at]) => at > Number(afterGeneration) && name > after)
      .map(([name]) => name)
      .sort();
    return {
      generation: BigInt(generation),
      names: names.slice(0, this.pageSize),
      more: names.length > this.pageSize,
    };
  }

  async records({ channelId, names, after }: RecordsRequest) {
    this.asked.records++;
    this.beforeRecords();
    const { packages, generation } = this.#channel(channelId);
    const all = names.flatMap((name) => {
      const told = packages.get(name);
      if (told === undefined) return [];
      const { packageId, audience, files } = told;
      return files.map((file) => ({
        ...file,
        packageId,
        name,
        audience: audienceToProto(audience),
        labels: [...file.labels],
      }));
    });
    const from = Number(after || '0');
    const next = from + this.pageSize;
    const more = next < all.length;
    return { records: all.slice(from, next), more, next: more ? String(next) : '', generation: BigInt(generation) };
  }

  async audienceOf({ packageId }: AudienceOfRequest) {
    for (const { packages } of this.channelsById.values()) {
      for (const told of packages.values()) {
        if (told.packageId === packageId) return { found: true, audience: audienceToProto(told.audience) };
      }
    }
    return { found: false };
  }

  #channel(channelId: string): ToldChannel {
    const known = this.channelsById.get(channelId);
    if (known !== undefined) return known;
    const made = { generation: 0, changedMs: this.#nowMs(), packages: new Map(), changes: new Map() };
    this.channelsById.set(channelId, made);
    return made;
  }
}
