import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import {
  comparePep440,
  compareVersions,
  isPep440,
  normalizeVersion,
  parsePep440,
  versionKey,
  versionsEqual,
} from './version.js';

const [, ordered = '', invalid = ''] = readFileSync(new URL('./version.vectors.txt', import.meta.url), 'utf8').split(
  /^\[(?:ordered|invalid)\]\n/m,
);
const groups = linesOf(ordered).map((line) =>
  line.split(' ').map((item) => {
    const [spelling = '', canonical = ''] = item.split('=');
    return { spelling, canonical };
  }),
);

function linesOf(text: string): readonly string[] {
  return text.split('\n').filter((line) => line !== '');
}

describe('PEP 440 versions, against Python’s own', () => {
  it('has its vectors', () => {
    expect(groups.length).toBeGreaterThan(300);
    expect(linesOf(invalid).length).toBeGreaterThan(25);
  });

  it('spells every version as Python prints it', () => {
    const spelled = groups.flat().map(({ spelling }) => normalizeVersion(spelling));
    expect(spelled).toEqual(groups.flat().map(({ canonical }) => canonical));
  });

  it('orders every pair as Python does', () => {
    const parsed = groups.flatMap((group, rank) =>
      group.map(({ spelling }) => ({ spelling, rank, version: parsePep440(spelling) })),
    );
    const wrong: string[] = [];
    for (const a of parsed) {
      for (const b of parsed) {
        const order = Math.sign(comparePep440(a.version, b.version));
        if (order !== Math.sign(a.rank - b.rank)) wrong.push(`${a.spelling} ${order} ${b.spelling}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('gives equal versions one key, and different versions different keys', () => {
    const keys = groups.map((group) => new Set(group.map(({ spelling }) => versionKey(spelling))));
    expect(keys.filter((set) => set.size !== 1)).toEqual([]);
    expect(new Set(keys.flatMap((set) => [...set])).size).toBe(groups.length);
  });

  it.each([...linesOf(invalid), '', '1.0 0', '１.0', '1.0\u00a0', '1.0ſ', '1'.repeat(513)])('refuses %j', (text) => {
    expect(isPep440(text)).toBe(false);
    expect(() => parsePep440(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('compareVersions', () => {
  it('tells numbers apart that JavaScript cannot', () => {
    expect(compareVersions('1.20240101123456789012', '1.20240101123456789013')).toBeLessThan(0);
    expect(versionsEqual('1.0+5e3', '1.0+5000')).toBe(false);
  });

  it('ignores surrounding white space', () => {
    expect(normalizeVersion(' 1.0 \n')).toBe('1.0');
  });

  it('answers hostile text at once', () => {
    const started = performance.now();
    for (const text of ['1.'.repeat(250), `1+${'a.'.repeat(250)}`, `${'1'.repeat(510)}x`]) isPep440(text);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('is an order', () => {
    const version = fc.constantFrom(...groups.flat().map(({ spelling }) => spelling));
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(compareVersions(a, b))).toBe(-Math.sign(compareVersions(b, a)) + 0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        }
        expect(versionsEqual(a, normalizeVersion(a))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
