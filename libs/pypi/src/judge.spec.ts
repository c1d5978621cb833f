import { createHash } from 'node:crypto';
import { bytesSource } from './byte-source.js';
import { judgePypi, type PypiForm, type PypiInspection, projectFileOf } from './judge.js';
import { inspectSdist } from './sdist.js';
import { metadataText, sdistBytes, wheelBytes } from './testing/distribution.js';
import { inspectWheel } from './wheel.js';

const WHEEL = 'foo_bar-1.0-py3-none-any.whl';
const wheelOf = (metadata: string, filename = WHEEL): Promise<PypiInspection> =>
  inspectWheel(
    bytesSource(wheelBytes({ name: 'foo_bar', distInfo: `foo_bar-${filename.split('-')[1]}.dist-info`, metadata })),
    filename,
  );

describe('judgePypi', () => {
  it.each<[string, string, PypiForm]>([
    ['foo_bar', '1.0', {}],
    ['Foo.Bar', '1.0.0', { name: 'foo-bar', version: '1', filetype: 'bdist_wheel' }],
    ['foo-bar', 'v1.0', { name: '', version: '', filetype: '' }],
  ])('accepts %s %s with the form %j', async (name, version, form) => {
    const inspection = await wheelOf(metadataText(name, version));
    expect(judgePypi({ filename: WHEEL, inspection, form })).toMatchObject({
      filename: WHEEL,
      filetype: 'bdist_wheel',
      name: 'foo-bar',
      displayName: name,
      requiresPython: '>=3.8',
    });
  });

  it.each(['1.0+git.abc', '2!1.0', '1.0.dev3', '1.0.post1', '1.0rc1'])(
    'accepts version %s on any platform',
    async (version) => {
      const filename = `foo_bar-${version}-cp311-cp311-linux_x86_64.whl`;
      const inspection = await wheelOf(metadataText('foo_bar', version), filename);
      expect(judgePypi({ filename, inspection }).version).toBe(version);
    },
  );

  it('accepts a source distribution', async () => {
    const inspection = await inspectSdist(bytesSource(sdistBytes()), 'foo-1.0.tar.gz');
    expect(judgePypi({ filename: 'foo-1.0.tar.gz', inspection, form: { filetype: 'sdist' } })).toMatchObject({
      filetype: 'sdist',
      name: 'foo',
    });
  });

  it.each<[string, string, PypiForm, RegExp]>([
    [
      'another name in METADATA',
      metadataText('baz', '1.0'),
      {},
      /METADATA of foo_bar-1.0-py3-none-any.whl gives the name "baz", but the file name says "foo-bar"/,
    ],
    [
      'another version in METADATA',
      metadataText('foo-bar', '1.1'),
      {},
      /gives the version "1.1", but the file name says "1.0"/,
    ],
    ['a local version that the file name lacks', metadataText('foo-bar', '1.0+x'), {}, /"1.0\+x"/],
    ['a name that is none', metadataText('foo bar!', '1.0'), {}, /"foo bar!", which is no project name/],
    ['a version that is none', metadataText('foo-bar', '1.0-final'), {}, /"1.0-final", which installers do not accept/],
    [
      'another name in the form',
      metadataText('foo-bar', '1.0'),
      { name: 'baz' },
      /the form sent with .* gives the name "baz"/,
    ],
    [
      'another version in the form',
      metadataText('foo-bar', '1.0'),
      { version: '2' },
      /the form sent with .* gives the version "2"/,
    ],
    ['another type in the form', metadataText('foo-bar', '1.0'), { filetype: 'sdist' }, /filetype "sdist"/],
    ['an unknown type in the form', metadataText('foo-bar', '1.0'), { filetype: 'bdist_egg' }, /filetype "bdist_egg"/],
    [
      'a Requires-Python that is none',
      metadataText('foo-bar', '1.0').replace('>=3.8', '3.8 or newer'),
      {},
      /Requires-Python: "3.8 or newer"/,
    ],
  ])('refuses %s', async (_title, metadata, form, reason) => {
    const inspection = await wheelOf(metadata);
    expect(() => judgePypi({ filename: WHEEL, inspection, form })).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringMatching(reason) }),
    );
  });

  it('refuses a file other than the one that was inspected', async () => {
    const inspection = await wheelOf(metadataText('foo-bar', '1.0'));
    expect(() => judgePypi({ filename: 'foo_bar-1.0-py2-none-any.whl', inspection })).toThrow(/was inspected/);
  });
});

describe('projectFileOf', () => {
  const stored = { sha256: 'a'.repeat(64), sizeBytes: 5, uploadedAt: '2026-01-01T00:00:00Z' };

  it('gives the digest of a wheel’s METADATA, which is served beside it', async () => {
    const metadata = metadataText('foo-bar', '1.0');
    expect(projectFileOf(await wheelOf(metadata), stored)).toEqual({
      ...stored,
      filename: WHEEL,
      requiresPython: '>=3.8',
      metadataSha256: createHash('sha256').update(metadata).digest('hex'),
      yanked: false,
    });
  });

  it('gives none for a source distribution', async () => {
    const inspection = await inspectSdist(bytesSource(sdistBytes()), 'foo-1.0.tar.gz');
    expect(projectFileOf(inspection, { ...stored, yanked: 'broken' })).toEqual({
      ...stored,
      filename: 'foo-1.0.tar.gz',
      requiresPython: '>=3.8',
      yanked: 'broken',
    });
  });
});
