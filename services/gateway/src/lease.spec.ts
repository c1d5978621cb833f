import { setTimeout as pause } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import {
  type Acknowledgement,
  AcknowledgementSchema,
  InvalidationSchema,
  LeaseResponseSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import { acknowledgementSubject, invalidationSubject } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { publishEvent, subscribeEvent } from '@vivarium/rpc/events';
import { LocalExchange } from '@vivarium/rpc/local';
import { Lease } from './lease.js';

const LEASE_MS = 5_000;

/** Waits for what the lease does by itself within a second or two, longer on a slow machine. */
async function until(isSo: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!isSo() && performance.now() < end) await pause(10);
}

describe('a lease', () => {
  let bus: Bus;
  let nowMs: number;
  let server: { epoch: string; seq: number; away: boolean };
  let forgotten: { tag: string; version: number }[];
  let wholly: number;
  let acknowledged: Acknowledgement[];
  let lease: Lease;
  let held: Promise<void> | undefined;

  beforeEach(async () => {
    bus = new LocalExchange().connect({ error: console.error });
    [nowMs, wholly, forgotten, acknowledged] = [0, 0, [], []];
    held = undefined;
    server = { epoch: 'e', seq: 3, away: false };
    await subscribeEvent(
      bus,
      AcknowledgementSchema,
      acknowledgementSubject('s'),
      (each) => void acknowledged.push(each),
    );
    lease = new Lease({
      service: 's',
      holder: 'h',
      bus,
      ask: async () => {
        const { epoch, seq, away } = server;
        await held;
        if (away) throw new Error('away');
        return create(LeaseResponseSchema, { epoch, seq: BigInt(seq), leaseMs: BigInt(LEASE_MS) });
      },
      forget: (facts) => forgotten.push(...facts),
      forgetAll: () => wholly++,
      nowMs: () => nowMs,
      log: () => undefined,
    });
    await lease.start();
  });
  afterEach(async () => {
    await lease.stop();
    await bus.drain();
  });

  async function tell(seq: number, epoch = 'e', tag = 'a'): Promise<void> {
    publishEvent(bus, InvalidationSchema, invalidationSubject('s'), {
      epoch,
      seq: BigInt(seq),
      facts: [{ tag, version: BigInt(seq) }],
    });
    await bus.flush();
    // What the holder says in return comes after what it was told.
    await bus.flush();
  }

  it('is held from the moment of asking, for its time and no longer', () => {
    expect(lease.isHeld()).toBe(true);
    nowMs = LEASE_MS - 1;
    expect(lease.isHeld()).toBe(true);
    nowMs = LEASE_MS;
    expect(lease.isHeld()).toBe(false);
  });

  it('forgets each fact that it is told of, and says so', async () => {
    await tell(4);
    await tell(5);
    expect(forgotten).toEqual([
      { tag: 'a', version: 4 },
      { tag: 'a', version: 5 },
    ]);
    expect(acknowledged.at(-1)).toMatchObject({ holder: 'h', epoch: 'e', seq: 5n });
    expect(lease.isHeld()).toBe(true);
  });

  it('forgets everything at a gap, and goes on from there', async () => {
    const before = wholly;
    await tell(6);
    expect(wholly).toBe(before + 1);
    await tell(7);
    expect(wholly).toBe(before + 1);
    expect(acknowledged.at(-1)?.seq).toBe(7n);
  });

  it('forgets everything in a new epoch', async () => {
    const before = wholly;
    server.away = true;
    await tell(1, 'f');
    expect(wholly).toBe(before + 1);
    expect(acknowledged.at(-1)).toMatchObject({ epoch: 'f', seq: 1n });
  });

  it('ends in a new epoch, and is asked for anew at once', async () => {
    server.away = true;
    await tell(1, 'f');
    expect(lease.isHeld()).toBe(false);
    [server.away, server.epoch, server.seq] = [false, 'f', 1];
    await until(() => lease.isHeld());
    expect(lease.isHeld()).toBe(true);
  });

  it('that was asked for before a loss is not brought back by a late answer', async () => {
    let answer: () => void = () => undefined;
    held = new Promise((resolve) => (answer = resolve));
    await pause(1_100);
    [held, server.away] = [undefined, true];
    await tell(9, 'f');
    answer();
    await pause(10);
    expect(lease.isHeld()).toBe(false);
  });

  it('is given up at the end, so that nobody waits for who is gone', async () => {
    await lease.stop();
    await bus.flush();
    expect(lease.isHeld()).toBe(false);
    expect(acknowledged.at(-1)).toMatchObject({ holder: 'h', epoch: 'e', seq: BigInt(Number.MAX_SAFE_INTEGER) });
  });

  it('takes news that come twice once', async () => {
    await tell(4);
    await tell(4);
    expect(forgotten).toHaveLength(1);
    expect(wholly).toBe(1);
  });

  it('does not count while news are missing that the service speaks of', async () => {
    server.seq = 4;
    await until(() => !lease.isHeld());
    expect(lease.isHeld()).toBe(false);
    await tell(4);
    expect(lease.isHeld()).toBe(true);
  });

  it('gives up on news that do not come, and forgets everything instead', async () => {
    const before = wholly;
    server.seq = 5;
    await until(() => acknowledged.at(-1)?.seq === 5n && lease.isHeld());
    expect(wholly).toBe(before + 1);
    expect(lease.isHeld()).toBe(true);
    expect(acknowledged.at(-1)?.seq).toBe(5n);
  });

  it('ends when the service is away, and comes back with it', async () => {
    server.away = true;
    nowMs = LEASE_MS;
    // Long enough to ask in vain.
    await pause(1_100);
    expect(lease.isHeld()).toBe(false);
    server.away = false;
    await until(() => lease.isHeld());
    expect(lease.isHeld()).toBe(true);
  });
});
