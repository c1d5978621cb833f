import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import tarStream from 'tar-stream';
import { bytesSource } from './byte-source.js';
import { inspectSdist } from './sdist.js';
import { metadataText, type SdistToWrite, sdistBytes, sdistMembers } from './testing/distribution.js';
import { paxMember, type TarMemberToWrite, tarMember, tarOf } from './testing/tar-writer.js';
import { zipOf } from './testing/zip-writer.js';
import { DEFAULT_INSPECT_LIMITS } from './wheel.js';

const FILENAME = 'foo-1.0.tar.gz';
const inspectBytes = (bytes: Uint8Array, filename = FILENAME, limits = DEFAULT_INSPECT_LIMITS) =>
  inspectSdist(bytesSource(bytes), filename, limits);
const inspect = (sdist: SdistToWrite) => inspectBytes(sdistBytes(sdist));
const refused = (reason: RegExp) => ({ code: 'invalid', message: expect.stringMatching(reason) });
const longFolder = `foo-1.0/${'deep/'.repeat(40)}`;

describe('inspectSdist', () => {
  it('gives the metadata of a .tar.gz and its exact bytes', async () => {
    const inspection = await inspect({});
    expect(Buffer.from(inspection.metadataBytes).toString()).toBe(metadataText());
    expect(inspection).toMatchObject({
      filetype: 'sdist',
      sdist: { name: 'foo', version: '1.0' },
      metadata: { name: 'foo' },
    });
  });

  it('gives the metadata of an old .zip', async () => {
    const members = sdistMembers().map(({ name, bytes = '' }) => ({ name, bytes }));
    expect(await inspectBytes(zipOf(members), 'foo-1.0.zip')).toMatchObject({ metadata: { version: '1.0' } });
  });

  it.each<[string, TarMemberToWrite[]]>([
    ['folders', [{ name: 'foo-1.0/src/' }, { name: 'foo-1.0/src/a.py', bytes: 'x' }]],
    ['a link to a file', [{ name: 'foo-1.0/b', type: '1', linkname: 'foo-1.0/PKG-INFO' }]],
    ['a symbolic link that stays inside', [{ name: 'foo-1.0/a/b', type: '2', linkname: '../PKG-INFO' }]],
    ['a long name by pax', [paxMember({ path: `${longFolder}x`, mtime: '1.5' }), { name: 'short', bytes: 'y' }]],
    ['a true size by pax', [paxMember({ size: '1' }), { name: 'foo-1.0/x', bytes: 'y' }]],
    [
      'a long name by GNU',
      [
        { name: '././@LongLink', type: 'L', bytes: `${longFolder}x\0` },
        { name: 'short', bytes: 'y' },
      ],
    ],
    ['a global comment', [paxMember({ comment: 'abc' }, 'g'), { name: 'foo-1.0/x' }]],
    ['GNU magic', [{ name: 'foo-1.0/x', magic: 'ustar  \0' }]],
    ['the folder itself', [{ name: './' }, { name: './foo-1.0/x' }]],
  ])('accepts %s', async (_title, members) => {
    expect((await inspect({ members })).metadata.name).toBe('foo');
  });

  it.each<[string, TarMemberToWrite[], RegExp]>([
    ['an absolute path', [{ name: '/etc/passwd' }], /absolute/],
    ['a path out', [{ name: 'foo-1.0/../../x' }], /".."/],
    ['a path out by pax', [paxMember({ path: 'foo-1.0/../../x' }), { name: 'foo-1.0/x' }], /".."/],
    ['a path out behind "./"', [{ name: './/etc/passwd' }], /absolute/],
    ['a second top folder', [{ name: 'bar/x' }], /two top folders, "foo-1.0" and "bar"/],
    ['a file beside the top folder', [{ name: 'setup.py' }], /"setup.py" beside its top folder/],
    ['a member twice', [{ name: 'foo-1.0/PKG-INFO', bytes: metadataText('bar') }], /twice/],
    ['a member twice behind "./"', [{ name: './foo-1.0/PKG-INFO', bytes: metadataText('bar') }], /twice/],
    ['an absolute symbolic link', [{ name: 'foo-1.0/a', type: '2', linkname: '/etc/passwd' }], /leads outside/],
    ['a symbolic link that leaves', [{ name: 'foo-1.0/a', type: '2', linkname: '../../x' }], /leads outside/],
    [
      'a symbolic link to a neighbour',
      [{ name: 'foo-1.0/a', type: '2', linkname: '../foo-1.0.evil/x' }],
      /leads outside/,
    ],
    [
      'a symbolic link that leaves by pax',
      [paxMember({ linkpath: '/etc' }), { name: 'foo-1.0/a', type: '2', linkname: 'b' }],
      /leads outside/,
    ],
    [
      'a member behind a symbolic link',
      [{ name: 'foo-1.0/a', type: '2', linkname: '.' }, { name: 'foo-1.0/a/b' }],
      /both file and folder/,
    ],
    ['a link to a missing file', [{ name: 'foo-1.0/a', type: '1', linkname: 'foo-1.0/gone' }], /leads outside/],
    [
      'a link to a symbolic link',
      [
        { name: 'foo-1.0/a', type: '2', linkname: 'b' },
        { name: 'foo-1.0/c', type: '1', linkname: 'foo-1.0/a' },
      ],
      /leads outside/,
    ],
    [
      'a symbolic link that climbs from behind another',
      [
        { name: 'foo-1.0/out', type: '2', linkname: 'd/up/../x' },
        { name: 'foo-1.0/d/up', type: '2', linkname: '..' },
      ],
      /"foo-1.0\/out" to "d\/up\/..\/x" leads outside/,
    ],
    ['a character device', [{ name: 'foo-1.0/x', type: '3' }], /device/],
    ['a block device', [{ name: 'foo-1.0/x', type: '4' }], /device/],
    ['a fifo', [{ name: 'foo-1.0/x', type: '6' }], /device/],
    ['a contiguous file', [{ name: 'foo-1.0/x', type: '7' }], /unknown type/],
    ['a sparse file', [{ name: 'foo-1.0/x', type: 'S' }], /sparse/],
    [
      'a sparse file by pax',
      [paxMember({ 'GNU.sparse.major': '1' }), { name: 'foo-1.0/x' }],
      /pax field "GNU.sparse.major"/,
    ],
    ['another character set', [paxMember({ hdrcharset: 'BINARY' }), { name: 'foo-1.0/x' }], /pax field "hdrcharset"/],
    ['a global path', [paxMember({ path: 'foo-1.0/y' }, 'g'), { name: 'foo-1.0/x' }], /global pax field "path"/],
    ['two sizes', [paxMember({ size: '1024' }), { name: 'foo-1.0/x' }], /two sizes for "foo-1.0\/x"/],
    [
      'a name by two means',
      [paxMember({ path: 'foo-1.0/a' }), { name: 'L', type: 'L', bytes: 'foo-1.0/b\0' }, { name: 'foo-1.0/x' }],
      /the path of a member twice/,
    ],
    ['a pax header that belongs to nothing', [paxMember({ path: 'foo-1.0/a' })], /belongs to no member/],
    ['a damaged pax header', [{ name: 'p', type: 'x', bytes: '99 path=x\n' }, { name: 'foo-1.0/x' }], /damaged pax/],
    [
      'a pax field twice',
      [{ name: 'p', type: 'x', bytes: '10 path=x\n10 path=y\n' }, { name: 'foo-1.0/x' }],
      /damaged pax/,
    ],
    ['a huge pax header', [{ name: 'p', type: 'x', sizeField: '77777777777\0' }], /at most 1048576/],
    ['a size for a folder', [{ name: 'foo-1.0/d/', sizeField: '00000001000\0' }], /which has no bytes/],
    ['a size for a symbolic link', [{ name: 'foo-1.0/d', type: '2', linkname: 'x', bytes: 'x' }], /which has no bytes/],
    ['a size in base 256', [{ name: 'foo-1.0/d', sizeField: '\x80\0\0\0\0\0\0\0\0\0\0\x01' }], /not octal/],
    ['a file by type and folder by name', [{ name: 'foo-1.0/d/', type: '0' }], /folder by name/],
    ['a wrong checksum', [{ name: 'foo-1.0/x', checksum: 1 }], /wrong checksum/],
    ['an unknown format', [{ name: 'foo-1.0/x', magic: '\0\0\0\0\0\0\0\0' }], /unknown tar format/],
    ['a control character', [{ name: 'foo-1.0/a\nb' }], /control character/],
  ])('refuses %s', async (_title, members, reason) => {
    await expect(inspect({ members })).rejects.toMatchObject(refused(reason));
  });

  it('refuses an archive without PKG-INFO, without members, or of another kind', async () => {
    await expect(inspect({ pkgInfo: null })).rejects.toMatchObject(refused(/no "foo-1.0\/PKG-INFO"/));
    await expect(inspectBytes(gzipSync(tarOf([])))).rejects.toMatchObject(refused(/no "PKG-INFO"/));
    await expect(inspectBytes(zipOf([{ name: 'foo-1.0/x' }]), 'foo-1.0.zip')).rejects.toMatchObject(
      refused(/no "foo-1.0\/PKG-INFO"/),
    );
    await expect(inspectBytes(zipOf([{ name: 'PKG-INFO' }]), 'foo-1.0.zip')).rejects.toMatchObject(
      refused(/beside its top folder/),
    );
    await expect(inspectBytes(zipOf([]))).rejects.toMatchObject(refused(/zip archive too|no gzip file/));
    await expect(inspectBytes(Buffer.alloc(0))).rejects.toMatchObject(refused(/cut short/));
    await expect(inspectBytes(sdistBytes(), 'foo-1.0.tar.bz2')).rejects.toMatchObject(refused(/ends in/));
  });

  it('refuses bytes behind the end, at each of the layers', async () => {
    const whole = sdistBytes();
    const tar = tarOf(sdistMembers());
    const refusals: [Uint8Array, RegExp][] = [
      [Buffer.concat([whole, whole]), /behind the end of a compressed part/],
      [Buffer.concat([whole, Buffer.alloc(512)]), /behind the end of a compressed part/],
      [gzipSync(Buffer.concat([tar, tarMember({ name: 'foo-1.0/evil' })])), /bytes behind its end/],
      [gzipSync(tar.subarray(0, -1024)), /cut short/],
      [gzipSync(tar.subarray(0, 700)), /cut short/],
      [Buffer.concat([whole, zipOf([])]), /as a zip archive too/],
    ];
    for (const [bytes, reason] of refusals) await expect(inspectBytes(bytes)).rejects.toMatchObject(refused(reason));
  });

  it('refuses a wrong checksum or size of the gzip file', async () => {
    for (const at of [8, 1]) {
      const whole = sdistBytes();
      whole[whole.length - at] = (whole[whole.length - at] ?? 0) ^ 1;
      await expect(inspectBytes(whole)).rejects.toMatchObject(refused(/wrong (?:checksum|size)/));
    }
  });

  it('reads the same or refuses, whichever byte is changed', async () => {
    const whole = sdistBytes();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ change;
        const answer = await inspectBytes(changed).catch((error: unknown) => error);
        if (isFault(answer)) expect(answer).toMatchObject({ code: 'invalid' });
        else expect(answer).toMatchObject({ metadata: { name: 'foo', version: '1.0' } });
      }),
      { numRuns: 1000 },
    );
  });

  it('stops a bomb, however small the file', async () => {
    const bomb = sdistBytes({ members: [{ name: 'foo-1.0/zeros', bytes: Buffer.alloc(100 * 1024 ** 2) }] });
    expect(bomb.length).toBeLessThan(200_000);
    await expect(inspectBytes(bomb)).rejects.toMatchObject(refused(/taken for a bomb/));
    const limits = { ...DEFAULT_INSPECT_LIMITS, unpackedBytes: 1000 };
    await expect(inspectBytes(sdistBytes(), FILENAME, limits)).rejects.toMatchObject(refused(/more than 1000 bytes/));
    await expect(
      inspectBytes(sdistBytes(), FILENAME, { ...limits, unpackedBytes: 1e9, members: 1 }),
    ).rejects.toMatchObject(refused(/more than 1 members/));
  });

  it('reads what an independent library writes, long names included', async () => {
    const pack = tarStream.pack();
    pack.entry({ name: 'foo-1.0/PKG-INFO' }, metadataText());
    pack.entry({ name: `${longFolder}é.txt` }, 'x');
    pack.entry({ name: 'foo-1.0/dir', type: 'directory' });
    pack.finalize();
    const chunks: Uint8Array[] = [];
    for await (const chunk of pack) chunks.push(chunk as Uint8Array);
    expect((await inspectBytes(gzipSync(Buffer.concat(chunks)))).metadata.name).toBe('foo');
  });

  const python = spawnSync('python3', ['-c', 'import tarfile']).status === 0;
  (python ? it : it.skip).each(['USTAR', 'GNU', 'PAX'])(
    'reads what Python’s tarfile writes in the format %s',
    async (format) => {
      const folder = mkdtempSync(join(tmpdir(), 'sdist-'));
      try {
        mkdirSync(join(folder, 'foo-1.0', 'src'), { recursive: true });
        writeFileSync(join(folder, 'foo-1.0', 'PKG-INFO'), metadataText());
        writeFileSync(
          join(folder, 'foo-1.0', 'src', `${'n'.repeat(format === 'USTAR' ? 60 : 120)}.py`),
          'x'.repeat(70_000),
        );
        symlinkSync('src', join(folder, 'foo-1.0', 'link'));
        const script = `import sys, tarfile; t = tarfile.open("made.tar.gz", "w:gz", format=tarfile.${format}_FORMAT); t.add("foo-1.0"); t.close()`;
        expect(spawnSync('python3', ['-c', script], { cwd: folder }).stderr.toString()).toBe('');
        expect((await inspectBytes(readFileSync(join(folder, 'made.tar.gz')))).metadata.name).toBe('foo');
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
