import { createCipheriv } from 'node:crypto';
import { type Bzip2Block, bzip2, bzip2Block, bzip2Stream, zerosBlock } from './poison-bzip2.js';
import { type PoisonCase, poison } from './poison-case.js';
import { condaOf, infoOf } from './poison-conda.js';
import { type PoisonEntry, paxEntry, poisonTar, tarEntry } from './poison-tar.js';

const BASENAME = 'noarch/poison-1.0-0.tar.bz2';
const PADDED_RUNS = 22_000;

/** A `.tar.bz2` whose stream or tar is not what every client would see in it. */
export function tarBz2s(): readonly PoisonCase[] {
  const tar = (...entries: readonly PoisonEntry[]) => bzip2(poisonTar([...infoOf(), ...entries]));
  const entry = (title: string, says: RegExp, ...entries: readonly PoisonEntry[]) =>
    poison(BASENAME, title, says, () => tar(...entries));
  const link = (path: string, target: string): PoisonEntry => ({ path, type: '2', target });
  const sound = () => bzip2(poisonTar(infoOf()));
  const head = () => tarEntry({ path: 'share/zeros', sizeBytes: 2 ** 32 });
  return [
    poison(
      BASENAME,
      'that is a bomb of four blocks',
      /what it unpacks to is larger than/,
      () => bzip2Stream([bzip2Block(Buffer.concat([poisonTar(infoOf()).subarray(0, -1024), head()])), ...bomb(4)]),
      'too_large',
    ),
    poison(
      BASENAME,
      'that is a bomb from its first block',
      /what it unpacks to is larger than|header/,
      () => bzip2Stream(bomb(1)),
      'too_large',
    ),
    poison(BASENAME, 'of two streams', /something follows its first stream/, () => Buffer.concat([sound(), sound()])),
    poison(BASENAME, 'whose second stream goes on with its tar', /something follows its first stream/, () => {
      const whole = poisonTar([...infoOf(), { path: 'bin/hidden', bytes: 'x' }]);
      return Buffer.concat([bzip2(whole.subarray(0, 2048)), bzip2(whole.subarray(2048))]);
    }),
    poison(BASENAME, 'with bytes behind it', /something follows its first stream/, () =>
      Buffer.concat([sound(), Buffer.from('x')]),
    ),
    poison(BASENAME, 'cut short', /cut short|damaged/, () => sound().subarray(0, -4)),
    poison(BASENAME, 'with a wrong checksum of the stream', /checksum is wrong/, () => flipped(sound(), -1)),
    poison(BASENAME, 'with a wrong checksum of a block', /checksum is wrong/, () => flipped(sound(), 12)),
    poison(BASENAME, 'that is a .conda', /"BZh"/, () => condaOf()),
    poison(BASENAME, 'that is not compressed', /"BZh"/, () => poisonTar(infoOf())),
    poison(BASENAME, 'that is empty', /"BZh"/, () => Buffer.alloc(0)),
    poison(BASENAME, 'of nothing', /tar.*cut short/, () => bzip2(Buffer.alloc(0))),
    poison(BASENAME, 'whose tar is cut short', /tar.*cut short/, () => bzip2(poisonTar(infoOf()).subarray(0, -1024))),
    poison(BASENAME, 'with an entry behind the end of its tar', /follows its end mark/, () =>
      bzip2(Buffer.concat([poisonTar(infoOf()), tarEntry({ path: 'bin/hidden' })])),
    ),
    poison(BASENAME, 'without index.json', /no info\/index.json/, () => bzip2(poisonTar(infoOf().slice(1)))),
    entry('with a hard link out', /"\.\.\/etc\/passwd"/, { path: 'bin/x', type: '1', target: '../etc/passwd' }),
    entry('with an absolute hard link', /"\/etc\/passwd"/, { path: 'bin/x', type: '1', target: '/etc/passwd' }),
    entry('with a link out', /"bin\/x" points out/, link('bin/x', '../../etc')),
    entry('with an absolute link', /"bin\/x" points out/, link('bin/x', '/etc')),
    entry('with a file below a link', /"lib" is a directory/, link('lib', 'bin'), { path: 'lib/x' }),
    entry('with a link out behind a link', /"out" climbs back/, link('d/up', '..'), link('out', 'd/up/../x')),
    entry(
      'with a link out by an extended header',
      /"a" points out/,
      paxEntry({ linkpath: '../../etc' }),
      link('a', 'b'),
    ),
    entry('with a character device', /"dev\/x" is neither/, { path: 'dev/x', type: '3' }),
    entry('with a block device', /"dev\/x" is neither/, { path: 'dev/x', type: '4' }),
    entry('with a pipe', /"dev\/x" is neither/, { path: 'dev/x', type: '6' }),
    entry('with a sparse file', /"x" is neither/, { path: 'x', type: 'S' }),
    entry('with a sparse file by pax', /GNU.sparse.major/, paxEntry({ 'GNU.sparse.major': '1' }), { path: 'x' }),
    entry('with two sizes', /two headers of "x"/, paxEntry({ size: '0' }), {
      path: 'x',
      bytes: tarEntry({ path: 'y' }),
    }),
    entry('with a size that is no number', /size "1e3"/, paxEntry({ size: '1e3' }), { path: 'x' }),
    entry('with a name by two headers', /two extended headers/, paxEntry({ path: 'a' }), paxEntry({ path: 'b' }), {
      path: 'x',
    }),
    entry(
      'with a name twice in one header',
      /repeats/,
      { ...paxEntry({}), bytes: '10 path=x\n10 path=y\n' },
      { path: 'x' },
    ),
    entry('with an extended header for all', /"PaxHeader" is neither/, paxEntry({ path: 'a' }, 'g'), { path: 'x' }),
    entry('with another character set', /"hdrcharset"/, paxEntry({ hdrcharset: 'BINARY' }), { path: 'x' }),
    entry('with a broken extended header', /extended header is broken/, { ...paxEntry({}), bytes: '99 path=x\n' }),
    entry('with a huge extended header', /impossible size/, { path: 'p', type: 'x', sizeBytes: 2 ** 30 }),
    entry('with an extended header of nothing', /belongs to no entry/, paxEntry({ path: 'a' })),
    entry('with a climbing name', /"\.\.\/x"/, { path: '../x' }),
    entry('with a climbing name by pax', /"\.\.\/x"/, paxEntry({ path: '../x' }), { path: 'x' }),
    entry('with an absolute name', /"\/etc\/x"/, { path: '/etc/x' }),
    entry('with a Windows name that climbs', /"\.\.\\\\x"/, { path: '..\\x' }),
    entry('with a drive', /"C:x"/, { path: 'C:x' }),
    entry('with an unprintable name', /"a\\u0007"/, { path: 'a\u0007' }),
    entry(
      'with an entry twice',
      /"bin\/x" is in it twice/,
      { path: 'bin/x', bytes: 'a' },
      { path: 'bin/x', bytes: 'b' },
    ),
    entry('with a file that is a directory', /"bin" is a directory/, { path: 'bin/x' }, { path: 'bin' }),
    entry('with a nested info in another spelling', /"INFO\/index.json"/, { path: 'INFO/index.json' }),
    entry('with conda-meta', /"conda-meta\/x.json"/, { path: 'conda-meta/x.json' }),
    entry('with a wrong checksum of a header', /checksum of a header/, { path: 'x', checksum: 1 }),
    entry('of an unknown tar format', /neither ustar/, { path: 'x', magic: '\0\0\0\0\0\0\0\0' }),
    entry('with a prefix in a GNU header', /name prefix/, { path: 'x', magic: 'ustar  \0', prefix: 'a' }),
    entry('with a file without end', /tar.*cut short/, { path: 'x', sizeBytes: 2 ** 30 }),
    entry('with a link that has bytes', /"x" is no file/, { path: 'x', type: '2', target: 'y', sizeBytes: 512 }),
  ];
}

/**
 * A sound `.tar.bz2` within every limit of size and ratio that takes long to read: some 50 ms for each of its blocks, which
 * are 24 kB and unpack to 5.6 MB.
 */
export function slowTarBz2(blocks: number): Buffer {
  const sizeBytes = blocks * 255 * PADDED_RUNS - 1024;
  const head = bzip2Block(
    Buffer.concat([poisonTar(infoOf()).subarray(0, -1024), tarEntry({ path: 'share/zeros', sizeBytes })]),
  );
  return bzip2Stream([head, ...Array<Bzip2Block>(blocks).fill(zerosBlock(PADDED_RUNS, true))]);
}

/** A sound `.tar.bz2` of some 40 kB that no compression shrinks. */
export function soundTarBz2(): Buffer {
  const filler = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(36_000));
  return bzip2(poisonTar([...infoOf(), { path: 'share/filler.bin', bytes: filler }]));
}

function bomb(blocks: number) {
  return Array<Bzip2Block>(blocks).fill(zerosBlock(180_000));
}

function flipped(bytes: Buffer, at: number): Buffer {
  const index = at < 0 ? bytes.length + at : at;
  bytes[index] = (bytes[index] ?? 0) ^ 1;
  return bytes;
}
