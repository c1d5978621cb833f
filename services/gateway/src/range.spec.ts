import fc from 'fast-check';
import { admitsRange, matchesETag, parseRange } from './range.js';

describe('Range', () => {
  it.each([
    // header, size, span
    [undefined, 10, undefined],
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-5', 10, { start: 2, end: 6 }],
    ['bytes=2-', 10, { start: 2, end: 10 }],
    ['bytes=2-99', 10, { start: 2, end: 10 }],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-99', 10, { start: 0, end: 10 }],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-12', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-1', 0, 'unsatisfiable'],
    ['bytes=5-2', 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes=0-1,3-4', 10, undefined],
    ['bytes=a-b', 10, undefined],
    ['bytes 0-1', 10, undefined],
    ['items=0-1', 10, undefined],
    ['bytes=0-9999999999999999999', 10, undefined],
  ])('%s of %d bytes', (header, sizeBytes, expected) => {
    expect(parseRange(header, sizeBytes)).toEqual(expected);
  });

  it('never leaves the bytes that there are', () => {
    const number = fc.oneof(fc.constant(''), fc.nat(20).map(String));
    fc.assert(
      fc.property(number, number, fc.nat(20), (from, to, sizeBytes) => {
        const span = parseRange(`bytes=${from}-${to}`, sizeBytes);
        if (span === undefined || span === 'unsatisfiable') return;
        expect(span.start).toBeGreaterThanOrEqual(0);
        expect(span.start).toBeLessThan(span.end);
        expect(span.end).toBeLessThanOrEqual(sizeBytes);
      }),
    );
  });
});

describe('conditions', () => {
  it.each([
    [undefined, false],
    ['"a"', true],
    ['W/"a"', true],
    ['"b", "a"', true],
    ['*', true],
    ['"b"', false],
    ['a', false],
  ])('If-None-Match %s', (header, expected) => expect(matchesETag(header, '"a"')).toBe(expected));

  const MODIFIED_MS = Date.parse('2026-01-02T03:04:05.678Z');
  it.each([
    [undefined, true],
    ['"a"', true],
    ['"b"', false],
    ['W/"a"', false],
    ['Fri, 02 Jan 2026 03:04:05 GMT', true],
    ['Fri, 02 Jan 2026 03:04:06 GMT', false],
    ['nonsense', false],
  ])('If-Range %s', (header, expected) => expect(admitsRange(header, '"a"', MODIFIED_MS)).toBe(expected));

  it('If-Range with a date needs one to compare with', () => {
    expect(admitsRange('Fri, 02 Jan 2026 03:04:05 GMT', '"a"', undefined)).toBe(false);
  });
});
