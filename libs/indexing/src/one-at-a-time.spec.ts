import { setTimeout as sleep } from 'node:timers/promises';
import { OneAtATime } from './one-at-a-time.js';
import { Recent } from './recent.js';

describe('one at a time', () => {
  it('runs what is under one key in order, also after a failure, and other keys beside it', async () => {
    const turns = new OneAtATime();
    const seen: string[] = [];
    const step = (key: string, name: string, ms: number) =>
      turns.run(key, async () => {
        seen.push(`${name} begins`);
        await sleep(ms);
        seen.push(`${name} ends`);
        if (name === 'first') throw new Error('first failed');
        return name;
      });
    const first = step('a', 'first', 30);
    const second = step('a', 'second', 1);
    const other = step('b', 'other', 1);
    await expect(first).rejects.toThrow('first failed');
    expect(await Promise.all([second, other])).toEqual(['second', 'other']);
    expect(seen).toEqual(['first begins', 'other begins', 'other ends', 'first ends', 'second begins', 'second ends']);
  });
});

describe('recent', () => {
  it('keeps what was used last, by weight', () => {
    const recent = new Recent<string>(10);
    recent.set('a', 'A', 4);
    recent.set('b', 'B', 4);
    expect(recent.get('a')).toBe('A');
    recent.set('c', 'C', 4);
    expect(['a', 'b', 'c'].map((key) => recent.get(key))).toEqual(['A', undefined, 'C']);
    recent.set('huge', 'H', 11);
    expect(recent.get('huge')).toBeUndefined();
    expect(recent.take('a')).toBe('A');
    expect(recent.get('a')).toBeUndefined();
    recent.set('d', 'D', 6);
    expect([recent.get('c'), recent.get('d'), recent.size]).toEqual(['C', 'D', 2]);
  });
});
