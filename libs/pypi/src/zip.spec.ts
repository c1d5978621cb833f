import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { DEFAULT_UNPACK_LIMITS } from './bomb.js';
import { bytesSource } from './byte-source.js';
import { extraField, wideNumbers, type ZipEndToWrite, type ZipMemberToWrite, zipOf } from './testing/zip-writer.js';
import { openZip } from './zip.js';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const MASKED = 0xffffffff;
const A: ZipMemberToWrite = { name: 'a.txt', bytes: 'hello hello hello' };
const B: ZipMemberToWrite = { name: 'pkg/b.txt', bytes: 'other', stored: true };

/** Opens an archive and reads every member to its end, as the inspection of a small wheel does. */
async function readAll(bytes: Uint8Array, limits = DEFAULT_UNPACK_LIMITS): Promise<Record<string, string>> {
  const archive = await openZip(bytesSource(bytes), limits);
  const read: Record<string, string> = {};
  for (const entry of archive.entries) {
    read[entry.name] = Buffer.from(await archive.entryBytes(entry, 1 << 20)).toString();
  }
  return read;
}

function unicodePath(name: string, headerName: string): Buffer {
  const body = Buffer.alloc(5);
  body[0] = 1;
  body.writeUInt32LE(crc32(text(headerName)), 1);
  return extraField(0x7075, Buffer.concat([body, text(name)]));
}

