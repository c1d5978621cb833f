import fc from 'fast-check';
import { type Read, violationsOf, type Write } from './history.js';

/** `a 0-10` was written from 0 to 10 ms; `a 0-` was never acknowledged. */
function write(text: string): Write {
  const [name = '', times = ''] = text.split(' ');
  const [from, to] = times.split('-');
  return { name, invokedMs: Number(from), acknowledgedMs: to === '' ? undefined : Number(to) };
}

/** `json@one 5-6 ab` was read as json at one, and held a and b. `#2` after the place is the round, `?` that it may be old. */
function read(text: string): Read {
  const [where = '', times = '', names = ''] = text.split(' ');
  const [, format = '', place = '', round, old] = /^(\w+)@(\w+)(?:#(\d+))?(\?)?$/.exec(where) ?? [];
  const [from, to] = times.split('-');
  return {
    place,
    format,
    round: Number(round ?? 0),
    invokedMs: Number(from),
    returnedMs: Number(to),
    names: [...names],
    mayBeOld: old === '?',
  };
}

const GOOD: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['nothing', [], []],
  ['a write under way, seen or not', ['a 0-10'], ['json@one 1-2', 'json@one 3-4 a']],
  ['a write under way, seen at one place and not yet at the other', ['a 0-10'], ['json@one 1-2 a', 'json@two 3-4']],
  ['a write that was never acknowledged, seen much later', ['a 0-'], ['json@one 50-60', 'json@one 70-80 a']],
  ['a read that began before the acknowledgement', ['a 0-10'], ['json@one 9-20']],
  ['an old state for whom that is good enough', ['a 0-10', 'b 20-30'], ['json@one? 40-50 a', 'json@one? 60-70']],
  [
    'forms that differ because something came between',
    ['a 0-10'],
    ['json@one#1 1-2', 'zst@one#1 3-4 a', 'json@one#1 5-6 a'],
  ],
];

const BAD: readonly (readonly [string, readonly string[], readonly string[], RegExp])[] = [
  ['an acknowledged write that is lost', ['a 0-10'], ['json@one 11-12'], /lacks a, acknowledged at 10/],
  [
    'a write that is lost at the other place only',
    ['a 0-10'],
    ['json@one 11-12 a', 'json@two 11-12'],
    /at two .* lacks a/,
  ],
  [
    'a write that is seen, and then not',
    ['a 0-99'],
    ['json@one 1-2 a', 'json@one 3-4'],
    /lacks a, which was seen there/,
  ],
  [
    'a write that is seen in one form, and then not in another',
    ['a 0-99'],
    ['json@one 1-2 a', 'zst@one 3-4'],
    /zst .* lacks a/,
  ],
  ['a name that nobody wrote', ['a 0-10'], ['json@one 1-2 z'], /holds z, which was never written/],
  ['a name before anybody wrote it', ['a 5-10'], ['json@one 1-2 a'], /holds a, whose write had not begun/],
  [
    'forms of two generations',
    ['a 0-99'],
    ['json@one#7 1-2', 'zst@one#7 3-4 a', 'json@one#7 5-6'],
    /zst .* another generation/,
  ],
  [
    'two reads that see two writes in two orders',
    ['a 0-99', 'b 0-99'],
    ['json@one 1-2 a', 'json@two 1-2 b'],
    /the reverse/,
  ],
  [
    'a write without one that was acknowledged before it began',
    ['a 0-10', 'b 20-99'],
    ['json@one 5-30 b'],
    /lacks a, but holds/,
  ],
  ['no state of the past at all', ['a 0-10', 'b 20-30'], ['json@one? 40-50 b'], /lacks a, but holds/],
  ['a name that nobody wrote, where old states are good enough', [], ['json@one? 1-2 z'], /never written/],
];

describe('violationsOf', () => {
  it.each(GOOD)('accepts %s', (_, writes, reads) => {
    expect(violationsOf({ writes: writes.map(write), reads: reads.map(read) })).toEqual([]);
  });

  it.each(BAD)('finds %s', (_, writes, reads, sentence) => {
    expect(violationsOf({ writes: writes.map(write), reads: reads.map(read) })[0]).toMatch(sentence);
  });

  it('accepts every history of a register that is one, and finds any name that is taken out of a read after its acknowledgement', () => {
    const operations = fc.array(fc.record({ isWrite: fc.boolean(), place: fc.constantFrom('one', 'two') }), {
      minLength: 3,
    });
    fc.assert(
      fc.property(operations, fc.nat(), (all, pick) => {
        const writes: Write[] = [];
        const reads: Read[] = [];
        for (const [index, { isWrite, place }] of all.entries()) {
          const times = { invokedMs: index * 10, returnedMs: index * 10 + 5 };
          if (isWrite) writes.push({ name: `n${index}`, invokedMs: times.invokedMs, acknowledgedMs: times.returnedMs });
          else reads.push({ place, format: 'json', round: index, ...times, names: writes.map(({ name }) => name) });
        }
        expect(violationsOf({ writes, reads })).toEqual([]);
        const full = reads.filter(({ names }) => names.length > 0);
        const broken = full[pick % Math.max(1, full.length)];
        if (broken === undefined) return;
        const less = { ...broken, names: broken.names.toSpliced(pick % broken.names.length, 1) };
        const changed = reads.map((each) => (each === broken ? less : each));
        expect(violationsOf({ writes, reads: changed })).not.toEqual([]);
      }),
    );
  });
});
