/**
 * @jest-environment-options {"customExportConditions": ["source", "node"]}
 */
import { readFile } from 'node:fs/promises';
import { jest } from '@jest/globals';
import pg from 'pg';
import { Leases } from './leases.js';
import { inTransaction, openPool } from './open.js';
import { addToOutbox, type Position } from './outbox.js';
import { Relay } from './relay.js';
import { startTemporaryPostgres, type TemporaryPostgres } from './temporary.js';

jest.setTimeout(60_000);

interface Message extends Position {
  readonly text: string;
}

describe('the outbox', () => {
  let server: TemporaryPostgres;
  let pool: pg.Pool;
  let count = 0;
  const pools: pg.Pool[] = [];
  const relays: Relay[] = [];
  let bus: Message[] = [];

  beforeAll(async () => {
    server = await startTemporaryPostgres();
  });

  afterAll(() => server.stop());

  beforeEach(async () => {
    const schema = `house_${++count}`;
    const admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query(`CREATE SCHEMA ${schema}; SET search_path TO ${schema}`);
    await admin.query(await readFile(new URL('../sql/outbox.sql', import.meta.url), 'utf8'));
    await admin.end();
    pool = replica(schema);
    bus = [];
  });

  afterEach(async () => {
    for (const relay of relays.splice(0)) await relay.stop();
    for (const each of pools.splice(0)) await each.end();
  });

  function replica(schema: string): pg.Pool {
    const made = openPool({ url: server.url, schema, applicationName: 'house', max: 8, log: () => undefined });
    pools.push(made);
    return made;
  }

  function aRelay(overrides: Partial<ConstructorParameters<typeof Relay>[0]> = {}): Relay {
    const relay = new Relay({
      pool,
      publish: (_topic, payload, { epoch, seq }) =>
        void bus.push({ text: Buffer.from(payload).toString(), epoch, seq }),
      flush: async () => undefined,
      log: () => undefined,
      ...overrides,
    });
    relays.push(relay);
    return relay;
  }

  function add(...texts: string[]): Promise<void> {
    return inTransaction(pool, async (tx) => {
      for (const text of texts) await addToOutbox(tx, 'channel', Buffer.from(text));
    });
  }

  const heard = () => bus.map(({ seq, text }) => `${seq} ${text}`);

  describe('a relay', () => {
    it('announces what was committed, in order, numbered from 1, and nothing that was rolled back', async () => {
      await add('a', 'b');
      await inTransaction(pool, async (tx) => {
        await addToOutbox(tx, 'channel', Buffer.from('never'));
        throw new Error('no');
      }).catch(() => undefined);
      await add('c');
      const position = await aRelay().relay();
      expect(heard()).toEqual(['1 a', '2 b', '3 c']);
      expect(position).toEqual({ epoch: bus[0]?.epoch, seq: 3 });
      expect(position.epoch).toMatch(/^[0-9a-f-]{36}$/);
      expect((await pool.query('SELECT * FROM outbox')).rows).toEqual([]);
    });

    it('takes messages from Prisma transactions too', async () => {
      await addToOutbox(
        { $executeRawUnsafe: async (sql, ...values) => (await pool.query(sql, values)).rowCount ?? 0 },
        'channel',
        Buffer.from('prisma'),
      );
      await aRelay().relay();
      expect(heard()).toEqual(['1 prisma']);
    });

    it('refuses a message that carries data', async () => {
      await expect(
        inTransaction(pool, (tx) => addToOutbox(tx, 'channel', new Uint8Array(65_537))),
      ).rejects.toMatchObject({
        code: 'too_large',
      });
    });

    it('numbers a transaction that commits late after those that it let pass', async () => {
      const relay = aRelay();
      await inTransaction(pool, async (slow) => {
        await addToOutbox(slow, 'channel', Buffer.from('slow'));
        await add('quick');
        expect((await relay.relay()).seq).toBe(1);
      });
      expect((await relay.relay()).seq).toBe(2);
      expect(heard()).toEqual(['1 quick', '2 slow']);
    });

    it('finds what a process committed and was killed before announcing', async () => {
      await add('orphan');
      aRelay({ pollMs: 20 }).start();
      await eventually(() => expect(heard()).toEqual(['1 orphan']));
    });

    it('sends again under the same numbers when it was killed before the end, whatever was committed meanwhile', async () => {
      const cutOff = aRelay({
        flush: async () => {
          throw new Error('bus gone');
        },
      });
      await inTransaction(pool, async (early) => {
        // Takes the lower id, and commits after the others have been sent.
        await addToOutbox(early, 'channel', Buffer.from('early'));
        await add('a', 'b');
        await expect(cutOff.relay()).rejects.toThrow('bus gone');
      });
      await aRelay().relay();
      expect(heard()).toEqual(['1 a', '2 b', '1 a', '2 b', '3 early']);
    });

    it('gives every message of racing writers one number, in order and without a gap, over racing relays', async () => {
      const replicas = [aRelay({ pollMs: 5 }), aRelay({ pollMs: 5 }), aRelay({ pollMs: 5 })];
      for (const relay of replicas) relay.start();
      const writers = [0, 1, 2, 3].map(async (writer) => {
        for (let i = 0; i < 50; i++) {
          const texts = Array.from({ length: 1 + (i % 3) }, (_, j) => `${writer}:${i}:${j}`);
          if (i % 7 === 0) {
            await inTransaction(pool, async (tx) => {
              await addToOutbox(tx, 'channel', Buffer.from('never'));
              throw new Error('no');
            }).catch(() => undefined);
          }
          await add(...texts);
          replicas[i % 3]?.wake();
        }
      });
      await Promise.all(writers);
      const last = await aRelay().relay();
      for (const relay of replicas) await relay.stop();
      // 4 writers of 50 transactions with 1, 2, 3, 1, 2, 3 … messages.
      const total = 4 * (17 * 1 + 17 * 2 + 16 * 3);
      expect(last.seq).toBe(total);
      expect(bus.map(({ seq }) => seq)).toEqual(Array.from({ length: total }, (_, i) => i + 1));
      expect(new Set(bus.map(({ text }) => text)).size).toBe(total);
      expect(bus.some(({ text }) => text === 'never')).toBe(false);
      for (const writer of [0, 1, 2, 3]) {
        const own = bus.map(({ text }) => text).filter((text) => text.startsWith(`${writer}:`));
        expect(own).toEqual([...own].sort((a, b) => Number(a.split(':')[1]) - Number(b.split(':')[1])));
      }
    });

    it('covers everything committed before it was asked, also while a pass is under way', async () => {
      let open: () => void = () => undefined;
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      const relay = aRelay({ flush: () => gate });
      await add('a');
      const first = relay.relay();
      await eventually(() => expect(heard()).toEqual(['1 a']));
      await add('b');
      const second = relay.relay();
      open();
      expect((await first).seq).toBe(1);
      expect((await second).seq).toBe(2);
      expect(heard()).toEqual(['1 a', '2 b']);
    });

    it('announces many thousands at once', async () => {
      await pool.query(
        "INSERT INTO outbox (topic, payload) SELECT 'channel', convert_to(n::text, 'UTF8') FROM generate_series(1, 12000) n",
      );
      expect((await aRelay().relay()).seq).toBe(12_000);
      expect(heard()).toEqual(Array.from({ length: 12_000 }, (_, i) => `${i + 1} ${i + 1}`));
    });

    it('takes over from a relay that stands still in the middle, and the same numbers come again', async () => {
      await add('a');
      const paused = aRelay({ flush: () => new Promise(() => undefined) });
      const stuck = paused.relay().catch((error: unknown) => error);
      await eventually(() => expect(heard()).toEqual(['1 a']));
      await add('b');
      const began = performance.now();
      expect((await aRelay().relay()).seq).toBe(2);
      expect(performance.now() - began).toBeLessThan(4_000);
      expect(heard()).toEqual(['1 a', '1 a', '2 b']);
      expect(await stuck).toMatchObject({ code: 'unavailable' });
    });

    it('is cut off by the database when its whole process stands still', async () => {
      await add('a');
      const holder = await pool.connect();
      holder.on('error', () => undefined);
      await holder.query(
        "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 2500; SELECT pg_advisory_xact_lock(72707370, 'outbox_seq'::regclass::oid::int)",
      );
      expect((await aRelay().relay()).seq).toBe(1);
      await expect(holder.query('COMMIT')).rejects.toThrow();
      holder.release(true);
    });

    it('begins a new epoch when the database is not the one that gave the numbers', async () => {
      const relay = aRelay();
      await add('a', 'b');
      const before = await relay.relay();
      expect((await relay.position()).epoch).toBe(before.epoch);
      // A restored table is a new file; so is a rewritten one.
      await pool.query('VACUUM FULL outbox_seq');
      await add('c');
      const after = await relay.position();
      expect(after.epoch).not.toBe(before.epoch);
      expect(after.seq).toBe(1);
      expect(bus.at(-1)).toEqual({ text: 'c', ...after });
    });

    it('numbers afresh, under the new epoch, what was numbered and not sent under the old one', async () => {
      await add('a');
      await aRelay({ flush: () => Promise.reject(new Error('bus gone')) })
        .relay()
        .catch(() => undefined);
      await pool.query('VACUUM FULL outbox_seq');
      const position = await aRelay().relay();
      expect(bus.at(-1)).toEqual({ text: 'a', ...position });
      expect(position).toEqual({ epoch: position.epoch, seq: 1 });
      expect(bus[0]?.epoch).not.toBe(position.epoch);
    });
  });

  describe('leases', () => {
    it('cover everything committed before they were asked for, announced or not', async () => {
      await add('a', 'b');
      const leases = new Leases({ pool, relay: aRelay() });
      const lease = await leases.grant('gateway-1', 5_000);
      expect(lease).toEqual({ position: { epoch: bus[0]?.epoch, seq: 2 }, ms: 5_000 });
      expect(heard()).toEqual(['1 a', '2 b']);
    });

    it('hold a barrier until every holder has acknowledged, on whichever replica it was granted', async () => {
      const relay = aRelay();
      const [mine, other] = [new Leases({ pool, relay }), new Leases({ pool, relay: aRelay() })];
      await mine.grant('gateway-1', 30_000);
      await other.grant('gateway-2', 30_000);
      await add('revoked');
      const position = await relay.relay();
      const barrier = mine.barrier(position, 20_000);
      const state = watch(barrier);
      mine.acked('gateway-1', position);
      await pause(400);
      expect(state.done).toBe(false);
      mine.acked('gateway-2', { ...position, seq: position.seq - 1 });
      mine.acked('gateway-2', { epoch: 'another', seq: 99 });
      await pause(400);
      expect(state.done).toBe(false);
      mine.acked('gateway-2', position);
      expect(await barrier).toEqual([]);
      expect(await mine.barrier(position, 20_000)).toEqual([]);
    });

    it('let a holder say what it knows when it renews, should its acknowledgement be lost', async () => {
      const relay = aRelay();
      const [mine, other] = [new Leases({ pool, relay }), new Leases({ pool, relay })];
      await add('a');
      await other.grant('gateway-1', 30_000);
      const position = await relay.relay();
      const barrier = mine.barrier(position, 20_000);
      const state = watch(barrier);
      await other.grant('gateway-1', 30_000);
      await pause(400);
      expect(state.done).toBe(false);
      await other.grant('gateway-1', 30_000, position);
      expect(await barrier).toEqual([]);
    });

    it('do not hold a barrier once they have run out', async () => {
      const relay = aRelay();
      const leases = new Leases({ pool, relay });
      await leases.grant('gateway-1', 600);
      await add('revoked');
      const position = await relay.relay();
      const began = performance.now();
      const state = watch(leases.barrier(position, 20_000));
      await pause(200);
      expect(state.done).toBe(false);
      await state.promise;
      expect(performance.now() - began).toBeLessThan(1_500);
      expect(await leases.barrier(position, 20_000)).toEqual([]);
    });

    it('are no reason to wait when given back, or granted after the message had its number', async () => {
      const relay = aRelay();
      const leases = new Leases({ pool, relay });
      await leases.grant('gateway-1', 30_000);
      await add('revoked');
      const position = await relay.relay();
      const barrier = leases.barrier(position, 20_000);
      await pause(50);
      const late = await leases.grant('gateway-2', 30_000);
      expect(late.position.seq).toBeGreaterThanOrEqual(position.seq);
      leases.acked('gateway-1', position);
      expect(await barrier).toEqual([]);
      await leases.release('gateway-2');
      expect((await pool.query('SELECT holder FROM leases')).rows).toEqual([{ holder: 'gateway-1' }]);
    });

    it('are seen by a barrier that runs while they are being granted, or cover what it waits for', async () => {
      const barriers: { readonly position: Position; readonly behind: readonly string[] }[] = [];
      class Interposed extends Relay {
        override async position(): Promise<Position> {
          const early = await super.position();
          await add('revoked');
          const position = await this.relay();
          barriers.push({ position, behind: await new Leases({ pool, relay: this }).barrier(position, 50) });
          return early;
        }
      }
      const relay = new Interposed({
        pool,
        publish: () => undefined,
        flush: async () => undefined,
        log: () => undefined,
      });
      const { position } = await new Leases({ pool, relay }).grant('gateway-1', 30_000);
      expect(position.seq).toBeLessThan(barriers[0]?.position.seq ?? 0);
      expect(barriers[0]?.behind).toEqual(['gateway-1']);
    });

    it('name the holders that are still behind when time is up', async () => {
      const relay = aRelay();
      const leases = new Leases({ pool, relay });
      for (const holder of ['gateway-1', 'gateway-2']) await leases.grant(holder, 30_000);
      await add('revoked');
      const position = await relay.relay();
      leases.acked('gateway-2', position);
      const began = performance.now();
      expect(await leases.barrier(position, 300)).toEqual(['gateway-1']);
      expect(performance.now() - began).toBeGreaterThanOrEqual(290);
    });

    it('accept from a holder the epoch that followed', async () => {
      const relay = aRelay();
      const leases = new Leases({ pool, relay });
      await leases.grant('gateway-1', 30_000);
      await add('a');
      const position = await relay.relay();
      await pool.query('VACUUM FULL outbox_seq');
      const { epoch } = await relay.position();
      const barrier = leases.barrier(position, 20_000);
      leases.acked('gateway-1', { epoch, seq: 0 });
      expect(await barrier).toEqual([]);
    });

    it('refuse nonsense', async () => {
      const leases = new Leases({ pool, relay: aRelay() });
      await expect(leases.grant('', 5_000)).rejects.toMatchObject({ code: 'invalid' });
      await expect(leases.grant('gateway-1', 3_600_000)).rejects.toMatchObject({ code: 'invalid' });
    });
  });
});

function watch<T>(promise: Promise<T>): { done: boolean; readonly promise: Promise<T> } {
  const state = { done: false, promise };
  promise.then(
    () => {
      state.done = true;
    },
    () => undefined,
  );
  return state;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function eventually(check: () => void): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return check();
    } catch (error) {
      if (tries === 200) throw error;
      await pause(10);
    }
  }
}
