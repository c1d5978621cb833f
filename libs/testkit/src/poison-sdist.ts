import { createCipheriv } from 'node:crypto';
import { constants, gzipSync } from 'node:zlib';
import { type PoisonCase, poison } from './poison-case.js';
import { deflateAgain, gzipOf } from './poison-deflate.js';
import { type PoisonEntry, paxEntry, poisonTar, tarEntry } from './poison-tar.js';
import { metadataOf } from './poison-wheel.js';
import { poisonZip } from './poison-zip.js';

const BASENAME = 'poison-1.0.tar.gz';
const ZIP_BASENAME = 'poison-1.0.zip';
const TOP = 'poison-1.0';
const MEGABYTE = 1024 ** 2;

function entriesOf(pkgInfo: string | Uint8Array = metadataOf()): readonly PoisonEntry[] {
  return [
    { path: `${TOP}/PKG-INFO`, bytes: pkgInfo },
    { path: `${TOP}/pyproject.toml`, bytes: '[build-system]\nrequires = []\n' },
  ];
}

const sdistOf = (...more: readonly PoisonEntry[]) => gzipSync(poisonTar([...entriesOf(), ...more]));

/** Source distributions that unpack differently, elsewhere, without end, or to another package. */
export function sdists(): readonly PoisonCase[] {
  const sdist = (title: string, says: RegExp, bytes: () => Buffer) => poison(BASENAME, title, says, bytes);
  const entry = (title: string, says: RegExp, ...more: readonly PoisonEntry[]) =>
    sdist(title, says, () => sdistOf(...more));
  const link = (path: string, target: string): PoisonEntry => ({ path: `${TOP}/${path}`, type: '2', target });
  const info = (title: string, pkgInfo: string | Uint8Array, says: RegExp) =>
    sdist(title, says, () => gzipSync(poisonTar(entriesOf(pkgInfo))));
  const head = () => poisonTar(entriesOf()).subarray(0, -1024);
  const named = (title: string, basename: string, says: RegExp) => poison(basename, title, says, () => sdistOf());
  return [
    sdist('that is a bomb', /50 times its size/, () => {
      const zeros = tarEntry({ path: `${TOP}/zeros`, sizeBytes: 80 * MEGABYTE });
      return gzipOf(deflateAgain(Buffer.concat([head(), zeros]), Buffer.alloc(MEGABYTE), 81));
    }),
    sdist('of 100,001 members', /more than 100000 members/, () => {
      const folder = tarEntry({ path: `${TOP}/again/`, type: '5' });
      return gzipOf(deflateAgain(head(), Buffer.concat(Array<Buffer>(1_000).fill(folder)), 101));
    }),
    sdist('of two gzip members', /behind the end of a compressed part/, () => Buffer.concat([sdistOf(), sdistOf()])),
    sdist('with bytes behind it', /behind the end of a compressed part/, () =>
      Buffer.concat([sdistOf(), Buffer.alloc(512)]),
    ),
    sdist('with bytes behind its tar', /bytes behind its end/, () =>
      gzipSync(Buffer.concat([poisonTar(entriesOf()), tarEntry({ path: `${TOP}/hidden` })])),
    ),
    sdist('that is a zip too', /zip archive too/, () => {
      const zip = poisonZip([{ name: `${TOP}/PKG-INFO`, bytes: metadataOf('', 'other') }]);
      return Buffer.concat([sdistOf(), zip]);
    }),
    sdist('that is a zip', /zip archive too|no gzip file/, () => poisonZip([{ name: `${TOP}/PKG-INFO` }])),
    sdist('with a wrong checksum', /wrong checksum/, () => flipped(sdistOf(), -8)),
    sdist('with a wrong size', /wrong size/, () => flipped(sdistOf(), -1)),
    sdist('with a damaged stream', /cannot be unpacked/, () => flipped(sdistOf(), 10)),
    sdist('cut short', /cut short|damaged/, () => sdistOf().subarray(0, -9)),
    sdist('whose tar is cut short', /tar archive.*cut short/, () =>
      gzipSync(poisonTar(entriesOf()).subarray(0, -1024)),
    ),
    sdist('with a gzip header without end', /header without end/, () =>
      Buffer.concat([Buffer.from('1f8b08080000000000ff', 'hex'), Buffer.alloc(8000, 1)]),
    ),
    sdist('that is not compressed', /no gzip file/, () => poisonTar(entriesOf())),
    sdist('that is empty', /cut short/, () => Buffer.alloc(0)),
    sdist('without members', /no "PKG-INFO"/, () => gzipSync(poisonTar([]))),
    sdist('without PKG-INFO', /no "poison-1.0\/PKG-INFO"/, () => gzipSync(poisonTar(entriesOf().slice(1)))),
    entry('with two top folders', /two top folders, "poison-1.0" and "other"/, { path: 'other/x' }),
    entry('with a file beside its top folder', /"setup.py" beside its top folder/, { path: 'setup.py' }),
    entry('with PKG-INFO twice', /"poison-1.0\/PKG-INFO" twice/, { path: `${TOP}/PKG-INFO`, bytes: metadataOf() }),
    entry('with PKG-INFO twice behind "./"', /"poison-1.0\/PKG-INFO" twice/, { path: `./${TOP}/PKG-INFO` }),
    entry('with a climbing name', /"poison-1.0\/..\/..\/x"/, { path: `${TOP}/../../x` }),
    entry('with a climbing name by pax', /".."/, paxEntry({ path: `${TOP}/../../x` }), { path: `${TOP}/x` }),
    entry('with an absolute name', /"\/etc\/passwd".*absolute/, { path: '/etc/passwd' }),
    entry('with an unprintable name', /control character/, { path: `${TOP}/a\nb` }),
    entry('with a link out', /"poison-1.0\/a".*leads outside/, link('a', '../../x')),
    entry('with an absolute link', /"poison-1.0\/a".*leads outside/, link('a', '/etc/passwd')),
    entry('with a link to a neighbour', /leads outside/, link('a', '../poison-1.0.evil/x')),
    entry('with a link out by pax', /leads outside/, paxEntry({ linkpath: '/etc' }), link('a', 'b')),
    entry(
      'with a link out behind a link',
      /"poison-1.0\/out".*leads outside/,
      link('d/up', '..'),
      link('out', 'd/up/../x'),
    ),
    entry('with a member behind a link', /both file and folder/, link('a', '.'), { path: `${TOP}/a/b` }),
    entry('with a hard link out', /leads outside/, { path: `${TOP}/a`, type: '1', target: '/etc/passwd' }),
    entry('with a hard link to a link', /leads outside/, link('a', 'b'), {
      path: `${TOP}/c`,
      type: '1',
      target: `${TOP}/a`,
    }),
    entry('with a character device', /"poison-1.0\/x", which is a device/, { path: `${TOP}/x`, type: '3' }),
    entry('with a block device', /"poison-1.0\/x", which is a device/, { path: `${TOP}/x`, type: '4' }),
    entry('with a pipe', /"poison-1.0\/x", which is a device/, { path: `${TOP}/x`, type: '6' }),
    entry('with a sparse file', /"poison-1.0\/x".*sparse/, { path: `${TOP}/x`, type: 'S' }),
    entry('with a sparse file by pax', /GNU.sparse.major/, paxEntry({ 'GNU.sparse.major': '1' }), { path: `${TOP}/x` }),
    entry('with two sizes', /two sizes for "poison-1.0\/x"/, paxEntry({ size: '0' }), { path: `${TOP}/x`, bytes: 'x' }),
    entry('with a name by two means', /path of a member twice/, paxEntry({ path: `${TOP}/a` }), {
      path: 'L',
      type: 'L',
      bytes: `${TOP}/b\0`,
    }),
    entry('with a global path', /global pax field "path"/, paxEntry({ path: `${TOP}/y` }, 'g'), { path: `${TOP}/x` }),
    entry('with a damaged pax header', /damaged pax/, { ...paxEntry({}), bytes: '99 path=x\n' }),
    entry('with a huge pax header', /at most 1048576/, { path: 'p', type: 'x', sizeBytes: 2 ** 30 }),
    entry('with a pax header of nothing', /belongs to no member/, paxEntry({ path: `${TOP}/a` })),
    entry('with a size of a folder', /which has no bytes/, { path: `${TOP}/d/`, type: '5', sizeBytes: 512 }),
    entry('with a wrong checksum of a header', /wrong checksum/, { path: `${TOP}/x`, checksum: 1 }),
    entry('of an unknown tar format', /unknown tar format/, { path: `${TOP}/x`, magic: '\0\0\0\0\0\0\0\0' }),
    entry('with a file without end', /cut short/, { path: `${TOP}/x`, sizeBytes: 2 ** 30 }),
    info('whose PKG-INFO names another', metadataOf('', 'other'), /PKG-INFO.*"other"/),
    info('whose PKG-INFO gives another version', metadataOf('', 'poison', '2.0'), /PKG-INFO.*"2.0"/),
    info('whose PKG-INFO gives no name', 'Metadata-Version: 2.1\nVersion: 1.0\n', /"Name"/),
    info('whose PKG-INFO gives two versions', metadataOf('Version: 2.0\n'), /"version" 2 times/),
    info('whose PKG-INFO is not UTF-8', Buffer.from(metadataOf('Author: é\n'), 'latin1'), /UTF-8/),
    info('whose PKG-INFO is empty', '', /"Metadata-Version"/),
    info('whose Requires-Python is none', metadataOf('Requires-Python: >=3.x.y\n'), /Requires-Python/),
    poison(ZIP_BASENAME, 'that is a zip with a wrong checksum', /wrong checksum for "poison-1.0\/PKG-INFO"/, () =>
      poisonZip([{ name: `${TOP}/PKG-INFO`, bytes: metadataOf(), both: { crc32: 1 } }]),
    ),
    poison(ZIP_BASENAME, 'that is a zip with two top folders', /two top folders/, () =>
      poisonZip([{ name: `${TOP}/PKG-INFO`, bytes: metadataOf() }, { name: 'other/x' }]),
    ),
    poison(ZIP_BASENAME, 'that is a zip of another package', /PKG-INFO.*"other"/, () =>
      poisonZip([{ name: `${TOP}/PKG-INFO`, bytes: metadataOf('', 'other') }]),
    ),
    poison(ZIP_BASENAME, 'that is a zip by name and a tar by content', /tar archive too|something else/, () =>
      poisonTar(entriesOf()),
    ),
    named('named after another', 'other-1.0.tar.gz', /other/),
    named('named after another version', 'poison-2.0.tar.gz', /poison-2.0|"2.0"/),
    named('named as a .tar.bz2', 'poison-1.0.tar.bz2', /\.tar\.bz2/),
    named('named with a percent sign', 'poison-1.0%2f.tar.gz', /%/),
  ];
}

