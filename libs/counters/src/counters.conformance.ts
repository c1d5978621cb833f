import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Counters } from './counters.js';

/** What every driver of the counters must do. `make` may be called once; the suite closes what it gives. */
export function describeCounters(name: string, make: () => Promise<Counters>): void {
  describe(`counters: ${name}`, () => {
    let counters: Counters;
    beforeAll(async () => {
      counters = await make();
    }, 60_000);
    afterAll(() => counters.close());

    it('allows as many as the limit, says how many are left, and then when to come again', async () => {
      const key = randomUUID();
      for (const remaining of [2, 1, 0]) {
        expect(await counters.hit(key, 60, 3)).toEqual({ allowed: true, remaining, retryAfterSeconds: 0 });
      }
      const { retryAfterSeconds, ...refused } = await counters.hit(key, 60, 3);
      expect(refused).toEqual({ allowed: false, remaining: 0 });
      expect(retryAfterSeconds).toBeGreaterThanOrEqual(59);
      expect(retryAfterSeconds).toBeLessThanOrEqual(60);
    });

    it('begins anew when the window ends, which refused hits do not put off', async () => {
      const key = randomUUID();
      expect((await counters.hit(key, 1, 1)).allowed).toBe(true);
      for (let round = 0; round < 3; round++) {
        await sleep(250);
        expect(await counters.hit(key, 1, 1)).toEqual({ allowed: false, remaining: 0, retryAfterSeconds: 1 });
      }
      await sleep(400);
      expect((await counters.hit(key, 1, 1)).allowed).toBe(true);
    });

    it('counts each key by itself', async () => {
      const [one, other] = [randomUUID(), randomUUID()];
      expect((await counters.hit(one, 60, 1)).allowed).toBe(true);
      expect((await counters.hit(other, 60, 1)).allowed).toBe(true);
      expect((await counters.hit(one, 60, 1)).allowed).toBe(false);
    });

    it('allows exactly the limit of 200 hits at once', async () => {
      const key = randomUUID();
      const verdicts = await Promise.all(Array.from({ length: 200 }, () => counters.hit(key, 60, 10)));
      expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(10);
    });

    it('forgets a key that is reset, and only that', async () => {
      const [one, other] = [randomUUID(), randomUUID()];
      for (const key of [one, other]) await counters.hit(key, 60, 1);
      await counters.reset(one);
      await counters.reset(randomUUID());
      expect((await counters.hit(one, 60, 1)).allowed).toBe(true);
      expect((await counters.hit(other, 60, 1)).allowed).toBe(false);
    });

    it('takes any text as a key, long ones too, and tells them apart', async () => {
      const long = `${randomUUID()} ü \n ${'x'.repeat(100_000)}`;
      expect((await counters.hit(`${long}1`, 60, 1)).allowed).toBe(true);
      expect((await counters.hit(`${long}2`, 60, 1)).allowed).toBe(true);
      expect((await counters.hit(`${long}1`, 60, 1)).allowed).toBe(false);
    });

    it('allows nothing under a limit of 0', async () => {
      expect((await counters.hit(randomUUID(), 60, 0)).allowed).toBe(false);
    });

    it('finds itself in order', async () => {
      await expect(counters.check()).resolves.toBeUndefined();
    });
  });
}
