import { promisify } from 'node:util';
import { gzip, zstdCompress } from 'node:zlib';
import { belongs, type View, viewKey } from '@vivarium/access/view';
import type { RolePorts } from '@vivarium/boot/ports';
import {
  ChannelData as ChannelDataContract,
  type ChannelDataEntry,
  type ChannelDataResponse,
} from '@vivarium/contracts/gen/vivarium/packages/v1/channel_data_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { viewToProto } from '@vivarium/trust/messages';
import { LRUCache } from 'lru-cache';
import type { Channel } from './access.js';
import { type ChannelFile, composeFile, type Entries, type Entry, mergedEntries } from './channel-entries.js';

export type Packing = 'plain' | 'gzip' | 'zst';

/** A file as its readers get it. */
export interface Packed {
  /** Strong: of the bytes, and different for each packing. */
  readonly etag: string;
  readonly bytes: Uint8Array;
}

/** A file as all who see the same see it, and what it was put together from. */
interface Known {
  /** The channel's, at which it was read; it may hold younger things too. */
  readonly generation: number;
  readonly entries: Entries;
  readonly sizeBytes: number;
  readonly bytes: Uint8Array;
  readonly hash: string;
  /** Made when somebody asks for it. */
  readonly packed: Map<Packing, Promise<Uint8Array>>;
}

/** All pages of an answer. */
interface ReadPages {
  readonly entries: Entries;
  readonly changed: ReadonlySet<string>;
  readonly generation: number;
}

/** What is asked of: a channel as the reader's gateway knows it, and what of it the reader may see. */
interface Ask {
  readonly channel: Channel;
  readonly label: string;
  readonly view: View;
  readonly file: ChannelFile;
  readonly key: string;
  readonly audienceIds: readonly string[];
}

// A hundred thousand names with 500 bytes each.
const LIMIT_BYTES = 48 * 2 ** 20;
// The largest file fits, as text, bytes and compressed; the memory of indexes and artifacts is another.
const KEPT_BYTES = 160 * 2 ** 20;
const MAX_ENTRIES = 500_000;
const TOO_LARGE_MS = 60_000;
const PAGE_MS = 20_000;
const TRIES = 5;
const MAX_WAITING = 20;
// A page has 200 names, and half a megabyte at most.
const SHORT_PAGES = 8;

const NOWHERE: string[] = [];

const packers: Readonly<Record<Exclude<Packing, 'plain'>, (bytes: Uint8Array) => Promise<Uint8Array>>> = {
  gzip: (bytes) => promisify(gzip)(bytes, { level: 6 }),
  zst: (bytes) => promisify(zstdCompress)(bytes),
};

/**
 * Files of a whole channel, put together from what packages tells, for all whose audiences are the same. One that is known
 * counts while it is not older than the channel is known to be, which is a matter of leases and floors; then the names that
 * changed since are asked for, and no others, so that a change of what a reader does not see costs nothing that the reader
 * could measure but the question itself. Throws Fault('not_found') for a file above 48 MB
 * or half a million entries.
 */
