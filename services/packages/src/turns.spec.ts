import { Turns } from './turns.js';

/** Takes, and writes down when it came to its turn. */
function taker(turns: Turns) {
  const entered: string[] = [];
  const take = (who: string, what: string) => turns.take(who).then(() => void entered.push(what));
  return { entered, take, settled: () => new Promise((resolve) => setImmediate(resolve)) };
}

describe('turns', () => {
  it('leave a place to others, however much one wants', async () => {
    const turns = new Turns({ places: 2, maxWaiting: 200 });
    const { entered, take, settled } = taker(turns);
    for (let at = 0; at < 50; at++) void take('mallory', `m${at}`);
    void take('ann', 'a0');
    await settled();
    expect(entered).toEqual(['m0', 'a0']);
  });

  it('go round among those who wait, and in order for each of them', async () => {
    const turns = new Turns({ places: 1, maxWaiting: 200 });
    const { entered, take, settled } = taker(turns);
    for (const [who, what] of ['mallory m0', 'mallory m1', 'mallory m2', 'ann a0', 'bea b0', 'ann a1'].map((text) =>
      text.split(' '),
    )) {
      void take(who ?? '', what ?? '');
    }
    for (const who of ['mallory', 'mallory', 'ann', 'bea', 'mallory', 'ann']) {
      await settled();
      turns.pass(who);
    }
    expect(entered).toEqual(['m0', 'm1', 'a0', 'b0', 'm2', 'a1']);
    await turns.take('ann');
  });

  it('use every place when several are there, and none is lost', async () => {
    const turns = new Turns({ places: 3, maxWaiting: 200 });
    const { entered, take, settled } = taker(turns);
    for (const what of ['m0', 'm1', 'm2']) void take('mallory', what);
    await settled();
    expect(entered).toEqual(['m0', 'm1']);
    void take('ann', 'a0');
    await settled();
    turns.pass('mallory');
    await settled();
    expect(entered).toEqual(['m0', 'm1', 'a0', 'm2']);
  });

  it('refuse one who waits too often, and nobody else', async () => {
    const turns = new Turns({ places: 1, maxWaiting: 1 });
    const { take } = taker(turns);
    void take('mallory', 'm0');
    void take('mallory', 'm1');
    await expect(turns.take('mallory')).rejects.toMatchObject({ code: 'unavailable' });
    void take('ann', 'a0');
    await expect(turns.take('ann')).rejects.toMatchObject({ code: 'unavailable' });
  });
});
