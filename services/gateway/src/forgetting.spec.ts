import { create, fromBinary } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import {
  AcknowledgementSchema,
  type Invalidation,
  InvalidationSchema,
  type LeaseResponse,
  LeaseResponseSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import type { Bus, BusMessage } from '@vivarium/rpc/bus';
import { publishEvent } from '@vivarium/rpc/events';
import fc from 'fast-check';
import { FactCache } from './cache.js';
import { watch } from './currency.js';
import { Lease } from './lease.js';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const LEASE_MS = 5_000;

/** Everything between the gateway and a service: what is sent waits here until a step of the test lets it through. */
class Wire implements Bus {
  readonly news: Invalidation[] = [];
  readonly acks: { epoch: string; seq: number }[] = [];
  connected = true;
  #handler: ((message: BusMessage) => void) | undefined;
  #listener: (() => void) | undefined;

  deliver(news: Invalidation | undefined): void {
    if (news === undefined) return;
    // Through the real encoding, as the bus does.
    publishEvent({ ...this.#loopback() } as Bus, InvalidationSchema, 'invalidations.s', news);
  }
  reconnect(): void {
    this.#listener?.();
  }
  publish(_subject: string, payload: Uint8Array): void {
    const { epoch, seq } = fromBinary(AcknowledgementSchema, payload);
    this.acks.push({ epoch, seq: Number(seq) });
  }
  async subscribe(_pattern: string, handler: (message: BusMessage) => void) {
    this.#handler = handler;
    return { close: async () => undefined };
  }
  async flush(): Promise<void> {}
  onReconnect(listener: () => void): void {
    this.#listener = listener;
  }
  async check(): Promise<void> {}
  async drain(): Promise<void> {}
  request(): never {
    throw new Error('requests go another way in this model');
  }
  serve(): never {
    throw new Error('nothing is served in this model');
  }
  #loopback(): Pick<Bus, 'publish'> {
    return { publish: (subject, payload, headers = new Map()) => this.#handler?.({ subject, payload, headers }) };
  }
}

interface Question<T> {
  /** Set when the service has read its tables. */
  read: T | undefined;
  resolve(answer: T): void;
  reject(error: Error): void;
}

interface Change {
  readonly tag: string;
  readonly version: number;
  readonly atMs: number;
  readonly epoch: string;
  readonly seq: number;
  /** Of the lease that was held at the commit. */
  readonly deadlineMs: number;
  /** When who made the change was told that it holds everywhere. */
  answeredMs?: number;
}

type Value = Readonly<Record<string, number>>;

/** One service, one gateway, and a clock that stands still between the steps. */
class World {
  nowMs = 0;
  readonly wire = new Wire();
  readonly versions = new Map([
    ['a', 0],
    ['b', 0],
  ]);
  readonly changes: Change[] = [];
  readonly loads: Question<Value>[] = [];
  readonly asks: Question<LeaseResponse>[] = [];
  readonly answers: { readonly value: Value; readonly leased: boolean }[] = [];
  /** Answers that should not have been given: what they did not know of. */
  readonly wrong: (Change & { readonly ageMs: number; readonly isOver: boolean })[] = [];
  #epoch = 'e0';
  #seq = 0;
  #lease = { untilMs: Number.NEGATIVE_INFINITY, epoch: '', seq: 0 };
  readonly lease: Lease;
  readonly cache: FactCache;

  constructor() {
    const nowMs = () => this.nowMs;
    this.cache = new FactCache({ isLeased: () => this.lease.isHeld(), nowMs, maxEntries: 10 });
    this.lease = new Lease({
      service: 's',
      holder: 'h',
      bus: this.wire,
      ask: (held) => {
        this.#held = { epoch: held.epoch, seq: Number(held.seq) };
        return questionIn(this.asks);
      },
      forget: (facts) => this.cache.forget(facts),
      forgetAll: () => this.cache.forgetService('s'),
      nowMs,
      log: () => undefined,
    });
  }
  #held = { epoch: '', seq: 0 };

  change(tag: string): void {
    const version = (this.versions.get(tag) ?? 0) + 1;
    this.versions.set(tag, version);
    const [epoch, seq] = [this.#epoch, ++this.#seq];
    this.wire.news.push(
      create(InvalidationSchema, { epoch, seq: BigInt(seq), facts: [{ tag, version: BigInt(version) }] }),
    );
    this.changes.push({ tag, version, atMs: this.nowMs, epoch, seq, deadlineMs: this.#lease.untilMs });
  }

  /** A database that was moved: its numbers begin anew. */
  newEpoch(): void {
    this.#epoch = `e${Number(this.#epoch.slice(1)) + 1}`;
    this.#seq = 0;
  }

  readForLoad(): void {
    const load = this.loads.find(({ read }) => read === undefined);
    if (load !== undefined) load.read = Object.fromEntries(this.versions);
  }

  grant(): void {
    const ask = this.asks.find(({ read }) => read === undefined);
    if (ask === undefined) return;
    this.#lease.untilMs = Math.max(this.#lease.untilMs, this.nowMs + LEASE_MS);
    this.#acked(this.#held);
    ask.read = create(LeaseResponseSchema, { epoch: this.#epoch, seq: BigInt(this.#seq), leaseMs: BigInt(LEASE_MS) });
  }

  takeAck(at: number): void {
    const [ack] = this.wire.acks.splice(Math.min(at, this.wire.acks.length - 1), 1);
    if (ack !== undefined) this.#acked(ack);
  }

  #acked(ack: { epoch: string; seq: number }): void {
    const { epoch, seq } = this.#lease;
    if (ack.epoch !== epoch || ack.seq > seq) this.#lease = { ...this.#lease, ...ack };
  }

  /** Tells those who made a change that it holds, by the rule of the barrier. */
  answerChanges(): void {
    for (const change of this.changes) {
      const { epoch, seq } = this.#lease;
      const isKnown =
        (epoch === change.epoch && seq >= change.seq) || (change.epoch !== this.#epoch && epoch === this.#epoch);
      if (isKnown || change.deadlineMs <= this.nowMs) change.answeredMs ??= this.nowMs;
    }
  }

  /** As the listener: decides until nothing changed meanwhile, then writes the head. */
  async request(tags: readonly string[]): Promise<void> {
    const parts = { cache: this.cache, isLeased: () => this.lease.isHeld(), nowMs: () => this.nowMs };
    try {
      for (let tries = 1; tries <= 5; tries++) {
        const isCurrent = watch(parts);
        const values: Value[] = [];
        // One fact after the other, as a decision gathers them.
        for (const tag of tags) values.push(await this.#fact(tag));
        if (!isCurrent()) continue;
        const value = Object.assign({}, ...values);
        this.answers.push({ value, leased: this.lease.isHeld() });
        this.#judge(value);
        return;
      }
    } catch {
      // No answer is no wrong answer.
    }
  }

  #fact(tag: string): Value | Promise<Value> {
    return this.cache.get({
      key: tag,
      services: ['s'],
      load: async () => {
        const read = await questionIn(this.loads);
        return { value: { [tag]: read[tag] ?? 0 }, versions: [{ tag, version: read[tag] ?? 0 }] };
      },
    });
  }

  /** What must hold of the head that is being written. */
  #judge(value: Value): void {
    for (const [tag, version] of Object.entries(value)) {
      for (const change of this.changes.filter((each) => each.tag === tag && each.version > version)) {
        const ageMs = this.nowMs - change.atMs;
        // Nothing older than five seconds, whatever happened; under a lease, nothing that somebody was told is over.
        const isOver = this.lease.isHeld() && change.answeredMs !== undefined;
        if (ageMs > LEASE_MS || isOver) this.wrong.push({ ...change, ageMs, isOver });
      }
    }
  }
}

function questionIn<T>(list: Question<T>[]): Promise<T> {
  return new Promise((resolve, reject) => list.push({ read: undefined, resolve, reject }));
}

function reply<T>(list: Question<T>[]): void {
  const at = list.findIndex(({ read }) => read !== undefined);
  const [question] = at < 0 ? [] : list.splice(at, 1);
  if (question?.read !== undefined) question.resolve(question.read);
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('read', 'read', 'answer load', 'answer load', 'lose load') },
  { weight: 4, arbitrary: fc.constantFrom('change a', 'change b') },
  { weight: 6, arbitrary: fc.constantFrom('news', 'news', 'news', 'drop news', 'duplicate news') },
  { weight: 4, arbitrary: fc.constantFrom('grant', 'answer lease', 'lose lease') },
  { weight: 3, arbitrary: fc.constantFrom('ack', 'late ack', 'lose ack') },
  { weight: 1, arbitrary: fc.constantFrom('reconnect', 'new epoch', 'pause') },
  { weight: 4, arbitrary: fc.constantFrom(1, 100, 600, 1_100, 3_100) },
  { weight: 8, arbitrary: fc.constantFrom(['a'], ['b'], ['a', 'b']) },
);

const STEPS: Readonly<Record<string, (world: World) => void>> = {
  'change a': (world) => world.change('a'),
  'change b': (world) => world.change('b'),
  read: (world) => world.readForLoad(),
  'answer load': ({ loads }) => reply(loads),
  'lose load': ({ loads }) => loads.shift()?.reject(new Error('lost')),
  grant: (world) => world.grant(),
  'answer lease': ({ asks }) => reply(asks),
  'lose lease': ({ asks }) => asks.shift()?.reject(new Error('lost')),
  news: ({ wire }) => wire.deliver(wire.news.shift()),
  'duplicate news': ({ wire }) => wire.deliver(wire.news[0]),
  'drop news': ({ wire }) => void wire.news.shift(),
  ack: (world) => world.takeAck(0),
  'late ack': (world) => world.takeAck(1),
  'lose ack': ({ wire }) => void wire.acks.shift(),
  'new epoch': (world) => world.newEpoch(),
  // Stopped: time goes on, and none of the gateway's timers with it.
  pause: (world) => {
    world.nowMs += 20_000;
  },
  // What was on its way is lost, and every question with it.
  reconnect: ({ wire, loads, asks }) => {
    wire.news.length = 0;
    wire.acks.length = 0;
    for (const { reject } of [...loads.splice(0), ...asks.splice(0)]) reject(new Error('lost'));
    wire.reconnect();
  },
};

async function advance(world: World, ms: number): Promise<void> {
  world.nowMs += ms;
  jest.advanceTimersByTime(ms);
  await settle();
}

describe('a gateway', () => {
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask', 'performance', 'Date', 'hrtime'] });
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('answers as one that asks each time, but for five seconds at worst, whatever happens on the way', async () => {
    let [answered, remembered] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 150, size: 'max' }), async (steps) => {
        const world = new World();
        const running: Promise<void>[] = [world.lease.start()];
        for (const each of [...['grant', 'answer lease'], ...steps]) {
          if (typeof each === 'number') await advance(world, each);
          else if (typeof each === 'string') STEPS[each]?.(world);
          else running.push(world.request(each));
          await settle();
          world.answerChanges();
          await settle();
        }
        await quiet(world);
        await Promise.all(running);
        expect(world.wrong).toEqual([]);
        answered += world.answers.length;
        // All is calm again: memory is the truth, and is answered from.
        const { length } = world.loads;
        for (const tag of ['a', 'b']) {
          const last = world.request([tag]);
          await calm(world);
          await last;
          expect(world.answers.at(-1)?.value).toEqual({ [tag]: world.versions.get(tag) });
          await world.request([tag]);
          expect(world.answers.at(-1)).toMatchObject({ value: { [tag]: world.versions.get(tag) }, leased: true });
          remembered++;
        }
        expect(world.loads).toHaveLength(length);
        await world.lease.stop();
      }),
      { numRuns: Number(process.env.VIVARIUM_RUNS ?? 1_500) },
    );
    expect(answered).toBeGreaterThan(1_000);
    expect(remembered).toBeGreaterThan(100);
  }, 120_000);

  /** Lets everything through, until the lease is held and nothing is on its way. */
  async function quiet(world: World): Promise<void> {
    for (let round = 0; round < 12; round++) {
      await calm(world);
      await advance(world, 600);
      world.answerChanges();
    }
    expect(world.lease.isHeld()).toBe(true);
  }

  async function calm(world: World): Promise<void> {
    const { wire, loads, asks } = world;
    for (let round = 0; round < 50; round++) {
      if (wire.news.length + wire.acks.length + loads.length + asks.length === 0) return;
      for (const what of ['news', 'ack', 'read', 'answer load', 'grant', 'answer lease']) {
        STEPS[what]?.(world);
        await settle();
      }
    }
  }
});
