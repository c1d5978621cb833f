import { isCondaName, parseCondaName } from './name.js';

describe('a package name', () => {
  it.each(['a', '7zip', 'foo', '_libgcc_mutex', 'r-base', 'ruamel.yaml', 'foo_bar-baz.q', 'x'.repeat(64)])(
    'accepts %s',
    (name) => {
      expect(parseCondaName(name)).toBe(name);
    },
  );

  it.each([
    ['', 'is not a conda package name'],
    ['Foo', 'upper-case'],
    ['__glibc', 'virtual packages'],
    ['foo--bar', 'is not a conda package name'],
    ['foo bar', 'is not a conda package name'],
    ['foo/bar', 'is not a conda package name'],
    ['../foo', 'is not a conda package name'],
    ['foo*', 'is not a conda package name'],
    ['é', 'is not a conda package name'],
    ['foo\n', 'is not a conda package name'],
    ['x'.repeat(65), 'is not a conda package name'],
  ])('refuses %j', (name, reason) => {
    expect(isCondaName(name)).toBe(false);
    expect(() => parseCondaName(name)).toThrow(reason);
  });

  it('decides a hostile name of a million characters at once', () => {
    const started = performance.now();
    expect(isCondaName('a-'.repeat(500_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(50);
  });
});
