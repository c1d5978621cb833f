import fc from 'fast-check';
import {
  bitsOf,
  compareEntries,
  type Entry,
  inLeafOrder,
  isUnder,
  leavesOf,
  MAX_LEAF_BYTES,
  MAX_LEAF_NAMES,
} from './leaves.js';

const entriesOf = (sizes: ReadonlyMap<string, number>): Entry[] =>
  [...sizes].map(([name, textBytes]) => ({ name, textBytes, bits: bitsOf(name) })).sort(compareEntries);

const names = fc
  .uniqueArray(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 400 })
  .chain((all) => fc.tuple(...all.map((name) => fc.tuple(fc.constant(name), fc.integer({ min: 1, max: 60_000 })))))
  .map((pairs) => new Map(pairs as [string, number][]));

describe('leaves', () => {
  it('hold every name once, under its bits, within the limits', () => {
    fc.assert(
      fc.property(names, (sizes) => {
        const leaves = leavesOf(entriesOf(sizes));
        expect(leaves.flatMap(({ entries }) => entries.map(({ name }) => name)).sort()).toEqual(
          [...sizes.keys()].sort(),
        );
        for (const { prefix, entries } of leaves) {
          expect(entries.every(({ bits }) => isUnder(prefix, bits))).toBe(true);
          const bytes = entries.reduce((total, { textBytes }) => total + textBytes, 0);
          expect(entries.length === 1 || (entries.length <= MAX_LEAF_NAMES && bytes <= MAX_LEAF_BYTES)).toBe(true);
        }
        expect(leaves.map(({ prefix }) => prefix)).toEqual(leaves.map(({ prefix }) => prefix).sort());
      }),
    );
  });

  it('change only where a name comes or goes', () => {
    fc.assert(
      fc.property(names, fc.string({ minLength: 1, maxLength: 8 }), (sizes, name) => {
        const without = new Map(sizes);
        without.delete(name);
        const bits = bitsOf(name);
        const elsewhere = (all: ReadonlyMap<string, number>) =>
          leavesOf(entriesOf(all))
            .filter(({ prefix }) => !isUnder(prefix, bits))
            .map(({ prefix, entries }) => [prefix, entries.map((entry) => entry.name)] as const);
        const before = new Map(elsewhere(without));
        for (const [prefix, held] of elsewhere(new Map([...without, [name, 1_000]]))) {
          // Either it was there and holds what it held, or it is a half of the leaf that the name made too large.
          expect(before.get(prefix) ?? held).toEqual(held);
        }
      }),
    );
  });

  it('are in the order in which many names are read', () => {
    const all = Array.from({ length: 500 }, (_, i) => `name-${i}`);
    const leaves = leavesOf(entriesOf(new Map(all.map((name) => [name, 100]))));
    expect(leaves.flatMap(({ entries }) => entries.map(({ name }) => name))).toEqual(inLeafOrder(all));
  });
});
