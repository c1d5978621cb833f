import { bytesSource } from './byte-source.js';
import { metadataText, recordLine, type WheelToWrite, wheelBytes } from './testing/distribution.js';
import { DEFAULT_INSPECT_LIMITS, inspectWheel } from './wheel.js';

const FILENAME = 'foo-1.0-py3-none-any.whl';
const inspect = (wheel: WheelToWrite, filename = FILENAME, limits = DEFAULT_INSPECT_LIMITS) =>
  inspectWheel(bytesSource(wheelBytes(wheel)), filename, limits);

describe('inspectWheel', () => {
  it('gives the metadata, its exact bytes and what the name says', async () => {
    const inspection = await inspect({});
    expect(Buffer.from(inspection.metadataBytes).toString()).toBe(metadataText());
    expect(inspection).toMatchObject({
      filetype: 'bdist_wheel',
      wheel: { name: 'foo', version: '1.0' },
      metadata: { name: 'foo', version: '1.0', requiresPython: '>=3.8', description: 'The description.\n' },
      hashesChecked: true,
    });
  });

  it.each<[string, WheelToWrite, string]>([
    [
      'another spelling of the name',
      { name: 'Foo.Bar', distInfo: 'Foo.Bar-1.0.dist-info' },
      'foo_bar-1.0.0-py3-none-any.whl',
    ],
    ['a local version', { version: '1.0+g1.abc' }, 'foo-1.0+g1.abc-py3-none-any.whl'],
    ['folders as members', { members: [{ name: 'foo/', mode: 0o040755 }, { name: 'foo/a.py' }] }, FILENAME],
    ['a comma and a quote in a name', { members: [{ name: 'foo/a,"b".py', bytes: 'x' }] }, FILENAME],
    ['signatures beside RECORD', { unlisted: [{ name: 'foo-1.0.dist-info/RECORD.jws', bytes: '{}' }] }, FILENAME],
    [
      'a digest with sha512 and padding',
      {
        members: [{ name: 'a.py', bytes: 'x' }],
        unlisted: [{ name: 'b.py', bytes: 'y' }],
        extraRecord: `${recordLine({ name: 'b.py', bytes: 'y' }, 'sha512').replace(',1', '==,1')}\n`,
      },
      FILENAME,
    ],
    [
      'a line without a size',
      {
        unlisted: [{ name: 'b.py', bytes: 'y' }],
        extraRecord: `${recordLine({ name: 'b.py', bytes: 'y' }).replace(/,1$/, ',')}\r\n\r\n`,
      },
      FILENAME,
    ],
    [
      'entry points',
      {
        members: [
          {
            name: 'foo-1.0.dist-info/entry_points.txt',
            bytes:
              '# scripts\n[console_scripts]\nfoo = foo:main\nfoo.bar-2 =\n  foo:main [extra]\n\n[mime]\ntext/x-foo = foo:T\n',
          },
        ],
      },
      FILENAME,
    ],
    ['another Wheel-Version 1.x', { wheel: 'Wheel-Version: 1.9\r\nTag: x\r\n' }, FILENAME],
  ])('accepts %s', async (_title, wheel, filename) => {
    expect((await inspect(wheel, filename)).hashesChecked).toBe(true);
  });

  it.each<[string, WheelToWrite, RegExp]>([
    ['no dist-info folder', { distInfo: 'foo-1.0' }, /no \*\.dist-info folder/],
    ['two dist-info folders', { members: [{ name: 'bar-1.0.dist-info/METADATA' }] }, /it has two/],
    ['two dist-info folders that differ by case', { members: [{ name: 'foo-1.0.DIST-INFO/METADATA' }] }, /it has two/],
    ['a dist-info folder of another package', { distInfo: 'bar-1.0.dist-info' }, /another package or version/],
    ['a dist-info folder of another version', { distInfo: 'foo-1.1.dist-info' }, /another package or version/],
    ['a dist-info folder without version', { distInfo: 'foo.dist-info' }, /another package or version/],
    ['a dist-info folder in capitals', { distInfo: 'foo-1.0.DIST-INFO' }, /another package or version/],
    ['no METADATA', { metadata: null }, /no "foo-1.0.dist-info\/METADATA"/],
    ['no WHEEL', { wheel: null }, /no "foo-1.0.dist-info\/WHEEL"/],
    ['no RECORD', { record: null }, /no "foo-1.0.dist-info\/RECORD"/],
    ['METADATA without a name', { metadata: 'Metadata-Version: 2.1\nVersion: 1.0\n' }, /"Name"/],
    ['Wheel-Version 2', { wheel: 'Wheel-Version: 2.0\n' }, /Wheel-Version "2.0"/],
    ['no Wheel-Version', { wheel: 'Generator: x\n' }, /Wheel-Version ""/],
    ['two Wheel-Versions', { wheel: 'Wheel-Version: 1.0\nWheel-Version: 2.0\n' }, /Wheel-Version "1.0 and 2.0"/],
    ['a member that RECORD lacks', { unlisted: [{ name: 'evil.py', bytes: 'x' }] }, /"evil.py" is not listed/],
    ['a listed member that is missing', { extraRecord: `${recordLine({ name: 'gone.py' })}\n` }, /"gone.py" is listed/],
    ['a listed folder', { members: [{ name: 'foo/', mode: 0o040755 }], extraRecord: 'foo/,,\n' }, /"foo\/" is listed/],
    ['a listed member without hash', { unlisted: [{ name: 'b.py' }], extraRecord: 'b.py,,\n' }, /"b.py" has no hash/],
    [
      'a wrong size in RECORD',
      { unlisted: [{ name: 'b.py', bytes: 'y' }], extraRecord: `${recordLine({ name: 'b.py', bytes: 'yy' })}\n` },
      /"b.py" has 1 bytes, and 2/,
    ],
    [
      'a wrong hash in RECORD',
      { unlisted: [{ name: 'b.py', bytes: 'y' }], extraRecord: `${recordLine({ name: 'b.py', bytes: 'z' })}\n` },
      /"b.py" has another sha256/,
    ],
    [
      'a weak hash',
      { unlisted: [{ name: 'b.py' }], extraRecord: `${recordLine({ name: 'b.py' }, 'md5')}\n` },
      /"b.py" a hash that is not sha256/,
    ],
    [
      'a short hash',
      { unlisted: [{ name: 'b.py' }], extraRecord: 'b.py,sha256=abcd,0\n' },
      /"b.py" a hash that is not/,
    ],
    ['a line of another shape', { extraRecord: 'b.py\n' }, /the line "b.py"/],
    ['a line with too many fields', { extraRecord: 'b.py,,,\n' }, /the line "b.py,,,"/],
    ['a size that is no number', { extraRecord: 'b.py,,x\n' }, /size that is no number/],
    ['a path listed twice', { extraRecord: 'foo-1.0.dist-info/RECORD,,\n' }, /twice/],
    ['an open quote', { extraRecord: '"b.py,,\n' }, /not a CSV file/],
    ['a field without end', { extraRecord: `"${'x'.repeat(1 << 20)}",,\n` }, /not a CSV file/],
    ['a Wheel-Version of white space', { wheel: `Wheel-Version:${' '.repeat(60_000)}x y\n` }, /Wheel-Version "x y"/],
    ['a member that is a path out', { members: [{ name: '../evil.py' }] }, /".."/],
  ])('refuses a wheel with %s', async (_title, wheel, reason) => {
    await expect(inspect(wheel)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) });
  });

  it.each([
    ['climbs', '[console_scripts]\n../evil = foo:main\n', /"..\/evil"/],
    ['is absolute', '[gui_scripts]\n/bin/sh=foo:main\n', /"\/bin\/sh"/],
    ['has a backslash', '[console_scripts]\r\n..\\evil = foo:main\r\n', /"..\\\\evil"/],
    ['has a drive', '[console_scripts]\nC:evil = foo:main\n', /"C:evil"/],
    ['is ".."', '[console_scripts]\n.. = foo:main\n', /".."/],
    ['is empty', '[console_scripts]\n = foo:main\n', /""/],
    ['stands in a folded line', '[console_scripts]\na = b:c\n  ../evil = foo:main\n', /"..\/evil"/],
    ['stands behind a folded section', '[console_scripts]\na = b:c\n  [x]\n../evil = foo:main\n', /"..\/evil"/],
    ['stands in an oddly spelled section', '[ Console_Scripts ]\n../evil = foo:main\n', /"..\/evil"/],
  ])('refuses a wheel with a script that %s', async (_title, bytes, reason) => {
    const wheel = { members: [{ name: 'foo-1.0.dist-info/entry_points.txt', bytes }] };
    await expect(inspect(wheel)).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) });
  });

  it('refuses entry points that are not UTF-8 or too long', async () => {
    const name = 'foo-1.0.dist-info/entry_points.txt';
    const notText = { members: [{ name, bytes: Buffer.from([0xff]) }] };
    await expect(inspect(notText)).rejects.toThrow(/entry_points.txt .* UTF-8/);
    const long = { members: [{ name, bytes: ' '.repeat(2 ** 20 + 1) }] };
    await expect(inspect(long)).rejects.toThrow(/entry_points.txt" has 1048577 bytes/);
  });

  it('refuses what is no wheel by name or by content', async () => {
    await expect(inspect({}, 'foo-1.0.tar.gz')).rejects.toMatchObject({ code: 'invalid' });
    await expect(inspectWheel(bytesSource(Buffer.from('no zip at all')), FILENAME)).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(inspectWheel(bytesSource(Buffer.alloc(0)), FILENAME)).rejects.toMatchObject({ code: 'invalid' });
  });

  it('compares digests up to a size and names and sizes always', async () => {
    const limits = { ...DEFAULT_INSPECT_LIMITS, recordHashBytes: 100 };
    const wrongHash = {
      unlisted: [{ name: 'b.py', bytes: 'y' }],
      extraRecord: `${recordLine({ name: 'b.py', bytes: 'z' })}\n`,
    };
    expect((await inspect(wrongHash, FILENAME, limits)).hashesChecked).toBe(false);
    await expect(inspect({ unlisted: [{ name: 'b.py' }] }, FILENAME, limits)).rejects.toThrow(/not listed/);
  });

  it('reads thousands of members in few reads', async () => {
    const members = Array.from({ length: 3000 }, (_, index) => ({ name: `foo/m${index}.py`, bytes: `x = ${index}\n` }));
    const source = bytesSource(wheelBytes({ members }));
    let reads = 0;
    const counting = {
      sizeBytes: source.sizeBytes,
      read: (start: number, end: number) => {
        reads += 1;
        return source.read(start, end);
      },
    };
    expect((await inspectWheel(counting, FILENAME)).hashesChecked).toBe(true);
    expect(reads).toBeLessThan(10);
  });

  it('refuses METADATA above 8 MiB', async () => {
    const metadata = metadataText('foo', '1.0', `Keywords: ${'x'.repeat(8 * 1024 ** 2)}\n`);
    await expect(inspect({ metadata })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/at most 8388608/),
    });
  });
});
