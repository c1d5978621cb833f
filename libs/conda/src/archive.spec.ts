import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { type CondaInspection, type CondaLimits, inspectConda } from './archive.js';
import {
  bzip2Of,
  condaMembersOf,
  infoFilesOf,
  sourceOf,
  type TarFile,
  tarEntryOf,
  tarOf,
  type ZipFile,
  zipOf,
} from './package.fixture.js';

const STEM = 'foo-1.0-0';
const about = { name: 'info/about.json', text: '{"home":"https://example.com"}' };
const exportsFile = { name: 'info/run_exports.json', text: '["foo >=1"]' };

const inspect = (bytes: Uint8Array, filename = `${STEM}.conda`, limits: Partial<CondaLimits> = {}) =>
  inspectConda(sourceOf(bytes), filename, limits);
const condaOf = (info: readonly TarFile[]) => zipOf(condaMembersOf(STEM, info));
const tarBz2Of = (files: readonly TarFile[]) => bzip2Of(tarOf(files), 4000);

function members(change: (files: ZipFile[]) => ZipFile[]): Buffer {
  return zipOf(change(condaMembersOf(STEM)));
}
const replaced = (name: string, change: Partial<ZipFile>) => (files: ZipFile[]) =>
  files.map((file) => (file.name.startsWith(name) ? { ...file, ...change } : file));

const packageOf = (...files: TarFile[]) => members(replaced('pkg', { bytes: zlib.zstdCompressSync(tarOf(files)) }));

describe('a sound package', () => {
  it.each([
    ['.conda', `${STEM}.conda`, condaOf([...infoFilesOf(), about, exportsFile])],
    ['.tar.bz2', `${STEM}.tar.bz2`, tarBz2Of([{ name: 'bin/foo', text: 'foo' }, ...infoFilesOf(), about, exportsFile])],
  ])('%s says what it is', async (_, filename, bytes) => {
    const inspection = await inspect(bytes, filename);
    expect(inspection).toEqual({
      format: filename.endsWith('.conda') ? 'conda' : 'tar.bz2',
      index: { name: 'foo', version: '1.0', build: '0', build_number: 0, depends: [], subdir: 'linux-64' },
      about: { home: 'https://example.com' },
      runExports: { weak: ['foo >=1'] },
      members: filename.endsWith('.conda') ? 4 : 5,
    } satisfies CondaInspection);
  });

  it('leaves out what it does not say', async () => {
    const inspection = await inspect(condaOf(infoFilesOf()));
    expect([inspection.about, inspection.runExports]).toEqual([undefined, undefined]);
  });

  it('may have its members in any order, a signature, and a zip64 end record', async () => {
    const sig = { name: 'metadata.json.sig', bytes: Buffer.from('signature') };
    const bytes = zipOf([sig, ...condaMembersOf(STEM).reverse()], { zip64: true });
    expect((await inspect(bytes)).index.name).toBe('foo');
  });

  it('may have a zip64 field that agrees with its header', async () => {
    const change = (files: ZipFile[]) => files.map((file) => ({ ...file, extra: zip64Extra(file.bytes.length) }));
    expect((await inspect(members(change))).index.name).toBe('foo');
    const lying = members(replaced('info', { extra: zip64Extra(5) }));
    await expect(inspect(lying)).rejects.toThrow('disagree');
  });

  it('may have been built before paths.json, with files instead', async () => {
    const [index = { name: '' }] = infoFilesOf();
    const info = [{ name: 'info', type: '5' }, index, { name: 'info/files', text: '' }];
    expect((await inspect(tarBz2Of(info), `${STEM}.tar.bz2`)).members).toBe(3);
    await expect(inspect(tarBz2Of([index]), `${STEM}.tar.bz2`)).rejects.toThrow('no info/paths.json');
  });

  it('may have long names, links inside, and backslashes in unit names', async () => {
    const long = `lib/${'x'.repeat(150)}`;
    const files: TarFile[] = [
      ...infoFilesOf(),
      { name: '././@LongLink', type: 'L', text: `${long}\0`, magic: 'ustar  \0' },
      { name: 'lib/xxx', text: 'a', magic: 'ustar  \0' },
      { name: 'PaxHeader', type: 'x', text: paxOf('path', `${long}y`) },
      { name: 'short', text: 'b' },
      { name: 'lib/z', type: '1', target: long },
      { name: 'lib/deep/z.so', type: '2', target: '../../bin/z' },
      { name: 'lib/dev-disk\\x2duuid.device', text: '' },
      { name: 'share', prefix: 'very/long', text: 'c' },
    ];
    expect((await inspect(tarBz2Of(files), `${STEM}.tar.bz2`)).members).toBe(8);
  });

  it('is read by ranges: of a very large .conda only the headers and the info part', async () => {
    const pkg = Buffer.concat([zlib.zstdCompressSync(Buffer.from('x')), Buffer.alloc(20_000_000)]);
    const source = sourceOf(members(replaced('pkg', { bytes: pkg })));
    await inspectConda(source, `${STEM}.conda`, { checkedBytes: 1_000_000 });
    expect(source.readBytes).toBeLessThan(10_000);
  });
});

