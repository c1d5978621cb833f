import fc from 'fast-check';
import { isNarrowerGlob, matchesGlob, normaliseGlob } from './glob.js';

const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 7 });
const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });

function asRegExp(text: string): RegExp {
  return new RegExp(`^${text.replaceAll('*', '[abc]*').replaceAll('?', '[abc]')}$`);
}

describe('matchesGlob', () => {
  it.each([
    ['numpy', 'numpy', true],
    ['numpy', 'numpy-base', false],
    ['numpy*', 'numpy', true],
    ['numpy*', 'numpy-base', true],
    ['*', '', true],
    ['*', 'anything', true],
    ['', '', true],
    ['', 'a', false],
    ['?', '', false],
    ['?', 'a', true],
    ['a?c', 'abc', true],
    ['*-internal', 'acme-internal', true],
    ['*-internal', 'acme-internal-x', false],
    ['a*b*c', 'aXXbYYc', true],
    ['a.c', 'abc', false],
    ['[ab]', 'a', false],
    ['a+', 'aa', false],
    ['$(x)', '$(x)', true],
  ])('%j on %j: %s', (pattern, text, matched) => {
    expect(matchesGlob(pattern, text)).toBe(matched);
  });

  it('agrees with the regular expression of the same meaning', () => {
    fc.assert(fc.property(glob, name, (pattern, text) => matchesGlob(pattern, text) === asRegExp(pattern).test(text)));
  });

  it('answers a glob made to be slow', () => {
    const start = process.hrtime.bigint();
    expect(matchesGlob(`${'a*'.repeat(100)}b`, 'a'.repeat(5000))).toBe(false);
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(500);
  });
});

describe('isNarrowerGlob', () => {
  it.each([
    ['numpy', 'numpy*', true],
    ['numpy*', 'numpy', false],
    ['numpy-*', 'num*', true],
    ['num*', 'numpy-*', false],
    ['*', '*', true],
    ['*', '?', false],
    ['?', '*', true],
    ['*?', '?*', true],
    ['a?', 'a*', true],
    ['a*b', 'a*', true],
    ['a*', 'a*b', false],
    ['**', '*', true],
    ['Numpy', 'numpy', true],
  ])('%j within %j: %s', (child, parent, narrower) => {
    expect(isNarrowerGlob(child, parent)).toBe(narrower);
  });

  it('is never true of a glob that matches more', () => {
    fc.assert(
      fc.property(glob, glob, name, (child, parent, text) => {
        if (isNarrowerGlob(child, parent) && matchesGlob(child, text)) expect(matchesGlob(parent, text)).toBe(true);
      }),
      { numRuns: 5000 },
    );
  });

  it('finds every glob within itself, and spelling it otherwise changes no match', () => {
    fc.assert(
      fc.property(glob, name, (pattern, text) => {
        expect(isNarrowerGlob(pattern, pattern)).toBe(true);
        expect(matchesGlob(normaliseGlob(pattern), text)).toBe(matchesGlob(pattern, text));
      }),
    );
  });
});
