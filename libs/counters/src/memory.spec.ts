import { describeCounters } from './counters.conformance.js';
import { openMemoryCounters } from './memory.js';
import { openCounters } from './open-counters.js';

describeCounters('memory', () => openCounters({ log: () => undefined }));

describe('counters in memory', () => {
  it('end a window to the millisecond', async () => {
    let now = 0;
    const counters = openMemoryCounters({ nowMs: () => now });
    await counters.hit('a', 10, 1);
    now = 9_001;
    expect(await counters.hit('a', 10, 1)).toEqual({ allowed: false, remaining: 0, retryAfterSeconds: 1 });
    now = 9_999;
    expect((await counters.hit('a', 10, 1)).allowed).toBe(false);
    now = 10_000;
    expect((await counters.hit('a', 10, 1)).allowed).toBe(true);
  });

  it('keep the counter that stops somebody, however many keys he sprays', async () => {
    const counters = openMemoryCounters({ maxKeys: 100 });
    for (let round = 0; round < 6; round++) await counters.hit('attacked', 60, 5);
    for (let round = 0; round < 20_000; round++) await counters.hit(`sprayed ${round}`, 60, 5);
    expect((await counters.hit('attacked', 60, 5)).allowed).toBe(false);
  });

  it('forget ended windows first when full', async () => {
    let now = 0;
    const counters = openMemoryCounters({ nowMs: () => now, maxKeys: 10 });
    for (let round = 0; round < 9; round++) await counters.hit('ended', 1, 5);
    now = 2_000;
    for (let key = 0; key < 9; key++) await counters.hit(`running ${key}`, 60, 1);
    await counters.hit('one more', 60, 1);
    for (let key = 0; key < 9; key++) expect((await counters.hit(`running ${key}`, 60, 1)).allowed).toBe(false);
  });
});
