import { parseDistributionFilename, parseSdistFilename, parseWheelFilename, splitNameVersion } from './filename.js';

describe('parseWheelFilename', () => {
  it.each([
    ['foo-1.0-py3-none-any.whl', 'foo', '1.0', undefined, 'py3', 'none', 'any'],
    ['Foo.Bar_baz-1.0.0RC1-py2.py3-none-any.whl', 'foo-bar-baz', '1.0.0rc1', undefined, 'py2.py3', 'none', 'any'],
    ['foo-1.0-1-py3-none-any.whl', 'foo', '1.0', '1', 'py3', 'none', 'any'],
    ['foo-1.0-2b_x.1-cp311-cp311-linux_x86_64.whl', 'foo', '1.0', '2b_x.1', 'cp311', 'cp311', 'linux_x86_64'],
    ['foo-1!2.0-py3-none-any.whl', 'foo', '1!2.0', undefined, 'py3', 'none', 'any'],
    [
      'foo-2.5.0.dev0+git2026.abc-cp313-cp313t-win_amd64.whl',
      'foo',
      '2.5.0.dev0+git2026.abc',
      undefined,
      'cp313',
      'cp313t',
      'win_amd64',
    ],
    ['foo-1.0+g1_2-py3-none-any.whl', 'foo', '1.0+g1.2', undefined, 'py3', 'none', 'any'],
    [
      'foo-1.0-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl',
      'foo',
      '1.0',
      undefined,
      'cp311',
      'abi3',
      'manylinux_2_17_x86_64.manylinux2014_x86_64',
    ],
    [
      'foo-1.0-cp312-cp312-pyemscripten_2024_0_wasm32.whl',
      'foo',
      '1.0',
      undefined,
      'cp312',
      'cp312',
      'pyemscripten_2024_0_wasm32',
    ],
  ])('reads %s', (text, name, version, build, pythonTag, abiTag, platformTag) => {
    const { distribution, ...rest } = parseWheelFilename(text);
    expect(rest).toEqual({ name, version, ...(build !== undefined && { build }), pythonTag, abiTag, platformTag });
    expect(text.startsWith(`${distribution}-`)).toBe(true);
  });

  it.each([
    ['foo-1.0-py3-none-any.WHL', /ends in ".whl"/],
    ['foo-1.0-py3-none.whl', /is named/],
    ['foo-bar-1.0-1-py3-none-any.whl', /is named/],
    ['foo-1.0-b1-py3-none-any.whl', /build number "b1"/],
    ['foo-bar-1.0-py3-none-any.whl', /"bar" is not a PEP 440 version/],
    ['foo__bar-1.0-py3-none-any.whl', /"foo__bar" is not a project name/],
    ['_foo-1.0-py3-none-any.whl', /"_foo" is not a project name/],
    ['-1.0-py3-none-any.whl', /"" is not a project name/],
    ['foo+x-1.0-py3-none-any.whl', /not a project name/],
    ['foo-1.0x-py3-none-any.whl', /"1.0x" is not a PEP 440/],
    ['foo-1.0_1-py3-none-any.whl', /not a PEP 440/],
    ['foo-1.0-py3..py2-none-any.whl', /"py3..py2" is not a compatibility tag/],
    ['foo-1.0-py3-none-.whl', /"" is not a compatibility tag/],
    ['foo-1.0-py3-none-any%2e.whl', /not allowed/],
    ['a/foo-1.0-py3-none-any.whl', /not allowed/],
    ['a\\foo-1.0-py3-none-any.whl', /not allowed/],
    ['foo- 1.0-py3-none-any.whl', /not allowed/],
    ['foo-1.0-py3-none-any\n.whl', /not allowed/],
    ['foo-1.0-py3-none-\u0000any.whl', /not allowed/],
    ['föö-1.0-py3-none-any.whl', /not allowed/],
    [`foo-1.0-py3-none-${'a'.repeat(240)}.whl`, /longer than 255/],
  ])('refuses %j', (text, reason) => {
    expect(() => parseWheelFilename(text)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringMatching(reason) }),
    );
  });
});

describe('parseSdistFilename', () => {
  it.each([
    ['foo-1.0.tar.gz', 'foo', '1.0'],
    ['foo_bar-1.0.tar.gz', 'foo-bar', '1.0'],
    ['Foo.Bar-1.0.zip', 'foo-bar', '1.0'],
    ['foo-bar-1.0.tar.gz', 'foo-bar', '1.0'],
    ['foo-bar-2-1.0.tar.gz', 'foo-bar-2', '1.0'],
    ['foo-1.0-rc1.tar.gz', 'foo', '1.0rc1'],
    ['foo-1.0+g12.abc.tar.gz', 'foo', '1.0+g12.abc'],
  ])('reads %s', (text, name, version) => {
    expect(parseSdistFilename(text)).toEqual({ name, version });
  });

  it.each([
    'foo.tar.gz',
    'foo-.tar.gz',
    '-1.0.tar.gz',
    'foo-bar.zip',
    '_-1.0.zip',
    'foo-1.0.tar.bz2',
    'foo-1.0.tgz',
    'foo-1.0.TAR.GZ',
  ])('refuses %s', (text) => {
    expect(() => parseSdistFilename(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('parseDistributionFilename', () => {
  it('tells wheels from source distributions', () => {
    expect(parseDistributionFilename('foo-1.0-py3-none-any.whl').filetype).toBe('bdist_wheel');
    expect(parseDistributionFilename('foo-1.0.tar.gz').filetype).toBe('sdist');
    expect(parseDistributionFilename('foo-1.0.zip').filetype).toBe('sdist');
  });

  it.each(['foo-1.0.egg', 'foo-1.0.exe', 'foo-1.0-py3-none-any.whl.metadata', '', '.whl', '.tar.gz', '../foo-1.0.egg'])(
    'refuses %j',
    (text) => {
      expect(() => parseDistributionFilename(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
    },
  );
});

describe('splitNameVersion', () => {
  it('has no answer without a version', () => {
    expect(splitNameVersion('foo')).toBeUndefined();
    expect(splitNameVersion('foo-bar')).toBeUndefined();
    expect(splitNameVersion('foo- 1.0')).toBeUndefined();
  });
});
