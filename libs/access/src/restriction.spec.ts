import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import {
  admitsAddress,
  admitsChannel,
  admitsLabel,
  admitsName,
  admitsSubdir,
  isNarrower,
  parseRestrictions,
  type Restrictions,
  restrictionsOf,
  widerPart,
} from './restriction.js';

const list = <T>(entry: fc.Arbitrary<T>) =>
  fc.option(fc.uniqueArray(entry, { minLength: 1, maxLength: 3 }), { nil: undefined });
const globs = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 4 });
const blocks = fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '0.0.0.0/0', '2001:db8::/32');
const restrictions: fc.Arbitrary<Restrictions> = fc.record({
  channels: list(fc.constantFrom('c1', 'c2')),
  packages: list(globs),
  labels: list(fc.constantFrom('main', 'dev')),
  subdirs: list(fc.constantFrom('linux-64', 'noarch', 'osx-arm64')),
  cidrs: list(blocks),
});

describe('restrictions', () => {
  it('absent, restrict nothing', () => {
    expect(admitsChannel({}, 'c1')).toBe(true);
    expect(admitsLabel({}, 'dev')).toBe(true);
    expect(admitsSubdir({}, 'win-64')).toBe(true);
    expect(admitsName(undefined, 'x')).toBe(true);
    expect(admitsAddress({}, undefined)).toBe(true);
  });

  it('present, admit what they name and nothing else', () => {
    expect(['c1', 'c2', 'C1'].filter((id) => admitsChannel({ channels: ['c1'] }, id))).toEqual(['c1']);
    expect(['dev', 'main', 'dev/x'].filter((label) => admitsLabel({ labels: ['dev'] }, label))).toEqual(['dev']);
    expect(['np', 'numpy', 'x'].filter((name) => admitsName(['num*', 'n?'], name))).toEqual(['np', 'numpy']);
  });

  it('always admit noarch beside the subdirs they name', () => {
    expect(['linux-64', 'noarch', 'osx-64'].filter((s) => admitsSubdir({ subdirs: ['linux-64'] }, s))).toEqual([
      'linux-64',
      'noarch',
    ]);
  });

  it('know no unknown address', () => {
    expect(admitsAddress({ cidrs: ['0.0.0.0/0'] }, undefined)).toBe(false);
    expect(admitsAddress({ cidrs: ['2001:db8::/32', '10.0.0.0/8'] }, '::ffff:10.9.9.9')).toBe(true);
    expect(admitsAddress({ cidrs: ['10.0.0.0/8'] }, '192.0.2.1')).toBe(false);
  });

  it('that are empty lists admit nothing, and from a row are none', () => {
    expect(admitsChannel({ channels: [] }, 'c1')).toBe(false);
    expect(admitsName([], 'x')).toBe(false);
    expect(restrictionsOf({ channels: [], packages: ['x*'], labels: [], subdirs: [], cidrs: [] })).toEqual({
      packages: ['x*'],
    });
  });
});

describe('parseRestrictions', () => {
  it('gives one spelling', () => {
    expect(
      parseRestrictions({
        packages: ['NumPy*', 'a*?', 'numpy*'],
        labels: ['Dev', 'dev', 'team/a.b'],
        subdirs: ['osx-arm64', 'linux-64'],
        cidrs: ['2001:DB8::/32'],
        channels: ['Id_1'],
      }),
    ).toEqual({
      packages: ['a?*', 'numpy*'],
      labels: ['dev', 'team/a.b'],
      subdirs: ['linux-64', 'osx-arm64'],
      cidrs: ['2001:db8::/32'],
      channels: ['Id_1'],
    });
    expect(parseRestrictions({})).toEqual({});
  });

  it.each<[Restrictions, string]>([
    [{ packages: [] }, 'list of packages that a token may reach is empty'],
    [{ channels: [] }, 'list of channels'],
    [{ packages: ['a b'] }, '"a b" names no package'],
    [{ packages: ['../x'] }, 'names no package'],
    [{ packages: ['x'.repeat(129)] }, 'names no package'],
    [{ labels: ['a\u0000b'] }, 'names no label'],
    [{ labels: [''] }, 'names no label'],
    [{ subdirs: ['Linux 64'] }, 'names no subdir'],
    [{ cidrs: ['10.0.0.0/64'] }, '"10.0.0.0/64" is no address block'],
    [{ cidrs: ['localhost'] }, 'names no address block'],
    [{ labels: Array.from({ length: 101 }, (_, i) => `l${i}`) }, 'at most 100 labels, not 101'],
  ])('refuses %j', (asked, sentence) => {
    try {
      parseRestrictions(asked);
      throw new Error('was parsed');
    } catch (error) {
      expect(isFault(error) && error.code).toBe('invalid');
      expect(String(error)).toContain(sentence);
    }
  });
});

describe('isNarrower', () => {
  it('never lets through what the wider ones keep out', () => {
    const thing = fc.record({
      channel: fc.constantFrom('c1', 'c2', 'c3'),
      name: fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 4 }),
      label: fc.constantFrom('main', 'dev', 'x'),
      subdir: fc.constantFrom('linux-64', 'noarch', 'osx-arm64', 'win-64'),
      address: fc.constantFrom('10.1.2.3', '10.1.9.9', '10.9.9.9', '192.0.2.1', '2001:db8::1', undefined),
    });
    const admits = (
      r: Restrictions,
      t: { channel: string; name: string; label: string; subdir: string; address: string | undefined },
    ) => [
      admitsChannel(r, t.channel),
      admitsName(r.packages, t.name),
      admitsLabel(r, t.label),
      admitsSubdir(r, t.subdir),
      admitsAddress(r, t.address),
    ];
    let narrower = 0;
    fc.assert(
      fc.property(restrictions, restrictions, thing, (asked, parent, at) => {
        const child = { ...parent, ...restrictionsOf(asked) };
        if (!isNarrower(child, parent)) return;
        narrower++;
        const outer = admits(parent, at);
        for (const [field, admitted] of admits(child, at).entries()) if (admitted) expect(outer[field]).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(narrower).toBeGreaterThan(100);
  });

  it('is true of the same restrictions, and of any beside none', () => {
    fc.assert(
      fc.property(restrictions, (one) => {
        expect(isNarrower(one, one)).toBe(true);
        expect(isNarrower(one, {})).toBe(true);
      }),
    );
  });

  it.each<[Restrictions, Restrictions, string | null]>([
    [{}, { channels: ['c1'] }, 'every channel'],
    [{ packages: ['x*'] }, { packages: ['y*'] }, 'the package x*'],
    [{ labels: ['dev', 'main'] }, { labels: ['dev'] }, 'the label main'],
    [{ subdirs: ['noarch'] }, { subdirs: ['linux-64'] }, null],
    [{ cidrs: ['10.0.0.0/7'] }, { cidrs: ['10.0.0.0/8'] }, 'the address block 10.0.0.0/7'],
    [{ cidrs: ['10.1.0.0/16'], labels: ['dev'] }, { cidrs: ['10.0.0.0/8'] }, null],
  ])('%j beside %j: %j is wider', (child, parent, wider) => {
    expect(widerPart(child, parent)).toBe(wider);
  });
});
