import fc from 'fast-check';
import { FactCache } from './cache.js';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A service whose facts change, that answers when it is told to, and whose news arrive when they are delivered. */
class World {
  readonly versions = new Map([
    ['a', 0],
    ['b', 0],
  ]);
  /** The latest version of each fact that the cache was told of. */
  readonly told = new Map<string, number>();
  readonly news: { tag: string; version: number }[] = [];
  readonly waiting: (() => void)[] = [];
  leased = true;
  nowMs = 0;
  loads = 0;
  readonly cache = new FactCache({ isLeased: () => this.leased, nowMs: () => this.nowMs, maxEntries: 10 });

  change(tag: string): void {
    const version = (this.versions.get(tag) ?? 0) + 1;
    this.versions.set(tag, version);
    this.news.push({ tag, version });
  }

  deliver(): void {
    const fact = this.news.shift();
    if (fact === undefined) return;
    this.told.set(fact.tag, fact.version);
    this.cache.forget([fact]);
  }

  /** A gap: some news never arrive, and the holder knows it. */
  lose(): void {
    this.news.length = 0;
    for (const [tag, version] of this.versions) this.told.set(tag, version);
    this.cache.forgetService('s');
  }

  ask(tags: readonly string[]): Record<string, number> | Promise<Record<string, number>> {
    return this.cache.get({
      key: tags.join(' '),
      services: ['s'],
      load: async () => {
        this.loads++;
        // Read now, answered later: what changes in between is not in the answer.
        const value = this.now(tags);
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        return { value, versions: tags.map((tag) => ({ tag, version: value[tag] ?? 0 })) };
      },
    });
  }

  now(tags: readonly string[]): Record<string, number> {
    return Object.fromEntries(tags.map((tag) => [tag, this.versions.get(tag) ?? 0]));
  }
}

const KEYS = [['a'], ['b'], ['a', 'b']] as const;
const step = fc.oneof(
  fc.constantFrom('change a', 'change b', 'deliver', 'deliver', 'answer', 'answer', 'lose', 'lease', 'unlease'),
  fc.nat(2).map((key) => ({ ask: key })),
  fc.nat(2).map((key) => ({ ask: key })),
);

