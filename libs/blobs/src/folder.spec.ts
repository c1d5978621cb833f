import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noteMissing } from '@vivarium/testkit/missing';
import { complaintOf, describeBlobs } from './blobs.conformance.js';
import { openBlobs } from './open-blobs.js';

const roots: string[] = [];
const mounts: string[] = [];
afterAll(async () => {
  for (const folder of mounts) spawnSync('umount', [folder]);
  for (const root of roots) await rm(root, { recursive: true, force: true });
});

async function newRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'vivarium-blobs-'));
  roots.push(root);
  return root;
}

describeBlobs('folder', async () => openBlobs({ folder: join(await newRoot(), 'made', 'when', 'missing') }));

describe('a folder of blobs', () => {
  it('keeps a key beside keys below it', async () => {
    const blobs = await openBlobs({ folder: await newRoot() });
    for (const key of ['a', 'a/b', 'a/b/c']) await blobs.put(key, Buffer.from(key));
    for (const key of ['a', 'a/b', 'a/b/c']) expect((await (await blobs.get(key)).bytes(9)).toString()).toBe(key);
  });

  it('leaves no temporary file behind, whatever happens to the body', async () => {
    const root = await newRoot();
    const blobs = await openBlobs({ folder: root });
    async function* failing() {
      yield Buffer.from('x');
      throw new Error('gone');
    }
    await expect(blobs.put('a', failing())).rejects.toThrow('gone');
    await blobs.put('b', Buffer.from('b'));
    await blobs.put('b', Buffer.from('c'), { ifAbsent: true });
    for (let round = 0; round < 2; round++) await blobs.copy('b', 'd');
    await blobs.check();
    expect(await readdir(join(root, '.tmp'))).toEqual([]);
  });

  it('removes at its start what a crash left half-written a day ago, and nothing younger', async () => {
    const root = await newRoot();
    await mkdir(join(root, '.tmp'));
    await writeFile(join(root, '.tmp', 'old'), 'x');
    await writeFile(join(root, '.tmp', 'young'), 'x');
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(root, '.tmp', 'old'), yesterday, yesterday);
    await openBlobs({ folder: root });
    expect(await readdir(join(root, '.tmp'))).toEqual(['young']);
  });

  it('finds everything again when opened a second time', async () => {
    const root = await newRoot();
    await (await openBlobs({ folder: root })).put('blobs/sha256/ab/abc', Buffer.from('x'));
    const again = await openBlobs({ folder: root });
    expect((await again.head('blobs/sha256/ab/abc'))?.sizeBytes).toBe(1);
  });

  it('puts again after its folders were removed behind its back', async () => {
    const root = await newRoot();
    const blobs = await openBlobs({ folder: root });
    await blobs.put('x/one', Buffer.from('x'));
    await rm(join(root, 'x'), { recursive: true });
    await blobs.put('x/one', Buffer.from('y'));
    expect((await (await blobs.get('x/one')).bytes(9)).toString()).toBe('y');
  });

  it('is closed to other users of the machine', async () => {
    const root = await newRoot();
    const blobs = await openBlobs({ folder: join(root, 'inner') });
    await blobs.put('a/b', Buffer.from('x'));
    for (const path of ['inner', 'inner/a', 'inner/a/~b', 'inner/a/~b/b']) {
      expect((await stat(join(root, path))).mode & 0o077).toBe(0);
    }
  });

  it('says what to do when its place is taken by a file', async () => {
    const root = await newRoot();
    await writeFile(join(root, 'file'), 'x');
    await expect(openBlobs({ folder: join(root, 'file') })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('DATA_DIR'),
    });
  });

  it('says what to do when it was removed under our feet', async () => {
    const root = await newRoot();
    const blobs = await openBlobs({ folder: root });
    await rm(root, { recursive: true });
    expect(await complaintOf(blobs)).toContain('DATA_DIR');
  });

  it('says what to do when the disk is full, and works on once there is room', async () => {
    const disk = await mountSmallDisk();
    if (disk === undefined) return noteMissing('blobs on a full disk', 'a small disk cannot be mounted here');
    const blobs = await openBlobs({ folder: join(disk, 'blobs') });
    await blobs.put('a', Buffer.alloc(500_000));
    await expect(blobs.put('b', Buffer.alloc(1_000_000))).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('full'),
    });
    expect(await blobs.head('b')).toBeUndefined();
    await blobs.delete('a');
    await blobs.put('b', Buffer.alloc(700_000));
    expect((await blobs.head('b'))?.sizeBytes).toBe(700_000);
  });
});

/** The mount point of a disk of 1 MB, where this user may mount one. */
async function mountSmallDisk(): Promise<string | undefined> {
  const folder = await newRoot();
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder]).status !== 0) return undefined;
  mounts.push(folder);
  return folder;
}
