import { createRequire } from 'node:module';
import fc from 'fast-check';
import { compareVersions, isCondaVersion } from './version.js';

const { Version } = createRequire(import.meta.url)('@conda-org/rattler') as {
  Version: new (text: string) => { compare(other: unknown): number };
};

// The vector of CEP-33: increasing, equal where the sign says so.
const ORDER = `0.4 == 0.4.0 < 0.4.1.rc == 0.4.1.RC < 0.4.1+local < 0.4.1+0.local < 0.4.1 == 0.4.1+0 < 0.4.1+1.local
  < 0.5a1 < 0.5b3 < 0.5C1 < 0.5 < 0.9.6 < 0.960923 < 1.0 < 1.1dev1 < 1.1a1 < 1.1.0dev1 == 1.1.dev1 < 1.1.a1 < 1.1.0rc1
  < 1.1.0.0 == 1.1.0 == 1.1 < 1.1.post1 == 1.1.0post1 < 1.1post1 < 1996.07.12 < 1!0.4.1 < 1!3.1.1.6 < 2!0.4.1`
  .split(/\s+/)
  .filter(Boolean);

const ranked = (() => {
  let rank = 0;
  return ORDER.flatMap((word) => {
    if (word === '<') rank++;
    return word === '<' || word === '==' ? [] : [{ text: word, rank }];
  });
})();

describe('version order', () => {
  it('agrees with the whole vector of CEP-33, every pair both ways', () => {
    for (const a of ranked) {
      for (const b of ranked) {
        const order = Math.sign(compareVersions(a.text, b.text));
        expect([a.text, b.text, order]).toEqual([a.text, b.text, Math.sign(a.rank - b.rank)]);
      }
    }
  });

  it.each([
    ['1.0.1_', '1.0.1a', -1],
    ['1.1.0rc', '1.1.rc', 0],
    ['1.1.rc', '1.1rc', 1],
    ['1.0', '1.0post', -1],
    ['1.0dev', '1.0a', -1],
    ['01.002', '1.2', 0],
    ['2.0-beta', '2.0_beta', 0],
    ['1.0', '1!0', -1],
  ])('orders %s and %s', (a, b, order) => {
    expect(Math.sign(compareVersions(a, b))).toBe(order);
    expect(Math.sign(compareVersions(b, a))).toBe(order === 0 ? 0 : -order);
  });

  const version = fc
    .array(fc.constantFrom('0', '1', '2', '10', '007', 'a', 'rc', 'RC', 'dev', 'post', '.', '_', '-', '+', '!', '1_'), {
      minLength: 1,
      maxLength: 9,
    })
    .map((pieces) => pieces.join(''))
    .filter(isCondaVersion)
    // The client cuts `posta` into `post` and `a`, and `rc_` into `rc` and `_`; by the CEP each is one run of non-digits.
    .filter((text) => !/[a-z]_(?:$|\+)/i.test(text))
    .filter((text) => (text.match(/[a-z]+/gi) ?? []).every((run) => /^(?:a|rc|dev|post)$/i.test(run)));

  it('agrees with a real client on any two versions, and accepts only what that client accepts', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect([a, b, Math.sign(compareVersions(a, b))]).toEqual([
          a,
          b,
          Math.sign(new Version(a).compare(new Version(b))),
        ]);
      }),
      { numRuns: 3000 },
    );
  });

  it('is transitive', () => {
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a version', () => {
  it.each(['1', '1.2.3', '2.0RC1', '2.0-beta', '1!2.0+local.7', '1.0.1_', '1.1k', 'v1.6.4', '2147483647'])(
    'accepts %s',
    (text) => {
      expect(isCondaVersion(text)).toBe(true);
    },
  );

  it.each([
    '',
    '2.0$',
    '2..0',
    '2.',
    '.2',
    '1.0 ',
    '1.*',
    '2147483648',
    '1.99999999999',
    '1!2!3',
    '!1',
    '1!',
    '1+',
    '1+a+b',
    '1-2_3',
    '1__',
    '1.0+a_',
    '1.0\n',
    'ä',
    '1'.repeat(9) + '.1'.repeat(30),
  ])('refuses %j', (text) => {
    expect(isCondaVersion(text)).toBe(false);
    expect(() => compareVersions(text, '1.0')).toThrow('is not a conda version');
  });
});