describe('a .conda container is refused', () => {
  const cases: [string, Buffer, string][] = [
    ['when it is no zip', Buffer.from('not a zip, but long enough to be looked at'), 'end record'],
    ['when it is empty', Buffer.alloc(0), 'too short'],
    ['with a renamed stem', zipOf(condaMembersOf('bar-1.0-0')), 'must have the member'],
    [
      'nested under a folder',
      members((files) => files.map((f) => ({ ...f, name: `a/${f.name}` }))),
      'must have the member',
    ],
    ['without its package part', members((files) => files.slice(0, 2)), 'must have the member'],
    ['with a fourth member', members((files) => [...files, { name: 'x', bytes: Buffer.from('x') }]), 'members besides'],
    ['with two info parts', members((files) => [...files, ...files.slice(1, 2)]), 'same name'],
    [
      'with a second info part of another stem',
      members((files) => [...files, { name: 'info-a.tar.zst', bytes: Buffer.from('x') }]),
      'members besides',
    ],
    [
      'with a signature that is too large',
      members((files) => [...files, { name: 'metadata.json.sig', bytes: Buffer.alloc(70_000) }]),
      'members besides',
    ],
    ['with a deflated member', members(replaced('info', { method: 8 })), 'is compressed'],
    ['with a member that is a link', members(replaced('info', { mode: 0o120777 })), 'is a link or a special file'],
    [
      'when its package part is not the tar of its checksum',
      members(replaced('pkg', { crc: 1 })),
      '"pkg-foo-1.0-0.tar.zst" does not match its checksum'.replaceAll('"', ''),
    ],
    ['when its package part is no tar', members(replaced('pkg', { bytes: zlib.zstdCompressSync('x') })), 'cut short'],
    [
      'when its package part brings an info of its own',
      packageOf({ name: 'info/index.json' }),
      'belongs into the info part',
    ],
    ['when its package part climbs', packageOf({ name: '../x' }), 'leaves the package'],
    ['when its package part holds conda-meta', packageOf({ name: 'conda-meta/history' }), 'only clients write'],
    ['with an encrypted member', members(replaced('info', { flags: 1 })), 'encrypted'],
    ['with a data descriptor', members(replaced('info', { flags: 8 })), 'data descriptor'],
    [
      'when the headers name a member differently',
      members(replaced('info', { localName: 'info-foo-1.0-1.tar.zst' })),
      'disagree',
    ],
    ['when the headers size a member differently', members(replaced('info', { localSize: 3 })), 'disagree'],
    ['with a comment on a member', members(replaced('info', { comment: 'x' })), 'comment'],
    [
      'with a second name in an extra field',
      members(replaced('info', { extra: Buffer.from('upabc', 'latin1').fill(0, 2).fill(1, 2, 3) })),
      'second name',
    ],
    ['with a wrong CRC of its info part', members(replaced('info', { crc: 1 })), 'checksum'],
    ['with a wrong CRC of metadata.json', members(replaced('metadata', { crc: 1 })), 'checksum'],
    ['with leading bytes', zipOf(condaMembersOf(STEM), { before: Buffer.from('#!') }), 'before or between'],
    [
      'with bytes before the directory',
      zipOf(condaMembersOf(STEM), { beforeDirectory: Buffer.from('x') }),
      'between its members and its directory',
    ],
    ['with trailing bytes', zipOf(condaMembersOf(STEM), { after: Buffer.from('x') }), 'end record'],
    ['with a comment', zipOf(condaMembersOf(STEM), { comment: 'x' }), 'end record'],
    [
      'with a second zip appended',
      Buffer.concat([zipOf(condaMembersOf(STEM)), zipOf(condaMembersOf(STEM))]),
      'end record',
    ],
    ['with more entries than it counts', zipOf(condaMembersOf(STEM), { count: 2 }), 'more entries'],
    ['with fewer entries than it counts', zipOf(condaMembersOf(STEM), { count: 4 }), 'directory is broken'],
    [
      'with hundreds of members',
      members((files) => [
        ...files,
        ...Array.from({ length: 300 }, (_, i) => ({ name: `x${i}`, bytes: Buffer.alloc(0) })),
      ]),
      'members',
    ],
    ['cut short', condaOf(infoFilesOf()).subarray(0, -30), 'end record'],
    [
      'of another format version',
      members(replaced('metadata', { bytes: Buffer.from('{"conda_pkg_format_version": 3}') })),
      'format_version',
    ],
    ['when metadata.json is no JSON', members(replaced('metadata', { bytes: Buffer.from('x') })), 'is not JSON'],
    ['when metadata.json is huge', members(replaced('metadata', { bytes: Buffer.alloc(5000) })), 'larger than 4096'],
    [
      'when its info part is no zstd',
      members(replaced('info', { bytes: Buffer.from('not zstd at all') })),
      'zstd frame',
    ],
    [
      'when its package part is no zstd',
      members(replaced('pkg', { bytes: Buffer.from('not zstd at all') })),
      'zstd frame',
    ],
    ['when its package part is empty', members(replaced('pkg', { bytes: Buffer.alloc(0) })), 'zstd frame'],
    [
      'when its package part needs a huge window',
      members(replaced('pkg', { bytes: zstdHeaderOf(0x00, 18 << 3) })),
      'needs a window',
    ],
    [
      'when its info part needs a dictionary',
      members(replaced('info', { bytes: zstdHeaderOf(0x01, 0) })),
      'dictionary',
    ],
    [
      'when its info part begins with a skippable frame',
      members((files) =>
        replaced('info', {
          bytes: Buffer.concat([
            Buffer.from([0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 0]),
            files[1]?.bytes ?? Buffer.alloc(0),
          ]),
        })(files),
      ),
      'zstd frame',
    ],
    [
      'when its info part has a second frame',
      members((files) =>
        replaced('info', { bytes: Buffer.concat([files[1]?.bytes ?? Buffer.alloc(0), zlib.zstdCompressSync('x')]) })(
          files,
        ),
      ),
      'single zstd frame',
    ],
    [
      'when a megabyte follows its info part',
      members((files) =>
        replaced('info', { bytes: Buffer.concat([files[1]?.bytes ?? Buffer.alloc(0), Buffer.alloc(1_000_000)]) })(
          files,
        ),
      ),
      'cannot be decompressed',
    ],
    [
      'when its info part is cut short',
      members((files) => replaced('info', { bytes: files[1]?.bytes.subarray(0, -9) ?? Buffer.alloc(0) })(files)),
      'cannot be decompressed',
    ],
  ];
  it.each(cases)('%s', async (_, bytes, reason) => {
    await expect(inspect(bytes)).rejects.toThrow(reason);
    await expect(inspect(bytes)).rejects.toMatchObject({ name: 'Fault' });
  });

  it('with any byte of its zip structure changed, or is the same package still', async () => {
    const sound = condaOf(infoFilesOf());
    const expected = await inspect(sound);
    let refused = 0;
    for (let at = 0; at < sound.length; at++) {
      const changed = Buffer.from(sound);
      changed[at] = (changed[at] ?? 0) ^ 0x40;
      try {
        expect(await inspect(changed)).toEqual(expected);
      } catch (error) {
        expect(error).toMatchObject({ name: 'Fault' });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(sound.length / 2);
  });
});

describe('a tar is refused', () => {
  const info = infoFilesOf();
  const cases: [string, TarFile[], string][] = [
    ['without info/index.json', info.slice(1), 'no info/index.json'],
    ['with an absolute name', [...info, { name: '/etc/passwd' }], 'absolute'],
    ['with a climbing name', [...info, { name: 'bin/../../x' }], 'leaves the package'],
    ['with a climbing Windows name', [...info, { name: 'bin\\..\\..\\x' }], 'leaves the package'],
    ['with a drive letter', [...info, { name: 'C:x' }], 'absolute'],
    ['with a "." segment', [...info, { name: './bin/x' }], '"." segment'],
    ['with an empty segment', [...info, { name: 'bin//x' }], '"." segment'],
    ['with a control character in a name', [...info, { name: 'bin/\u0001' }], 'absolute or leaves'],
    [
      'with an endless name',
      [...info, { name: 'p', type: 'x', text: paxOf('path', 'x'.repeat(2000)) }, { name: 'y' }],
      'longer than 1024',
    ],
    ['with a character device', [...info, { name: 'dev/x', type: '3' }], 'neither a file'],
    ['with a block device', [...info, { name: 'dev/x', type: '4' }], 'neither a file'],
    ['with a pipe', [...info, { name: 'dev/x', type: '6' }], 'neither a file'],
    ['with a sparse file', [...info, { name: 'x', type: 'S' }], 'neither a file'],
    ['with a global header', [{ name: 'g', type: 'g', text: paxOf('path', 'x') }, ...info], 'neither a file'],
    [
      'with sparse names in an extended header',
      [...info, { name: 'p', type: 'x', text: paxOf('GNU.sparse.name', 'x') }, { name: 'y' }],
      'GNU.sparse',
    ],
    [
      'with a broken extended header',
      [...info, { name: 'p', type: 'x', text: '99 path=x\n' }, { name: 'y' }],
      'extended header is broken',
    ],
    [
      'with an extended header of two paths',
      [...info, { name: 'p', type: 'x', text: paxOf('path', 'x') + paxOf('path', 'y') }, { name: 'y' }],
      'repeats',
    ],
    [
      'with a climbing name in an extended header',
      [...info, { name: 'p', type: 'x', text: paxOf('path', '../x') }, { name: 'y' }],
      'leaves the package',
    ],
    ['with a link out of the package', [...info, { name: 'bin/x', type: '2', target: '../../etc' }], 'points out'],
    ['with an absolute link', [...info, { name: 'bin/x', type: '2', target: '/etc' }], 'points out'],
    [
      'with a hard link out of the package',
      [...info, { name: 'bin/x', type: '1', target: '../x' }],
      'leaves the package',
    ],
    ['with a link that has contents', [...info, { name: 'bin/x', type: '2', target: 'y', size: 512 }], 'has contents'],
    ['with a name twice', [...info, ...info.slice(0, 1)], 'twice'],
    [
      'with index.json as a link',
      [{ name: 'info/index.json', type: '2', target: 'x' }, ...info.slice(1)],
      'plain file',
    ],
    ['with index.json in two spellings', [...info, { name: 'info/INDEX.json', text: '{}' }], 'plain file'],
    ['with info in two spellings', [...info, { name: 'Info/x', text: '{}' }], 'cannot tell from'],
    ['with info as a link', [...info, { name: 'info', type: '2', target: 'lib' }], 'directory for one entry'],
    ['with conda-meta', [...info, { name: 'conda-meta/x.json', text: '{}' }], 'only clients write'],
    ['with repodata_record.json', [...info, { name: 'info/repodata_record.json', text: '{}' }], 'only clients write'],
    [
      'with an entry below a link',
      [...info, { name: 'a', type: '2', target: 'b' }, { name: 'a/x' }],
      '"a" is a directory',
    ],
    [
      'with a link over a directory',
      [...info, { name: 'a/x' }, { name: 'a', type: '2', target: 'b' }],
      '"a" is a directory',
    ],
    ['with an entry below a file', [...info, { name: 'a' }, { name: 'a/x' }], '"a" is a directory'],
    [
      'with a link that climbs from behind another',
      [...info, { name: 'd/up', type: '2', target: '..' }, { name: 'out', type: '2', target: 'd/up/../x' }],
      '"out" climbs back',
    ],
    [
      'with a link that climbs from behind a later one',
      [...info, { name: 'out', type: '2', target: 'd/up/../x' }, { name: 'd/up', type: '2', target: '..' }],
      '"out" climbs back',
    ],
    ['with a control character in a link', [...info, { name: 'a', type: '2', target: 'b\n' }], 'control character'],
    ['with two sizes', [...info, { name: 'p', type: 'x', text: paxOf('size', '512') }, { name: 'y' }], 'two sizes'],
    [
      'with a size in words',
      [...info, { name: 'p', type: 'x', text: paxOf('size', '0x0') }, { name: 'y' }],
      'size "0x0"',
    ],
    ['with a header of nothing', [...info, { name: 'p', type: 'x', text: paxOf('path', 'y') }], 'belongs to no entry'],
    [
      'with more directories than entries',
      [...info, { name: 'p', type: 'x', text: paxOf('path', `x${'/y'.repeat(450)}`) }, { name: 'y' }],
      'more than 200 entries',
    ],
    ['with a prefix in a GNU header', [...info, { name: 'x', prefix: 'a', magic: 'ustar  \0' }], 'name prefix'],
    ['with an unknown magic', [...info, { name: 'x', magic: 'tar     ' }], 'neither ustar'],
    ['with index.json that is no object', [{ name: 'info/index.json', text: '[]' }, ...info.slice(1)], 'JSON object'],
    [
      'with index.json that repeats a key',
      [{ name: 'info/index.json', text: '{"a":1,"a":2}' }, ...info.slice(1)],
      'twice',
    ],
    ['with about.json that is no JSON', [...info, { name: 'info/about.json', text: '{' }], 'is not JSON'],
    ['with run exports of numbers', [...info, { name: 'info/run_exports.json', text: '{"weak":[1]}' }], 'run_exports'],
    [
      'with an index.json of two megabytes',
      [{ name: 'info/index.json', text: ' '.repeat(2 ** 21) }, ...info.slice(1)],
      'larger than',
    ],
  ];
  it.each(cases)('%s', async (_, files, reason) => {
    const isInfo = files.every((file) => /^(\.?\/)?info/.test(file.name) || file.type === 'x' || file.type === 'g');
    const limits = { members: 200 };
    await expect(inspect(bzip2Of(tarOf(files), 3000), `${STEM}.tar.bz2`, limits)).rejects.toThrow(reason);
    if (isInfo) await expect(inspect(condaOf(files))).rejects.toThrow(reason);
  });

  it.each([
    ['cut short', tarOf(info).subarray(0, 700), 'cut short'],
    ['without an end mark', tarOf(info).subarray(0, -1024), 'cut short'],
    [
      'with an entry after its end mark',
      Buffer.concat([tarOf(info), tarEntryOf({ name: 'x' })]),
      'follows its end mark',
    ],
    ['with an entry after one empty block', Buffer.concat([Buffer.alloc(512), tarOf(info)]), 'follows its end mark'],
    ['with a wrong checksum', Buffer.concat([Buffer.from('x'), tarOf(info).subarray(1)]), 'checksum'],
    ['with garbage after its end mark', Buffer.concat([tarOf(info), Buffer.alloc(512, 1)]), 'follows its end mark'],
  ])('%s', async (_, tar, reason) => {
    await expect(inspect(bzip2Of(tar, 3000), `${STEM}.tar.bz2`)).rejects.toThrow(reason);
  });

  it('in the info part of a .conda when it holds anything but info', async () => {
    await expect(inspect(condaOf([...info, { name: 'bin/x' }]))).rejects.toThrow('only "info/" belongs there');
  });
});

describe('limits', () => {
  const bomb = [...infoFilesOf(), { name: 'info/zeros', text: Buffer.alloc(3_000_000) }];
  const packed = condaOf(bomb);

  it.each([
    ['the file', { archiveBytes: 100 }],
    ['the unpacked info part', { infoBytes: 1_000_000 }],
    ['the ratio', { ratio: 10, ratioFreeBytes: 100_000 }],
  ])('refuse a .conda by %s', async (_, limits) => {
    await expect(inspect(packed, `${STEM}.conda`, limits)).rejects.toMatchObject({ code: 'too_large' });
  });

  it('refuse entries above their number', async () => {
    await expect(inspect(packed, `${STEM}.conda`, { members: 2 })).rejects.toThrow('more than 2 entries');
  });

  it('stop the package part of a .conda while it grows', async () => {
    const bytes = packageOf({ name: 'zeros', text: Buffer.alloc(3_000_000) });
    const bounds = { infoBytes: 1_000_000, ratio: 100, ratioFreeBytes: 2_000_000 };
    await expect(inspect(bytes, `${STEM}.conda`, bounds)).rejects.toMatchObject({ code: 'too_large' });
    await expect(inspect(bytes, `${STEM}.conda`, { unpackedBytes: 1e6 })).rejects.toMatchObject({ code: 'too_large' });
  });

  it('stop a .tar.bz2 while it grows', async () => {
    const bytes = bzip2Of(Buffer.concat([tarOf(infoFilesOf()), Buffer.alloc(150_000)]), 200_000);
    await expect(inspect(bytes, `${STEM}.tar.bz2`, { unpackedBytes: 100_000 })).rejects.toMatchObject({
      code: 'too_large',
    });
    await expect(inspect(bytes, `${STEM}.tar.bz2`, { ratio: 2, ratioFreeBytes: 20_000 })).rejects.toMatchObject({
      code: 'too_large',
    });
  });
});

const data = path.resolve(import.meta.dirname, '../../../../shared/data/conda');

(existsSync(data) ? describe : describe.skip)('real packages', () => {
  const real = existsSync(data)
    ? readdirSync(data).flatMap((subdir) => readdirSync(path.join(data, subdir)).map((name) => path.join(subdir, name)))
    : ['none'];
  it.each(real.filter((name) => !name.startsWith('malformed')))('%s is read', async (name) => {
    const source = sourceOf(readFileSync(path.join(data, name)));
    const { index } = await inspectConda(source, path.basename(name));
    expect(path.basename(name)).toContain(`${index.name}-${index.version}-${index.build}.`);
  });

  it('the nested container is refused', async () => {
    const name = 'malformed/ca-certificates-2024.7.4-hbcca054_0.conda';
    const bytes = readFileSync(path.join(data, name));
    await expect(inspect(bytes, path.basename(name))).rejects.toMatchObject({ code: 'invalid' });
  });
});

function paxOf(key: string, value: string): string {
  const record = ` ${key}=${value}\n`;
  const length = record.length + String(record.length + 2).length;
  return `${length}${record}`;
}

function zip64Extra(sizeBytes: number): Buffer {
  const extra = Buffer.alloc(20);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(16, 2);
  extra.writeBigUInt64LE(BigInt(sizeBytes), 4);
  extra.writeBigUInt64LE(BigInt(sizeBytes), 12);
  return extra;
}

function zstdHeaderOf(descriptor: number, window: number): Buffer {
  return Buffer.from([0x28, 0xb5, 0x2f, 0xfd, descriptor, window, 0, 0, 0, 0, 1, 0, 0]);
}