export class ChannelData {
  readonly #ports: Pick<RolePorts, 'trust' | 'bus'>;
  readonly #client: ClientOf<typeof ChannelDataContract>;
  readonly #limitBytes: number;
  readonly #known: LRUCache<string, Known>;
  readonly #tooLarge = new LRUCache<string, true>({ max: 10_000, ttl: TOO_LARGE_MS });
  readonly #flights = new Map<string, Promise<Known>>();
  // Long ones are read one after the other: each takes memory while it is made. Short ones do not wait for them.
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(ports: Pick<RolePorts, 'trust' | 'bus'>, limitBytes = LIMIT_BYTES) {
    this.#ports = ports;
    this.#client = clientOf(ChannelDataContract, ports.bus);
    this.#limitBytes = limitBytes;
    this.#known = new LRUCache({
      maxSize: KEPT_BYTES,
      sizeCalculation: keptBytesOf,
    });
  }

  /** The file as the view shows it, at the channel's generation or a later one. */
  async read(channel: Channel, label: string, view: View, file: ChannelFile, packing: Packing): Promise<Packed> {
    const audiences = channel.audiences.filter((audience) => belongs(view, audience));
    const of = file.kind === 'channeldata' ? '' : file.subdir;
    const ask: Ask = {
      ...{ channel, label, view, file },
      // Equal for all who may see the same, whoever they are: what is asked for names these audiences, and no principal.
      key: `${channel.id} ${viewKey(view, audiences, channel.incarnation)} ${label} ${file.kind} ${of}`,
      audienceIds: audiences.map(({ id }) => id),
    };
    const { bytes, hash, packed } = await this.#current(ask);
    if (packing === 'plain') return { etag: `"${hash}"`, bytes };
    const made = packed.get(packing) ?? packers[packing](bytes);
    packed.set(packing, made);
    return { etag: `"${hash}-${packing}"`, bytes: await made };
  }

  async #current(ask: Ask): Promise<Known> {
    for (let tries = 0; tries < TRIES; tries++) {
      const known = this.#known.get(ask.key);
      if (known !== undefined && known.generation >= ask.channel.generation) return known;
      // One that is under way may have begun before what this reader has to see: then it is the next one's beginning.
      const made = await (this.#flights.get(ask.key) ?? this.#start(ask, known));
      if (made.generation >= ask.channel.generation) return made;
    }
    throw new Fault('unavailable', `${ask.channel.login} is changing too fast to be read. Try again.`);
  }

  #start(ask: Ask, known: Known | undefined): Promise<Known> {
    const flight = this.#make(ask, known)
      .then((made) => {
        this.#known.set(ask.key, made);
        return made;
      })
      .finally(() => this.#flights.delete(ask.key));
    this.#flights.set(ask.key, flight);
    return flight;
  }

  async #make(ask: Ask, known: Known | undefined): Promise<Known> {
    if (this.#tooLarge.has(ask.key)) throw tooLarge(ask, this.#limitBytes);
    let leave: (() => void) | undefined;
    try {
      const read = await this.#readPages(ask, known, async () => {
        leave ??= await this.#enter();
      });
      return await this.#knownFrom(ask, known, read);
    } finally {
      leave?.();
    }
  }

  async #knownFrom(ask: Ask, known: Known | undefined, read: ReadPages): Promise<Known> {
    const isSame = read.changed.size === 0 || isUntouched(read, known);
    if (known !== undefined && isSame) return { ...known, generation: read.generation };
    const entries = await mergedEntries(known?.entries ?? new Map(), read.changed, read.entries);
    const { bytes, hash } = await composeFile(ask.file, entries);
    if (bytes.byteLength > this.#limitBytes) throw this.#refuse(ask);
    const made = { generation: read.generation, entries, sizeBytes: sizeOf(entries), bytes, hash, packed: new Map() };
    // What cannot be kept would be read anew for each reader.
    if (keptBytesOf(made) > KEPT_BYTES) throw this.#refuse(ask);
    return made;
  }

  async #readPages(ask: Ask, known: Known | undefined, beforeMore: () => Promise<void>): Promise<ReadPages> {
    const { channel, label, view, file, audienceIds } = ask;
    const entries = new Map<string, Entry[]>();
    // Most artifacts of a channel have the same run exports: none.
    const texts = new Map<string, string>();
    const changed = new Set<string>();
    let [generation, sizeBytes, count, after] = [-1, 0, 0, ''];
    for (let pages = 0; ; pages++) {
      if (pages === SHORT_PAGES) await beforeMore();
      const page: ChannelDataResponse = await this.#client[file.kind === 'channeldata' ? 'packages' : 'runExports'](
        {
          channelId: channel.id,
          view: viewToProto(view),
          audienceIds: [...audienceIds],
          label,
          subdir: file.kind === 'channeldata' ? '' : file.subdir,
          sinceGeneration: BigInt(known?.generation ?? 0),
          after,
        },
        { assertion: await this.#ports.trust.assertionFor('packages'), timeoutMs: PAGE_MS },
      );
      // The first page's: what changed while later ones were read is asked for again the next time.
      if (generation < 0) generation = Number(page.generation);
      for (const name of page.changed) changed.add(name);
      for (const entry of page.entries) {
        const lean = leanOf(entry, texts);
        const list = entries.get(lean.name);
        if (list === undefined) entries.set(lean.name, [lean]);
        else list.push(lean);
        sizeBytes += entry.json.length;
        count++;
      }
      if (sizeBytes > this.#limitBytes || count > MAX_ENTRIES) throw this.#refuse(ask);
      if (page.next === '') return { entries, changed, generation };
      after = page.next;
    }
  }

  #refuse(ask: Ask): Fault {
    this.#tooLarge.set(ask.key, true);
    return tooLarge(ask, this.#limitBytes);
  }

  /** Waits for those before. Gives what lets the next one in. */
  async #enter(): Promise<() => void> {
    if (this.#waiting >= MAX_WAITING) {
      throw new Fault('unavailable', 'Too many files of this kind are being put together. Try again in a moment.');
    }
    const before = this.#turn;
    let leave = (): void => undefined;
    this.#turn = new Promise((resolve) => {
      leave = resolve;
    });
    this.#waiting += 1;
    await before;
    this.#waiting -= 1;
    return leave;
  }
}

/** True if nothing of what changed is shown now, or was. */
function isUntouched(read: ReadPages, known: Known | undefined): boolean {
  return read.entries.size === 0 && ![...read.changed].some((name) => known?.entries.has(name) === true);
}

function leanOf({ name, filename, json, subdirs }: ChannelDataEntry, texts: Map<string, string>): Entry {
  const known = texts.get(json) ?? json;
  // Long ones are hardly ever alike.
  if (json.length < 100) texts.set(known, known);
  return { name, filename, json: known, subdirs: subdirs.length === 0 ? NOWHERE : subdirs };
}

/** What it takes of memory, about, compressed too. */
function keptBytesOf({ sizeBytes, bytes, entries }: Known): number {
  return Math.ceil(sizeBytes + 1.25 * bytes.byteLength + 200 * entries.size + 500);
}

function sizeOf(entries: Entries): number {
  let total = 0;
  for (const list of entries.values()) for (const { json } of list) total += json.length + 200;
  return total;
}

function tooLarge({ channel, file }: Ask, limitBytes: number): Fault {
  const name = file.kind === 'channeldata' ? 'channeldata.json' : `${file.subdir}/run_exports.json`;
  const instead = file.kind === 'channeldata' ? 'the repodata of its subdirs' : 'the shards of the subdir';
  return new Fault(
    'not_found',
    `${name} of ${channel.login} is not made: it would have more than ${Math.floor(limitBytes / 2 ** 20)} MB, or ${MAX_ENTRIES} entries. Read ${instead} instead.`,
  );
}
