import { isCondaFilename, parseCondaFilename, printCondaFilename } from './filename.js';

describe('the file name of an artifact', () => {
  it.each([
    ['foo-1.0-0.conda', 'foo', '1.0', '0', 'conda'],
    ['foo-1.0-0.tar.bz2', 'foo', '1.0', '0', 'tar.bz2'],
    ['r-base-4.1.2-h2553ce4_1.conda', 'r-base', '4.1.2', 'h2553ce4_1', 'conda'],
    ['_libgcc_mutex-0.1-conda_forge.tar.bz2', '_libgcc_mutex', '0.1', 'conda_forge', 'tar.bz2'],
    ['a-1!2.0+l-py3.7.conda', 'a', '1!2.0+l', 'py3.7', 'conda'],
  ])('%s', (text, name, version, build, format) => {
    const parts = parseCondaFilename(text);
    expect(parts).toEqual({ name, version, build, format, stem: `${name}-${version}-${build}` });
    expect(printCondaFilename(parts)).toBe(text);
  });

  it.each([
    ['foo-1.0.conda', 'three parts'],
    ['foo.conda', 'three parts'],
    ['.conda', 'three parts'],
    ['-1.0-0.conda', 'three parts'],
    ['foo-1.0-0.zip', 'ends in neither'],
    ['foo-1.0-0.CONDA', 'ends in neither'],
    ['Foo-1.0-0.conda', 'not a package name'],
    ['../foo-1.0-0.conda', 'not a package name'],
    ['foo-2..0-0.conda', 'not a version'],
    ['foo-2.0$-0.conda', 'not a version'],
    ['foo--0.conda', 'not a version'],
    ['foo-1.0-.conda', 'not a build'],
    ['foo-1.0-a/b.conda', 'not a build'],
    ['foo-1.0-a b.conda', 'not a build'],
    [`foo-1.0-${'0'.repeat(300)}.conda`, 'longer than 211'],
  ])('refuses %s', (text, reason) => {
    expect(isCondaFilename(text)).toBe(false);
    expect(() => parseCondaFilename(text)).toThrow(reason);
  });
});
