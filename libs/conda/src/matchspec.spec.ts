import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import fc from 'fast-check';
import { isMatchSpec, parseMatchSpec } from './matchspec.js';

const { VersionSpec } = createRequire(import.meta.url)('@conda-org/rattler') as {
  VersionSpec: new (text: string) => unknown;
};

describe('a dependency spec', () => {
  it.each([
    ['python', 'python', undefined, undefined],
    ['Python >=3.7,<3.8.0a0', 'python', '>=3.7,<3.8.0a0', undefined],
    ['blas * openblas', 'blas', '*', 'openblas'],
    ['numpy 1.11*', 'numpy', '1.11*', undefined],
    ['numpy 1.11.* py27_0', 'numpy', '1.11.*', 'py27_0'],
    ['_libgcc_mutex 0.1 conda_forge', '_libgcc_mutex', '0.1', 'conda_forge'],
    ['__glibc >=2.17,<3.0.a0', '__glibc', '>=2.17,<3.0.a0', undefined],
    ['a =1.8', 'a', '=1.8', undefined],
    ['a ==1.8', 'a', '==1.8', undefined],
    ['a !=1.8.*', 'a', '!=1.8.*', undefined],
    ['a ~=1.4', 'a', '~=1.4', undefined],
    ['a (1.0|2.0.*),<3', 'a', '(1.0|2.0.*),<3', undefined],
    ['ncurses >=5.9*', 'ncurses', '>=5.9*', undefined],
    ['pytorch 1.*.*', 'pytorch', '1.*.*', undefined],
    ['a 1!2.0+local', 'a', '1!2.0+local', undefined],
    ['r-base64enc >=0.1-3', 'r-base64enc', '>=0.1-3', undefined],
    ['a * *_cpython', 'a', '*', '*_cpython'],
    ['a 1.0 py*', 'a', '1.0', 'py*'],
  ])('%s', (text, name, version, build) => {
    expect(parseMatchSpec(text)).toEqual({ name, version, build });
  });

  it.each([
    ['', 'not a package name'],
    ['foo*', 'not a package name'],
    ['*', 'not a package name'],
    ['conda-forge::foo', 'not a package name'],
    ['foo=1.0', 'not a package name'],
    ['foo>=1.0', 'not a package name'],
    ['../foo', 'not a package name'],
    ['foo[when="python >=3"]', 'bracket'],
    ['foo >=1[build=x]', 'bracket'],
    ['foo >= 1.0', 'not a version constraint'],
    ['foo >=1.0, <2', 'not a version constraint'],
    ['foo !=1.0*', 'not a version constraint'],
    ['foo >=1.*.*', 'not a version constraint'],
    ['foo !1.0', 'not a version constraint'],
    ['foo >=1.0, <2 x', 'single blanks'],
    ['foo  1.0', 'single blanks'],
    [' foo', 'single blanks'],
    ['foo ', 'single blanks'],
    ['foo\t1.0', 'not a package name'],
    ['foo 1.0 a b', 'single blanks'],
    ['foo >=', 'not a version constraint'],
    ['foo >*', 'not a version constraint'],
    ['foo !=*', 'not a version constraint'],
    ['foo =>1', 'not a version constraint'],
    ['foo ===1', 'not a version constraint'],
    ['foo ~1', 'not a version constraint'],
    ['foo ^1', 'not a version constraint'],
    ['foo ^1.*$', 'not a version constraint'],
    ['foo 1.*.2', 'not a version constraint'],
    ['foo 1.0.**', 'not a version constraint'],
    ['foo >1>2', 'not a version constraint'],
    ['foo >=1.0,', 'not a version constraint'],
    ['foo |1.0', 'not a version constraint'],
    ['foo 1.0||2.0', 'not a version constraint'],
    ['foo (1.0', 'not a version constraint'],
    ['foo 1.0)', 'not a version constraint'],
    ['foo ()', 'not a version constraint'],
    ['foo (1.0)(2.0)', 'not a version constraint'],
    [`foo ${'('.repeat(9)}1${')'.repeat(9)}`, 'not a version constraint'],
    ['foo ~=1.4.*', 'not a version constraint'],
    ['foo 2..0', 'not a version constraint'],
    ['foo 99999999999', 'not a version constraint'],
    ['foo 1.0 ^py.*$', 'not a build string'],
    ['foo 1.0 a/b', 'not a build string'],
    [`foo ${'1|'.repeat(300)}1`, 'longer than 512'],
  ])('refuses %j', (text, reason) => {
    expect(isMatchSpec(text)).toBe(false);
    expect(() => parseMatchSpec(text)).toThrow(reason);
  });

  it('is never accepted when a real client cannot read its version', () => {
    const piece = fc.constantFrom(
      '1',
      '2.0',
      '1.0_',
      'rc1',
      '0.1-3',
      '1!',
      '+a',
      '=',
      '==',
      '!=',
      '<',
      '>',
      '>=',
      '~=',
      '*',
      '.*',
      ',',
      '|',
      '(',
      ')',
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
        const version = pieces.join('');
        if (isMatchSpec(`foo ${version}`)) expect(() => new VersionSpec(version)).not.toThrow();
      }),
      { numRuns: 5000 },
    );
  });
});

const data = path.resolve(import.meta.dirname, '../../../../shared/data/repodata');

(existsSync(data) ? it : it.skip)('reads every spec of real channels, as a real client does', () => {
  const specs = new Set<string>();
  for (const name of readdirSync(data)) {
    const channel = JSON.parse(readFileSync(path.join(data, name), 'utf8')) as {
      packages: Record<string, { depends: string[]; constrains?: string[] }>;
    };
    for (const record of Object.values(channel.packages)) {
      for (const spec of [...record.depends, ...(record.constrains ?? [])]) specs.add(spec);
    }
  }
  expect(specs.size).toBeGreaterThan(1000);
  expect([...specs].filter((spec) => !isMatchSpec(spec))).toEqual([]);
  for (const spec of specs) {
    const { version } = parseMatchSpec(spec);
    if (version !== undefined) expect(() => new VersionSpec(version)).not.toThrow();
  }
});
