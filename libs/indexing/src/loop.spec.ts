import { setTimeout as sleep } from 'node:timers/promises';
import { LocalExchange } from '@vivarium/rpc/local';
import { ToldFeed } from './feed.fixture.js';
import { UnknownChannel } from './feed.js';
import { IndexingLoop, type LoopOptions } from './loop.js';

describe('the loop of an indexer', () => {
  let stopAll: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const stop of stopAll) await stop();
    stopAll = [];
  });

  async function start(options: Omit<Partial<LoopOptions>, 'feed'> & { feed?: ToldFeed } = {}) {
    const bus = new LocalExchange().connect({ error: console.error });
    const told = options.feed ?? new ToldFeed();
    const folds: string[] = [];
    const indexed = new Map<string, number>();
    const errors: Record<string, unknown>[] = [];
    const loop = new IndexingLoop({
      service: 'some-index',
      bus,
      indexed: async () => indexed,
      log: { error: (fields) => errors.push({ ...fields }), warn: (fields) => errors.push({ ...fields }) },
      sweepMs: 60_000,
      ...options,
      feed: {
        async channels(sinceMs, after) {
          const page = await told.channels({ sinceMs: BigInt(sinceMs), after } as never);
          const channels = page.channels.map((each) => ({ ...each, generation: Number(each.generation) }));
          return { channels, more: page.more, nowMs: Number(page.nowMs) };
        },
      },
      fold: async (channelId) => {
        folds.push(channelId);
        const generation = (await options.fold?.(channelId)) ?? told.generationOf(channelId);
        indexed.set(channelId, generation);
        return generation;
      },
    });
    await loop.start();
    stopAll.push(() => loop.stop());
    const change = (channelId: string) => {
      told.touch(channelId);
      told.announce(bus, channelId);
    };
    return { loop, bus, told, folds, indexed, errors, change };
  }

  it('folds a channel when it hears of a change', async () => {
    const { folds, change } = await start();
    change('a');
    await until(() => folds.length === 1);
    expect(folds).toEqual(['a']);
  });

  it('folds every channel that is behind when it starts, page by page, and leaves those that are not', async () => {
    const told = new ToldFeed();
    told.pageSize = 2;
    const ids = ['a', 'b', 'c', 'd', 'e'];
    for (const id of ids) told.touch(id);
    const { folds } = await start({ feed: told, indexed: async () => new Map([['c', 1]]) });
    await until(() => folds.length === 4);
    await sleep(30);
    expect([...folds].sort()).toEqual(['a', 'b', 'd', 'e']);
  });

  it('finds a change whose event was lost at the next sweep', async () => {
    const { folds, told } = await start({ sweepMs: 20 });
    await sleep(50);
    told.touch('quiet');
    await until(() => folds.length === 1);
    await sleep(60);
    expect(folds).toEqual(['quiet']);
  });

  it('folds many changes of one channel in few folds, one at a time, and ends at the newest', async () => {
    let running = 0;
    let most = 0;
    const told = new ToldFeed();
    const { folds, indexed, change } = await start({
      feed: told,
      fold: async (channelId) => {
        most = Math.max(most, ++running);
        // Read first, as a fold does: what changes afterwards is for the next.
        const generation = told.generationOf(channelId);
        await sleep(15);
        running--;
        return generation;
      },
    });
    for (let i = 0; i < 50; i++) {
      change('busy');
      await sleep(1);
    }
    await until(() => indexed.get('busy') === 50);
    expect(most).toBe(1);
    expect(folds.length).toBeLessThan(20);
  });

  it('folds several channels at once, and no more than it may', async () => {
    let running = 0;
    let most = 0;
    const { folds, change } = await start({
      concurrency: 3,
      fold: async () => {
        most = Math.max(most, ++running);
        await sleep(10);
        running--;
        return 1;
      },
    });
    for (let i = 0; i < 9; i++) change(`c${i}`);
    await until(() => folds.length === 9 && running === 0);
    expect(most).toBe(3);
  });

  it('tries a channel that fails again, with growing pauses, and holds no other', async () => {
    const attempts: number[] = [];
    const { folds, errors, change } = await start({
      concurrency: 1,
      fold: async (channelId) => {
        if (channelId === 'good') return 1;
        attempts.push(performance.now());
        if (attempts.length < 4) throw new Error(`not yet ${attempts.length}`);
        return 1;
      },
    });
    change('bad');
    change('good');
    await until(() => folds.includes('good'));
    expect(attempts).toHaveLength(1);
    await until(() => attempts.length === 4);
    const [first = 0, second = 0, third = 0, fourth = 0] = attempts;
    expect(second - first).toBeGreaterThanOrEqual(95);
    expect(third - second).toBeGreaterThanOrEqual(190);
    expect(fourth - third).toBeGreaterThanOrEqual(380);
    expect(errors.map(({ channelId, pauseMs }) => [channelId, pauseMs])).toEqual([
      ['bad', 100],
      ['bad', 200],
      ['bad', 400],
    ]);
  });

  it('says once what stays wrong with a channel, again when something else is, and tries until it is well', async () => {
    let attempts = 0;
    const { folds, errors, indexed, change } = await start({
      fold: async () => {
        attempts++;
        if (attempts < 4) throw new Error('no room');
        if (attempts < 5) throw new Error('no rights');
        return 1;
      },
    });
    change('bad');
    await until(() => indexed.get('bad') === 1);
    expect(folds).toHaveLength(5);
    expect(errors.map(({ error }) => `${error}`)).toEqual(['Error: no room', 'Error: no rights']);
  });

  it('leaves a channel alone that nobody knows, and folds it when it is there after all', async () => {
    let isThere = false;
    const { folds, errors, told, change } = await start({
      sweepMs: 400,
      fold: async (channelId) => {
        if (!isThere) throw new UnknownChannel(channelId, undefined);
        return 1;
      },
    });
    change('nowhere');
    told.channelsById.delete('nowhere');
    await until(() => folds.length === 1);
    await sleep(350);
    expect(folds).toHaveLength(1);
    expect(errors).toMatchObject([{ channelId: 'nowhere', error: { code: 'not_found' } }]);
    isThere = true;
    told.touch('nowhere');
    await until(() => folds.length === 2);
    expect(errors).toHaveLength(1);
  });

  it('does not spin when it hears of a generation that is not there', async () => {
    const { folds, bus, told } = await start();
    const channel = { generation: 99, changedMs: 0, packages: new Map(), changes: new Map() };
    told.channelsById.set('odd', channel);
    told.announce(bus, 'odd');
    channel.generation = 1;
    await until(() => folds.length > 0);
    await sleep(50);
    // The first sweep may have seen it too.
    expect(folds.length).toBeLessThanOrEqual(2);
  });

  it('goes on sweeping when the feed was away, and says so once', async () => {
    const told = new ToldFeed();
    let away = true;
    const list = told.channels.bind(told);
    told.channels = async (request) => {
      if (away) throw new Error('away');
      return list(request);
    };
    told.touch('a');
    const { folds, errors } = await start({ feed: told, sweepMs: 5 });
    await sleep(60);
    expect(errors).toHaveLength(1);
    away = false;
    await until(() => folds.length === 1);
  });

  it('waits for its running folds when it stops, and begins none', async () => {
    let ended = false;
    const { loop, folds, change } = await start({
      concurrency: 1,
      fold: async () => {
        await sleep(40);
        ended = true;
        return 1;
      },
    });
    change('a');
    change('b');
    await until(() => folds.length === 1);
    await loop.stop();
    expect(ended).toBe(true);
    await sleep(60);
    expect(folds).toEqual(['a']);
  });
});

async function until(isTrue: () => boolean): Promise<void> {
  for (const endMs = performance.now() + 5_000; !isTrue(); ) {
    if (performance.now() > endMs) throw new Error(`It did not become true: ${isTrue}`);
    await sleep(2);
  }
}
