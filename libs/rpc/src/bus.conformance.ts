import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { Fault, type FaultCode } from '@vivarium/fault/fault';
import type { Bus, BusMessage, FailureLog } from './bus.js';

/** A network of one driver: any number of services may connect to it. */
export interface BusWorld {
  connect(service: string, log: FailureLog): Promise<Bus>;
  stop(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (payload: Uint8Array) => new TextDecoder().decode(payload);

/** What every driver of the bus must do. Run it on each: `describeBus('NATS', …)`. */
export function describeBus(name: string, open: () => Promise<BusWorld>): void {
  describe(`the bus: ${name}`, () => {
    let world: BusWorld;
    let caller: Bus;
    let server: Bus;
    let other: Bus;
    let logged: { err?: unknown; subject?: unknown }[] = [];
    let prefix = 0;
    // Each test has subjects of its own, so that none hears another's messages.
    const own = (rest: string) => `t${prefix}.${rest}`;

    beforeAll(async () => {
      world = await open();
    });
    afterAll(() => world.stop());
    beforeEach(async () => {
      prefix += 1;
      logged = [];
      const log = { error: (fields: object) => logged.push(fields) };
      [caller, server, other] = await Promise.all([
        world.connect('caller', log),
        world.connect('server', log),
        world.connect('other', log),
      ]);
    });
    afterEach(() => Promise.all([caller.drain(), server.drain(), other.drain()]));

    const refused = async (promise: Promise<unknown>): Promise<Fault> => {
      const error = await promise.then(
        () => new Error('it was answered'),
        (thrown: unknown) => thrown,
      );
      if (error instanceof Fault) return error;
      throw error;
    };

    describe('requests', () => {
      it('brings bytes and headers there and back', async () => {
        let seen: BusMessage | undefined;
        await server.serve(own('echo'), 'q', async (message) => {
          seen = message;
          return { payload: message.payload.toReversed(), headers: new Map([['x-answer', 'yes']]) };
        });
        const payload = Uint8Array.from({ length: 256 }, (_, at) => at);
        const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
        const reply = await caller.request(own('echo'), payload, {
          headers: new Map([['traceparent', trace]]),
          timeoutMs: 1_000,
        });
        expect(reply.payload).toEqual(payload.toReversed());
        expect(reply.headers.get('x-answer')).toBe('yes');
        expect(seen?.subject).toBe(own('echo'));
        expect(seen?.headers.get('traceparent')).toBe(trace);
      });

      it('brings an empty payload', async () => {
        await server.serve(own('empty'), 'q', async ({ payload }) => ({ payload }));
        const reply = await caller.request(own('empty'), new Uint8Array(), { timeoutMs: 1_000 });
        expect(reply.payload.byteLength).toBe(0);
      });

      it('sends what the payload was at the call, whatever its owner writes afterwards', async () => {
        await server.serve(own('copy'), 'q', async ({ payload }) => ({ payload }));
        const payload = bytes('before');
        const reply = caller.request(own('copy'), payload, { timeoutMs: 1_000 });
        payload.set(bytes('after!'));
        expect(text((await reply).payload)).toBe('before');
      });

      it('answers many at a time', async () => {
        await server.serve(own('slow'), 'q', async ({ payload }) => {
          await pause(100);
          return { payload };
        });
        const started = performance.now();
        const replies = await Promise.all(
          Array.from({ length: 20 }, (_, at) => caller.request(own('slow'), bytes(`${at}`), { timeoutMs: 2_000 })),
        );
        expect(replies.map((reply) => text(reply.payload))).toEqual(Array.from({ length: 20 }, (_, at) => `${at}`));
        expect(performance.now() - started).toBeLessThan(1_000);
      });

      it('shows a handler nothing of its caller but the message', async () => {
        const store = new AsyncLocalStorage<string>();
        const seen: (string | undefined)[] = [];
        await server.serve(own('apart'), 'q', async ({ payload }) => {
          seen.push(store.getStore());
          return { payload };
        });
        await server.subscribe(own('apart.event'), () => seen.push(store.getStore()));
        const ask = (who: string) =>
          store.run(who, async () => {
            caller.publish(own('apart.event'), bytes(''));
            await caller.request(own('apart'), bytes(''), { timeoutMs: 1_000 });
            return store.getStore();
          });
        expect(await Promise.all([ask('ann'), ask('bob')])).toEqual(['ann', 'bob']);
        expect(seen).toEqual([undefined, undefined, undefined, undefined]);
      });

      it('says at once that nobody serves a subject', async () => {
        const started = performance.now();
        const fault = await refused(caller.request(own('nobody'), bytes(''), { timeoutMs: 5_000 }));
        expect([fault.code, fault.message]).toEqual(['unavailable', expect.stringContaining(own('nobody'))]);
        expect(performance.now() - started).toBeLessThan(1_000);
      });

      it('gives up at the deadline', async () => {
        await server.serve(own('late'), 'q', async ({ payload }) => {
          await pause(300);
          return { payload };
        });
        const started = performance.now();
        const fault = await refused(caller.request(own('late'), bytes(''), { timeoutMs: 100 }));
        expect([fault.code, fault.message]).toEqual(['unavailable', expect.stringContaining('100 ms')]);
        expect(performance.now() - started).toBeLessThan(290);
      });

      it('refuses to wait for no time at all', async () => {
        for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
          const fault = await refused(caller.request(own('late'), bytes(''), { timeoutMs }));
          expect(fault.code).toBe('unavailable');
        }
      });

      it('tells the handler how long its caller waits', async () => {
        await server.serve(own('deadline'), 'q', async ({ headers }) => ({
          payload: bytes(headers.get('x-deadline-ms') ?? ''),
        }));
        const reply = await caller.request(own('deadline'), bytes(''), { timeoutMs: 1_234.5 });
        expect(text(reply.payload)).toBe('1235');
      });

      it('gives each request to one member of a queue, and every member some', async () => {
        const counts = new Map<string, number>();
        const serve = (bus: Bus, id: string) =>
          bus.serve(own('shared'), 'q', async ({ payload }) => {
            counts.set(id, (counts.get(id) ?? 0) + 1);
            return { payload };
          });
        await Promise.all([serve(server, 'server'), serve(other, 'other')]);
        await Promise.all(
          Array.from({ length: 100 }, () => caller.request(own('shared'), bytes(''), { timeoutMs: 1_000 })),
        );
        expect([...counts.values()].reduce((sum, count) => sum + count)).toBe(100);
        expect([...counts.keys()].sort()).toEqual(['other', 'server']);
      });
    });

    describe('faults', () => {
      const codes: FaultCode[] = ['invalid', 'unauthenticated', 'forbidden', 'not_found', 'conflict', 'too_large'];
      it.each([...codes, 'rate_limited', 'unavailable', 'internal'] as const)(
        'keeps the code %s and the public message',
        async (code) => {
          await server.serve(own('fault'), 'q', async () => {
            throw new Fault(code, 'größer als acme/numpy erlaubt', { cause: new Error('password=hunter2') });
          });
          const fault = await refused(caller.request(own('fault'), bytes(''), { timeoutMs: 1_000 }));
          expect([fault.code, fault.message]).toEqual([code, 'größer als acme/numpy erlaubt']);
          expect(fault.cause).toBeUndefined();
        },
      );

      it('hides an unexpected error from the caller, and logs it once where it happened', async () => {
        await server.serve(own('bug'), 'q', async () => {
          throw new Error('password=hunter2');
        });
        const fault = await refused(caller.request(own('bug'), bytes(''), { timeoutMs: 1_000 }));
        expect(fault.code).toBe('internal');
        expect(fault.message).not.toContain('hunter2');
        expect(logged).toEqual([
          { err: expect.objectContaining({ message: 'password=hunter2' }), subject: own('bug') },
        ]);
      });
    });

    describe('sizes', () => {
      it('carries a message of nearly 1 MiB', async () => {
        await server.serve(own('big'), 'q', async ({ payload }) => ({ payload }));
        const payload = new Uint8Array(1_048_000).fill(7);
        const reply = await caller.request(own('big'), payload, { timeoutMs: 5_000 });
        expect(Buffer.from(reply.payload).equals(payload)).toBe(true);
      });

      it('refuses a larger request, event or answer, and says which', async () => {
        const large = new Uint8Array(1_048_577);
        await server.serve(own('large'), 'q', async () => ({ payload: large }));
        const asked = await refused(caller.request(own('large'), large, { timeoutMs: 1_000 }));
        expect([asked.code, asked.message]).toEqual(['too_large', expect.stringContaining(own('large'))]);
        expect(() => caller.publish(own('large'), large)).toThrow(Fault);
        const answered = await refused(caller.request(own('large'), bytes(''), { timeoutMs: 1_000 }));
        expect([answered.code, answered.message]).toEqual(['too_large', expect.stringContaining(own('large'))]);
        await caller.check();
      });

      it('counts headers in', async () => {
        const headers = new Map([['x-long', 'a'.repeat(600_000)]]);
        const fault = await refused(
          caller.request(own('large'), new Uint8Array(600_000), { headers, timeoutMs: 1_000 }),
        );
        expect(fault.code).toBe('too_large');
      });
    });

    describe('events', () => {
      it('reach all who listen, in the order of one publisher', async () => {
        const heard = { server: [] as string[], other: [] as string[] };
        await server.subscribe(own('news'), ({ payload }) => heard.server.push(text(payload)));
        await other.subscribe(own('news'), ({ payload }) => heard.other.push(text(payload)));
        const sent = Array.from({ length: 1_000 }, (_, at) => `${at}`);
        for (const item of sent) caller.publish(own('news'), bytes(item));
        await caller.flush();
        await Promise.all([server.flush(), other.flush()]);
        expect(heard).toEqual({ server: sent, other: sent });
      });

      it('reach one member of each queue', async () => {
        let inFirst = 0;
        let inSecond = 0;
        await server.subscribe(own('work'), () => inFirst++, { queue: 'first' });
        await other.subscribe(own('work'), () => inFirst++, { queue: 'first' });
        await other.subscribe(own('work'), () => inSecond++, { queue: 'second' });
        for (let sent = 0; sent < 50; sent++) caller.publish(own('work'), bytes(''));
        await caller.flush();
        await Promise.all([server.flush(), other.flush()]);
        expect([inFirst, inSecond]).toEqual([50, 50]);
      });

      it.each([
        ['a.*', ['a.b', 'a.c'], ['a', 'a.b.c', 'b.a']],
        ['*.b.*', ['a.b.c', 'x.b.x'], ['a.b', 'a.c.c', 'a.b.c.d']],
        ['a.>', ['a.b', 'a.b.c', 'a.b.c.d'], ['a', 'b.a']],
        ['a.b', ['a.b'], ['a.B', 'a', 'a.b.c', 'ab']],
      ])('match %s to its subjects only', async (pattern, inside, outside) => {
        const heard: string[] = [];
        await server.subscribe(own(pattern), ({ subject }) => heard.push(subject));
        for (const subject of [...outside, ...inside]) caller.publish(own(subject), bytes(''));
        await caller.flush();
        await server.flush();
        expect(heard).toEqual(inside.map(own));
      });

      it('are not handled before publish returns', async () => {
        let isHeard = false;
        await caller.subscribe(own('self'), () => {
          isHeard = true;
        });
        caller.publish(own('self'), bytes(''));
        expect(isHeard).toBe(false);
        await caller.flush();
        expect(isHeard).toBe(true);
      });

      it('go on after a handler that throws, which is logged', async () => {
        const heard: string[] = [];
        await server.subscribe(own('frail'), ({ payload }) => {
          if (text(payload) === 'bad') throw new Error('no');
          heard.push(text(payload));
        });
        for (const item of ['one', 'bad', 'two']) caller.publish(own('frail'), bytes(item));
        await caller.flush();
        await server.flush();
        expect(heard).toEqual(['one', 'two']);
        expect(logged).toHaveLength(1);
      });

      it('stop with the subscription', async () => {
        let count = 0;
        const subscription = await server.subscribe(own('ended'), () => count++);
        caller.publish(own('ended'), bytes(''));
        await caller.flush();
        await subscription.close();
        caller.publish(own('ended'), bytes(''));
        await caller.flush();
        await server.flush();
        expect(count).toBe(1);
      });
    });

    describe('malformed use', () => {
      it.each(['', 'a b', 'a..b', '.a', 'a.', 'a.*', '>', 'a\r\nPUB x', 'ä', 'a'.repeat(257)])(
        'refuses the subject %j',
        async (subject) => {
          expect((await refused(caller.request(subject, bytes(''), { timeoutMs: 1_000 }))).code).toBe('invalid');
          expect(() => caller.publish(subject, bytes(''))).toThrow(Fault);
        },
      );

      it.each(['', 'a b', 'a.>.b', 'a*', '>.a', 'a\r\nSUB x'])('refuses the pattern %j', async (pattern) => {
        expect((await refused(server.subscribe(pattern, () => undefined))).code).toBe('invalid');
      });

      it.each([
        ['x-a', 'one\r\nx-b: two'],
        ['x-a', 'ä'],
        ['X-Upper', 'a'],
        ['x a', 'a'],
      ])('refuses the header %j: %j', async (header, value) => {
        expect(() => caller.publish(own('x'), bytes(''), new Map([[header, value]]))).toThrow(Fault);
      });
    });

    describe('drain', () => {
      it('lets running handlers answer, and takes nothing more', async () => {
        let calls = 0;
        await server.serve(own('drain'), 'q', async ({ payload }) => {
          calls += 1;
          await pause(200);
          return { payload };
        });
        const running = [1, 2, 3].map((at) => caller.request(own('drain'), bytes(`${at}`), { timeoutMs: 2_000 }));
        while (calls < 3) await pause(5);
        const drained = server.drain();
        await pause(50);
        const refusedNow = await refused(caller.request(own('drain'), bytes(''), { timeoutMs: 2_000 }));
        expect(refusedNow.message).toContain('Nobody answers');
        expect((await Promise.all(running)).map(({ payload }) => text(payload))).toEqual(['1', '2', '3']);
        await drained;
        expect([calls, server.connected]).toEqual([3, false]);
        expect((await refused(server.request(own('drain'), bytes(''), { timeoutMs: 100 }))).code).toBe('unavailable');
        await expect(server.check()).rejects.toMatchObject({ code: 'unavailable' });
      });

      it('lets a running handler ask others', async () => {
        await other.serve(own('inner'), 'q', async () => ({ payload: bytes('inner') }));
        let isCalled = false;
        await server.serve(own('outer'), 'q', async () => {
          isCalled = true;
          await pause(100);
          return server.request(own('inner'), bytes(''), { timeoutMs: 1_000 });
        });
        const reply = caller.request(own('outer'), bytes(''), { timeoutMs: 2_000 });
        while (!isCalled) await pause(5);
        await server.drain();
        expect(text((await reply).payload)).toBe('inner');
      });

      it('answers every request of a caller while members of the queue come and go', async () => {
        const handler = async ({ payload }: BusMessage) => {
          await pause(1);
          return { payload };
        };
        await other.serve(own('rolling'), 'q', handler);
        let isRolling = true;
        const asking = (async () => {
          let answered = 0;
          while (isRolling) {
            await caller.request(own('rolling'), bytes(''), { timeoutMs: 2_000 });
            answered += 1;
          }
          return answered;
        })();
        for (let round = 0; round < 10; round++) {
          const subscription = await server.serve(own('rolling'), 'q', handler);
          await pause(20);
          await subscription.close();
        }
        isRolling = false;
        expect(await asking).toBeGreaterThan(20);
      });

      it('may be asked twice', async () => {
        await Promise.all([other.drain(), other.drain()]);
        await other.drain();
      });
    });

    it('is connected and answers a check', async () => {
      expect(caller.connected).toBe(true);
      await caller.check();
    });
  });
}
