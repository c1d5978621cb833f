import { Fault } from '@vivarium/fault/fault';
import { FactCache, type Query } from './cache.js';
import { Floors } from './floor.js';

/** What a channel's floor file holds, and a cache that knows one thing of it under a lease that is lost. */
class World {
  nowMs = 0;
  leased = true;
  stored: string | undefined;
  isStoreAway = false;
  reads = 0;
  service: () => Promise<string | undefined> = async () => 'told';
  readonly #cache = new FactCache({ isLeased: () => this.leased, nowMs: () => this.nowMs });
  readonly #floors = new Floors({
    cache: this.#cache,
    nowMs: () => this.nowMs,
    blobs: {
      get: async () => {
        this.reads++;
        const { stored, isStoreAway } = this;
        if (isStoreAway) throw new Fault('unavailable', 'The store is away.');
        if (stored === undefined) throw new Fault('not_found', 'nothing');
        const bytes = async () => Buffer.from(stored);
        const discard = async () => undefined;
        return { sizeBytes: stored.length, lengthBytes: stored.length, bytes, discard, stream: () => unused() };
      },
    },
  });

  ask(caller: 'stranger' | 'alice' = 'stranger'): string | undefined | Promise<string | undefined> {
    const query: Query<string | undefined> = {
      key: 'k',
      services: ['s'],
      isAbsent: (value) => value === undefined,
      load: async () => ({ value: await this.service(), versions: [] }),
    };
    const channel = { id: 'c', floor: 5 };
    if (caller === 'stranger') return this.#floors.get(query, () => channel);
    const credential = { kind: 'session', id: 's' } as const;
    const account = { kind: 'account', accountId: 'a', accountKind: 'user', login: 'a', superuser: false } as const;
    return this.#floors.read(query, { caller: { ...account, credential }, channel });
  }

  async loseLease(): Promise<void> {
    await this.ask();
    this.leased = false;
    this.service = () => Promise.reject(new Fault('unavailable', 'Nobody answers.'));
  }
}

function unused(): never {
  throw new Error('a floor is read whole');
}

describe('without a lease', () => {
  let world: World;
  beforeEach(async () => {
    world = new World();
    await world.loseLease();
  });

  it.each([
    ['nothing was ever hidden', undefined],
    ['nothing was hidden since', '{"floor":5}'],
  ])('a stranger is answered from memory if %s', async (_, stored) => {
    world.stored = stored;
    expect(await world.ask()).toBe('told');
  });

  it.each([
    ['something was hidden since', '{"floor":6}'],
    ['the floor is none', '{"floor":-1}'],
    ['the floor is cut off', '{"flo'],
  ])('a stranger is refused if %s', async (_, stored) => {
    world.stored = stored;
    await expect(world.ask()).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('a stranger is refused if the floor cannot be read', async () => {
    world.isStoreAway = true;
    await expect(world.ask()).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('somebody else is refused', async () => {
    await expect(world.ask('alice')).rejects.toMatchObject({ code: 'unavailable' });
    expect(world.reads).toBe(0);
  });

  it('everybody is told what the service says, as soon as it says something', async () => {
    world.service = async () => 'news';
    expect(await world.ask()).toBe('news');
    expect(await world.ask('alice')).toBe('news');
    expect(world.reads).toBe(0);
  });

  it('a refusal of the service is the answer', async () => {
    world.service = () => Promise.reject(new Fault('forbidden', 'No.'));
    await expect(world.ask()).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('a service that is slow is not waited for', async () => {
    world.service = () => new Promise(() => undefined);
    const begun = performance.now();
    expect(await world.ask()).toBe('told');
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('the floor is read again after a second', async () => {
    await world.ask();
    world.stored = '{"floor":6}';
    world.nowMs = 999;
    expect(await world.ask()).toBe('told');
    expect(world.reads).toBe(1);
    world.nowMs = 1_000;
    await expect(world.ask()).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('nobody is told from memory that something is absent', async () => {
    world = new World();
    world.service = async () => undefined;
    await world.loseLease();
    await expect(world.ask()).rejects.toMatchObject({ code: 'unavailable' });
  });
});

it('under a lease no floor is read', async () => {
  const world = new World();
  await world.ask();
  expect(world.ask()).toBe('told');
  expect(world.reads).toBe(0);
});