describe('openZip', () => {
  it.each<[string, ZipMemberToWrite[], ZipEndToWrite]>([
    ['without members', [], {}],
    ['stored and deflated members', [A, B], {}],
    ['a folder', [{ name: 'pkg/', mode: 0o040755, stored: true }, B], {}],
    ['an empty member', [{ name: 'empty', bytes: '' }], {}],
    ['a UTF-8 name that is marked', [{ name: 'ü/文.txt', bytes: 'x' }], {}],
    ['an ASCII comment', [A], { comment: text('made by hand') }],
    ['ZIP64 end records', [A], { end64: {} }],
    [
      'ZIP64 end records and masked values',
      [A],
      { end64: {}, end: { records: 0xffff, recordsHere: 0xffff, directoryStart: MASKED, directoryBytes: MASKED } },
    ],
    [
      'ZIP64 sizes',
      [
        {
          ...A,
          stored: true,
          both: { sizeBytes: MASKED, compressedBytes: MASKED, extra: extraField(1, wideNumbers(17, 17)) },
        },
      ],
      {},
    ],
    [
      'ZIP64 sizes in the local header only',
      [
        {
          ...A,
          stored: true,
          local: { sizeBytes: MASKED, compressedBytes: MASKED, extra: extraField(1, wideNumbers(17, 17)) },
        },
      ],
      {},
    ],
    [
      'sizes that stand twice in the local header, as Python before 3.11.4 writes them',
      [{ ...A, stored: true, local: { extra: extraField(1, wideNumbers(17, 17)) } }],
      {},
    ],
    ['a Unicode path that repeats the name', [{ ...A, both: { extra: unicodePath('a.txt', 'a.txt') } }], {}],
    ['an unknown extra field', [{ ...A, both: { extra: extraField(0x5455, text('time!')) } }], {}],
  ])('reads an archive with %s', async (_title, members, options) => {
    const expected = Object.fromEntries(members.map(({ name, bytes = '' }) => [name, Buffer.from(bytes).toString()]));
    expect(await readAll(zipOf(members, options))).toEqual(expected);
  });

  it.each<[string, ZipMemberToWrite[], ZipEndToWrite, RegExp]>([
    ['bytes before its first header', [A], { prefix: text('#!/bin/sh\n') }, /at byte 0/],
    ['bytes behind its end', [A], { suffix: text('x') }, /behind its end/],
    ['a second end record behind the first', [A], { suffix: zipOf([]) }, /behind its end/],
    ['another archive in its comment', [A], { comment: zipOf([B]) }, /comment/],
    ['a comment beyond ASCII', [A], { comment: text('é') }, /comment/],
    [
      'bytes between directory and end',
      [A],
      { betweenDirectoryAndEnd: text('junk') },
      /something else than a zip record/,
    ],
    [
      'a member that its directory does not list',
      [A, { ...B, absentFrom: 'directory' }],
      {},
      /2 members and its directory lists 1/,
    ],
    [
      'a directory that lists a member it lacks',
      [A, { ...B, absentFrom: 'locals' }],
      {},
      /1 members and its directory lists 2/,
    ],
    ['a directory that puts a member elsewhere', [A, { ...B, central: { offset: 1 } }], {}, /where there is no member/],
    ['a directory that lists one member twice', [A, { ...B, central: { offset: 0 } }], {}, /disagree/],
    ['two members of one name', [A, { ...A, bytes: 'another' }], {}, /twice/],
    ['two names', [{ ...A, local: { name: text('b.txt') } }], {}, /disagree on its name/],
    ['two sizes', [{ ...A, central: { sizeBytes: 1 } }], {}, /disagree on its size/],
    ['two checksums', [{ ...A, central: { crc32: 1 } }], {}, /disagree on its checksum/],
    ['two compressions', [{ ...B, central: { method: 8 } }], {}, /disagree on its compression/],
    ['a wrong size', [{ ...A, both: { sizeBytes: 5 } }], {}, /wrong size/],
    ['a size that is too large', [{ ...A, both: { sizeBytes: 500 } }], {}, /wrong size/],
    ['a wrong checksum', [{ ...A, both: { crc32: 5 } }], {}, /wrong checksum/],
    ['a wrong checksum of a stored member', [{ ...B, both: { crc32: 5 } }], {}, /wrong checksum/],
    ['two sizes of a stored member', [{ ...B, both: { sizeBytes: 4 } }], {}, /two sizes differ/],
    ['a data descriptor', [{ ...A, both: { flags: 0x0008 } }], {}, /data descriptor/],
    ['an encrypted member', [{ ...A, both: { flags: 0x0001 } }], {}, /encrypted/],
    ['unknown flags', [{ ...A, both: { flags: 0x2000 } }], {}, /unknown flags/],
    ['another compression', [{ ...A, both: { method: 93 } }], {}, /compression method 93/],
    ['a name that is not UTF-8', [{ ...A, both: { name: Uint8Array.of(0x61, 0xff), flags: 0x0800 } }], {}, /not UTF-8/],
    ['an unmarked name beyond ASCII', [{ name: 'é', both: { flags: 0 } }], {}, /not marked as UTF-8/],
    ['a comment of a member', [{ ...A, central: { comment: text('x') } }], {}, /comment/],
    [
      'an extra field twice',
      [{ ...A, both: { extra: Buffer.concat([unicodePath('a.txt', 'a.txt'), unicodePath('a.txt', 'a.txt')]) } }],
      {},
      /extra field twice/,
    ],
    ['a second name', [{ ...A, both: { extra: unicodePath('b.txt', 'a.txt') } }], {}, /second, different name/],
    ['an extra field that is cut short', [{ ...A, both: { extra: Uint8Array.of(1, 0, 9) } }], {}, /cut short/],
    [
      'an extra field longer than there is room',
      [{ ...A, both: { extra: Uint8Array.of(1, 0, 9, 0, 1) } }],
      {},
      /cut short/,
    ],
    [
      'ZIP64 sizes that are not needed',
      [{ ...A, both: { extra: extraField(1, wideNumbers(17, 17)) } }],
      {},
      /ZIP64 sizes/,
    ],
    [
      'ZIP64 sizes that repeat others than its local header has',
      [{ ...A, stored: true, local: { extra: extraField(1, wideNumbers(17, 18)) } }],
      {},
      /ZIP64 sizes/,
    ],
    ['ZIP64 sizes that are missing', [{ ...A, both: { sizeBytes: MASKED } }], {}, /ZIP64 sizes/],
    [
      'more ZIP64 sizes than needed',
      [{ ...A, both: { sizeBytes: MASKED, extra: extraField(1, wideNumbers(17, 17)) } }],
      {},
      /ZIP64 sizes/,
    ],
    [
      'an impossible ZIP64 size',
      [{ ...A, both: { sizeBytes: MASKED, extra: extraField(1, Buffer.alloc(8, 0xff)) } }],
      {},
      /impossible size/,
    ],
    [
      'a ZIP64 size beyond its end',
      [
        {
          ...A,
          stored: true,
          both: { sizeBytes: MASKED, compressedBytes: MASKED, extra: extraField(1, wideNumbers(1 << 20, 1 << 20)) },
        },
      ],
      {},
      /cut short/,
    ],
    ['a member on another disk', [{ ...A, central: { disk: 1 } }], {}, /one part of several/],
    ['an end on another disk', [A], { end: { disk: 1 } }, /one part of several/],
    ['fewer records than its end says', [A], { end: { records: 2, recordsHere: 2 } }, /does not describe/],
    ['a directory elsewhere', [A], { end: { directoryStart: 0 } }, /does not describe/],
    ['a directory of another size', [A], { end: { directoryBytes: 1 } }, /does not describe/],
    ['two ends that disagree', [A], { end64: { records: 2, recordsHere: 2 } }, /disagree/],
    [
      'a ZIP64 end that lies',
      [A],
      { end64: { directoryStart: 1 }, end: { directoryStart: MASKED } },
      /does not describe/,
    ],
    ['a ZIP64 end of unusual length', [A], { end64: { lengthBytes: 60 } }, /unusual length/],
    ['a ZIP64 end without locator', [A], { end64: {}, locator: 'absent' }, /no locator/],
    ['a locator that points elsewhere', [A], { end64: {}, locator: { end64Start: 0 } }, /locator points elsewhere/],
    ['a locator of several disks', [A], { end64: {}, locator: { disks: 2 } }, /one part of several/],
    ['a masked end without its ZIP64 record', [A], { end: { directoryStart: MASKED } }, /does not describe/],
    ['an absolute path', [{ name: '/etc/passwd' }], {}, /absolute/],
    ['a path that leaves', [{ name: 'pkg/../../x' }], {}, /".."/],
    ['a backslash', [{ name: '..\\x' }], {}, /backslash/],
    ['a drive letter', [{ name: 'C:x' }], {}, /drive letter/],
    ['a control character', [{ name: 'a\u0000.txt' }], {}, /control character/],
    ['a delete character', [{ name: 'a\u007f.txt' }], {}, /control character/],
    ['an empty segment', [{ name: 'a//b' }], {}, /empty or "." segment/],
    ['an empty name', [{ name: '' }], {}, /empty or "." segment/],
    ['a long name', [{ name: 'a'.repeat(1025) }], {}, /longer than 1024/],
    ['deep folders', [{ name: 'a/'.repeat(80) }], {}, /64 folders deep/],
    ['a link', [{ name: 'link', bytes: '/etc/passwd', mode: 0o120777 }], {}, /link or a special file/],
    ['a device', [{ name: 'device', mode: 0o020666 }], {}, /link or a special file/],
    ['a folder with bytes', [{ name: 'a/', bytes: 'x', mode: 0 }], {}, /has bytes/],
    ['a file where a folder is needed', [{ name: 'a' }, { name: 'a/b' }], {}, /both file and folder/],
    ['a folder where a file is', [{ name: 'a/b' }, { name: 'a' }], {}, /both file and folder/],
    ['a member and a folder of one name', [{ name: 'a' }, { name: 'a/', mode: 0 }], {}, /both file and folder/],
    [
      'bytes behind a compressed stream',
      [{ ...A, data: Buffer.concat([deflateRawSync('hello hello hello'), text('x')]) }],
      {},
      /behind the end of a compressed part/,
    ],
    [
      'many bytes behind a compressed stream',
      [{ ...A, data: Buffer.concat([deflateRawSync('hello hello hello'), Buffer.alloc(300_000)]) }],
      {},
      /behind the end of a compressed part/,
    ],
    [
      'a compressed stream that is cut short',
      [{ ...A, data: deflateRawSync('hello hello hello').subarray(0, -2) }],
      {},
      /damaged/,
    ],
    ['a compressed stream that is none', [{ ...A, data: Buffer.alloc(20, 0xff) }], {}, /damaged/],
  ])('refuses an archive with %s', async (_title, members, options, reason) => {
    await expect(readAll(zipOf(members, options))).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(reason),
    });
  });

  it('refuses every file that is cut short', async () => {
    const whole = zipOf([A, B], { end64: {}, comment: text('c') });
    for (let length = 0; length < whole.length; length += 1) {
      await expect(readAll(whole.subarray(0, length))).rejects.toMatchObject({ code: 'invalid' });
    }
  });

  it('reads the same or refuses, whichever byte is changed', async () => {
    const whole = zipOf([A, B]);
    const honest = await readAll(whole);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ change;
        const answer = await readAll(changed).catch((error: unknown) => error);
        if (isFault(answer)) expect(answer).toMatchObject({ code: 'invalid' });
        else expect(answer).toEqual(honest);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses an archive that is a tar archive too', async () => {
    const both = zipOf([{ name: 'a', bytes: `${'x'.repeat(257 - 31)}ustar${'x'.repeat(512)}`, stored: true }]);
    await expect(readAll(both)).rejects.toThrow(/as a tar archive too/);
  });

  it('refuses too many members', async () => {
    const members = Array.from({ length: 11 }, (_, index) => ({ name: `m${index}` }));
    await expect(readAll(zipOf(members), { ...DEFAULT_UNPACK_LIMITS, members: 10 })).rejects.toThrow(
      /more than 10 members/,
    );
    expect(Object.keys(await readAll(zipOf(members.slice(1)), { ...DEFAULT_UNPACK_LIMITS, members: 10 }))).toHaveLength(
      10,
    );
  });

  it('refuses a bomb that admits what it is before unpacking anything', async () => {
    const bomb = zipOf([{ name: 'zeros', bytes: Buffer.alloc(100 * 1024 ** 2) }]);
    let readBytes = 0;
    const source = bytesSource(bomb);
    const counting = {
      sizeBytes: source.sizeBytes,
      read: (start: number, end: number) => {
        readBytes += end - start;
        return source.read(start, end);
      },
    };
    await expect(openZip(counting)).rejects.toThrow(/taken for a bomb/);
    expect(readBytes).toBeLessThanOrEqual(1024 * 1024);
  });

  it('stops a bomb that lies about its size at the size it gave', async () => {
    const bomb = zipOf([{ name: 'zeros', bytes: Buffer.alloc(100 * 1024 ** 2), both: { sizeBytes: 1000 } }]);
    const archive = await openZip(bytesSource(bomb));
    const [entry] = archive.entries;
    if (entry === undefined) throw new Error('no entry');
    const started = performance.now();
    await expect(archive.entryDigest(entry, 'sha256')).rejects.toThrow(/wrong size/);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it('counts over all members together', async () => {
    const limits = { ...DEFAULT_UNPACK_LIMITS, freeBytes: 1000, ratio: 1e9 };
    const archive = await openZip(bytesSource(zipOf([A])), { ...limits, unpackedBytes: 40 });
    const [entry] = archive.entries;
    if (entry === undefined) throw new Error('no entry');
    await archive.entryBytes(entry, 17);
    await archive.entryBytes(entry, 17);
    await expect(archive.entryBytes(entry, 17)).rejects.toThrow(/more than 40 bytes/);
  });

  it('gives no more of a member than was asked for', async () => {
    const archive = await openZip(bytesSource(zipOf([A])));
    const entry = archive.find('a.txt');
    if (entry === undefined) throw new Error('no entry');
    await expect(archive.entryBytes(entry, 16)).rejects.toThrow(/17 bytes, and at most 16 are read/);
    expect(archive.find('b.txt')).toBeUndefined();
    expect(await archive.entryDigest(entry, 'sha512')).toEqual(
      createHash('sha512').update('hello hello hello').digest(),
    );
  });

  it('passes on what the source says when it cannot read', async () => {
    const bytes = zipOf([{ name: 'a', bytes: Buffer.alloc(2_000_000, 'x'), stored: true }]);
    const source = { sizeBytes: bytes.length, read: async (start: number, end: number) => bytes.subarray(start, end) };
    const archive = await openZip(source);
    source.read = async () => Promise.reject(new Error('disk gone'));
    const [entry] = archive.entries;
    if (entry === undefined) throw new Error('no entry');
    await expect(archive.entryDigest(entry, 'sha256')).rejects.toThrow('disk gone');
  });

  const python = spawnSync('python3', ['-c', 'import zipfile']).status === 0;
  (python ? it : it.skip)('reads what Python’s zipfile writes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'zip-'));
    try {
      const script = [
        'import sys, zipfile',
        'z = zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED)',
        'z.writestr("pkg/é.txt", "x" * 100000)',
        'z.writestr(zipfile.ZipInfo("stored.txt"), "hello")',
        'f = z.open(zipfile.ZipInfo("wide.txt"), "w", force_zip64=True); f.write(b"wide"); f.close()',
        'z.mkdir("folder") if hasattr(z, "mkdir") else None',
        'z.close()',
      ].join('\n');
      const path = join(folder, 'made.zip');
      expect(spawnSync('python3', ['-c', script, path]).stderr.toString()).toBe('');
      expect(await readAll(readFileSync(path))).toMatchObject({
        'pkg/é.txt': 'x'.repeat(100_000),
        'stored.txt': 'hello',
        'wide.txt': 'wide',
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