describe('remembered facts', () => {
  it('are never older than the news, however requests, changes, news and gaps interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = new World();
        const running: Promise<void>[] = [];
        for (const each of steps) {
          if (typeof each === 'object') running.push(check(world, KEYS[each.ask] ?? ['a']));
          else act(world, each);
          await settle();
        }
        world.leased = true;
        while (world.news.length > 0) world.deliver();
        while (world.waiting.length > 0) {
          world.waiting.shift()?.();
          await settle();
        }
        await Promise.all(running);
        // All news are in, so memory is the truth.
        for (const tags of KEYS) {
          const answer = world.ask(tags);
          while (world.waiting.length > 0) {
            world.waiting.shift()?.();
            await settle();
          }
          expect(await answer).toEqual(world.now(tags));
          expect(world.ask(tags)).toEqual(world.now(tags));
        }
      }),
      { numRuns: 500 },
    );
  }, 60_000);

  async function check(world: World, tags: readonly string[]): Promise<void> {
    const [leased, before] = [world.leased, new Map(world.told)];
    const answer = world.ask(tags);
    if (answer instanceof Promise) {
      // A request that fails is no wrong answer: the facts changed five times while it waited.
      const value = await answer.catch(() => undefined);
      if (value === undefined) return;
      for (const tag of tags) expect(value[tag] ?? -1).toBeGreaterThanOrEqual(before.get(tag) ?? 0);
      return;
    }
    expect(leased).toBe(true);
    for (const tag of tags) expect(answer[tag] ?? -1).toBeGreaterThanOrEqual(world.told.get(tag) ?? 0);
  }

  function act(world: World, what: string): void {
    if (what.startsWith('change ')) world.change(what.slice(7));
    else if (what === 'deliver') world.deliver();
    else if (what === 'answer') world.waiting.shift()?.();
    else if (what === 'lose') world.lose();
    else world.leased = what === 'lease';
  }

  it('are asked for once by many who ask at once', async () => {
    const world = new World();
    const asked = [world.ask(['a']), world.ask(['a']), world.ask(['a'])];
    world.waiting.shift()?.();
    expect(await Promise.all(asked)).toEqual([{ a: 0 }, { a: 0 }, { a: 0 }]);
    expect(world.loads).toBe(1);
  });

  it('are asked for again when news of them came while the answer was on its way', async () => {
    const world = new World();
    const asked = world.ask(['a']);
    world.change('a');
    world.deliver();
    world.waiting.shift()?.();
    await settle();
    world.waiting.shift()?.();
    expect(await asked).toEqual({ a: 1 });
    expect(world.loads).toBe(2);
  });

  it('are not taken from before a gap in the news, neither by who asks then nor by who asked before', async () => {
    const world = new World();
    const early = world.ask(['a']);
    world.change('a');
    world.lose();
    const late = world.ask(['a']);
    while (world.waiting.length > 0) {
      world.waiting.shift()?.();
      await settle();
    }
    expect(await early).toEqual({ a: 1 });
    expect(await late).toEqual({ a: 1 });
    expect(world.ask(['a'])).toEqual({ a: 1 });
  });

  it('are not asked for again because of a gap in the news of another service', async () => {
    const world = new World();
    const asked = world.ask(['a']);
    world.cache.forgetService('other');
    world.waiting.shift()?.();
    await asked;
    expect(world.loads).toBe(1);
  });

  it('are not shared without a lease with who asks long after', async () => {
    const world = new World();
    world.leased = false;
    const early = world.ask(['a']);
    const soon = world.ask(['a']);
    world.nowMs = 500;
    world.change('a');
    const late = world.ask(['a']);
    for (const answer of world.waiting.splice(0)) answer();
    expect(await Promise.all([early, soon, late])).toEqual([{ a: 0 }, { a: 0 }, { a: 1 }]);
  });

  it('of an answer that came late do not replace newer ones', async () => {
    const world = new World();
    world.leased = false;
    const early = world.ask(['a']);
    world.nowMs = 500;
    world.change('a');
    const late = world.ask(['a']);
    world.waiting.pop()?.();
    await late;
    world.deliver();
    world.waiting.shift()?.();
    await settle();
    world.waiting.shift()?.();
    expect(await early).toEqual({ a: 1 });
    world.leased = true;
    expect(world.ask(['a'])).toEqual({ a: 1 });
  });

  it('are asked for each time where they are not to be kept', async () => {
    const cache = new FactCache({ isLeased: () => true, nowMs: () => 0 });
    let loads = 0;
    const ask = () =>
      cache.get({ key: 'k', services: [], isKept: () => false, load: async () => ({ value: ++loads, versions: [] }) });
    expect([await ask(), await ask()]).toEqual([1, 2]);
  });

  it('are not used without a lease', async () => {
    const world = new World();
    const asked = world.ask(['a']);
    world.waiting.shift()?.();
    await asked;
    expect(world.ask(['a'])).toEqual({ a: 0 });
    world.leased = false;
    expect(world.ask(['a'])).toBeInstanceOf(Promise);
  });

  it('are forgotten by age where they change without news', async () => {
    let [nowMs, loads] = [0, 0];
    const cache = new FactCache({ isLeased: () => true, nowMs: () => nowMs });
    const ask = () =>
      cache.get({ key: 'k', services: [], maxAgeMs: 100, load: async () => ({ value: ++loads, versions: [] }) });
    await ask();
    nowMs = 99;
    expect(ask()).toBe(1);
    nowMs = 100;
    expect(await ask()).toBe(2);
  });

  it('do not include failures', async () => {
    const cache = new FactCache({ isLeased: () => true, nowMs: () => 0 });
    const query = { key: 'k', services: [], load: () => Promise.reject(new Error('away')) };
    await expect(cache.get(query)).rejects.toThrow('away');
    expect(await cache.get({ ...query, load: async () => ({ value: 1, versions: [] }) })).toBe(1);
  });

  it('give up on what changes with every answer', async () => {
    const cache = new FactCache({ isLeased: () => true, nowMs: () => 0 });
    let version = 0;
    const load = async () => {
      cache.forget([{ tag: 'a', version: version + 1 }]);
      return { value: version, versions: [{ tag: 'a', version: version++ }] };
    };
    await expect(cache.get({ key: 'k', services: [], load })).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('that something is absent do not push out what is there', async () => {
    const cache = new FactCache({ isLeased: () => true, nowMs: () => 0, maxEntries: 10 });
    const ask = (key: string, value: number | undefined) =>
      cache.get({
        key,
        services: [],
        isAbsent: (each) => each === undefined,
        load: async () => ({ value, versions: [] }),
      });
    await ask('here', 1);
    for (let count = 0; count < 5_000; count++) await ask(`absent ${count}`, undefined);
    expect(ask('here', 2)).toBe(1);
    expect(cache.size).toBeLessThanOrEqual(1_001);
  });
  it('keeps room for what is in use, however many empty things a stranger asks for, and remembers those too', async () => {
    const cache = new FactCache({ isLeased: () => true, nowMs: () => 0, maxEntries: 1_000 });
    const ask = (key: string, value: string) =>
      cache.get({
        key,
        services: [],
        isEmpty: (each) => each === '',
        load: async () => ({ value, versions: [{ tag: 'index', version: 1 }] }),
      });
    await ask('here', 'a manifest');
    for (let count = 0; count < 5_000; count++) await ask(`label ${count}`, '');
    expect(ask('here', 'another')).toBe('a manifest');
    expect(cache.size).toBeLessThanOrEqual(1_001);
    expect(cache.remembered({ key: 'label 4999' })).toEqual({ value: '' });
    cache.forget([{ tag: 'index', version: 2 }]);
    expect(cache.size).toBe(0);
  });
});