/** A sound `.tar.gz` of some 40 kB that no compression shrinks. */
export function soundSdist(): Buffer {
  return sdistOf({ path: `${TOP}/filler.bin`, bytes: filler() });
}

/** The same as the `.zip` of old tools. */
export function soundZipSdist(): Buffer {
  return poisonZip([
    { name: `${TOP}/PKG-INFO`, bytes: metadataOf(), deflated: true },
    { name: `${TOP}/filler.bin`, bytes: filler(), deflated: true },
  ]);
}

/** Odd, and accepted on purpose. */
export function oddSdists(): readonly (readonly [title: string, bytes: () => Buffer])[] {
  const deep = `${TOP}/${'deep/'.repeat(30)}x`;
  return [
    [
      'with pax times, long names and its true size',
      () => sdistOf(paxEntry({ mtime: '1.5', path: deep, size: '1' }), { path: 'short', bytes: 'x' }),
    ],
    [
      'with a long name by GNU',
      () => sdistOf({ path: '././@LongLink', type: 'L', bytes: `${deep}\0` }, { path: 'short', magic: 'ustar  \0' }),
    ],
    [
      'with links that stay inside',
      () =>
        sdistOf(
          { path: `${TOP}/a/link`, type: '2', target: '../PKG-INFO' },
          { path: `${TOP}/hard`, type: '1', target: `${TOP}/PKG-INFO` },
        ),
    ],
    [
      'with its top folder and "./" as members',
      () => sdistOf({ path: './', type: '5' }, { path: `./${TOP}/src/`, type: '5' }, { path: `./${TOP}/src/a.py` }),
    ],
    ['with a global comment, as version control writes it', () => sdistOf(paxEntry({ comment: 'abc' }, 'g'))],
    ['compressed badly', () => gzipSync(poisonTar(entriesOf()), { level: constants.Z_NO_COMPRESSION })],
  ];
}

function filler(): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(40_000));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  return bytes;
}
