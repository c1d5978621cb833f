import { Feed as FeedContract, type FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import type { Bus } from '@vivarium/rpc/bus';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import type { Trust } from '@vivarium/trust/trust';

export interface FeedOptions {
  readonly bus: Bus;
  readonly trust: Pick<Trust, 'assertionFor'>;
  readonly kind: 'conda' | 'pypi';
}

export interface ChannelPage {
  readonly channels: readonly { readonly channelId: string; readonly generation: number }[];
  readonly more: boolean;
  /** By the feed's own clock. */
  readonly nowMs: number;
}

/** What a reader of changes is given: whole names, and all their files now. A name without files has none any more. */
export type TakeNames = (names: readonly string[], records: readonly FileRecord[]) => Promise<void>;

/** There is nothing to be indexed: unlike an object that is missing, it is no reason to try again. */
export class UnknownChannel extends Fault {
  constructor(channelId: string, cause: unknown) {
    super('not_found', `There is no channel with the id ${channelId.slice(0, 70)}.`, { cause });
  }
}

const NAMES_AT_ONCE = 200;
const ROUNDS = 50;

/** The truth that indexes are folded from, as the packages service tells it. Throws Fault('unavailable') if it does not answer. */
export class Feed {
  readonly #options: FeedOptions;
  readonly #feed: ClientOf<typeof FeedContract>;

  constructor(options: FeedOptions) {
    this.#options = options;
    this.#feed = clientOf(FeedContract, options.bus);
  }

  /** A page of the channels that changed since a time by the feed's clock; 0 is all. `after`: the last id of the page before. */
  async channels(sinceMs: number, after: string): Promise<ChannelPage> {
    const page = await this.#feed.channels({ sinceMs: BigInt(sinceMs), after }, await this.#asMyself());
    const channels = page.channels.map(({ channelId, generation }) => ({ channelId, generation: Number(generation) }));
    return { channels, more: page.more, nowMs: Number(page.nowMs) };
  }

  /**
   * Gives everything of a channel that changed after a generation, some names at a time, and then the generation that what
   * was given shows. A channel may change while it is read: then the names that changed are given once more, so the last
   * word on each name counts, and only once all were given is it one state.
   * `ordered` says in which order names are wanted. Throws UnknownChannel.
   */
  async readChanges(
    channelId: string,
    afterGeneration: number,
    take: TakeNames,
    ordered: (names: readonly string[]) => readonly string[] = (names) => names,
  ): Promise<number> {
    let { generation, names } = await this.#changes(channelId, afterGeneration);
    for (let round = 0; round < ROUNDS; round++) {
      const wanted = ordered(names);
      let newest = generation;
      for (let at = 0; at < wanted.length; at += NAMES_AT_ONCE) {
        const some = wanted.slice(at, at + NAMES_AT_ONCE);
        const read = await this.#records(channelId, some);
        await take(some, read.records);
        newest = Math.max(newest, read.generation);
      }
      if (newest === generation) return generation;
      ({ generation, names } = await this.#changes(channelId, generation));
    }
    throw tooFast(channelId);
  }

  /** Who may read a package now, as a message; undefined if there is no such package. */
  async audienceOf(packageId: string) {
    const { found, audience } = await this.#feed.audienceOf({ packageId }, await this.#asMyself());
    return found ? audience : undefined;
  }

  async #changes(channelId: string, after: number): Promise<{ generation: number; names: readonly string[] }> {
    const { kind } = this.#options;
    const names: string[] = [];
    let generation: number | undefined;
    for (;;) {
      const asked = { channelId, kind, afterGeneration: BigInt(after), after: names.at(-1) ?? '' };
      const page = await this.#feed.changes(asked, await this.#asMyself()).catch((error: unknown) => {
        throw isFault(error) && error.code === 'not_found' ? new UnknownChannel(channelId, error) : error;
      });
      // That of the first page: a name before the cursor may have changed since.
      generation ??= Number(page.generation);
      names.push(...page.names);
      if (!page.more || page.names.length === 0) return { generation, names };
    }
  }

  /** All files of the names, and the generation of which they are. */
  async #records(channelId: string, names: readonly string[]) {
    const { kind } = this.#options;
    let records: FileRecord[] = [];
    let generation: bigint | undefined;
    let after = '';
    for (let starts = 1; ; ) {
      const page = await this.#feed.records({ channelId, kind, names: [...names], after }, await this.#asMyself());
      generation ??= page.generation;
      if (page.generation !== generation) {
        // A change between two pages moves what stands on them.
        if (starts++ === ROUNDS) throw tooFast(channelId);
        records = [];
        generation = undefined;
        after = '';
        continue;
      }
      records.push(...page.records);
      if (!page.more || page.next === '') return { records, generation: Number(generation) };
      after = page.next;
    }
  }

  async #asMyself() {
    return { assertion: await this.#options.trust.assertionFor('packages') };
  }
}

function tooFast(channelId: string): Fault {
  return new Fault('unavailable', `The channel ${channelId} changes faster than it can be read.`);
}
