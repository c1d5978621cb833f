import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Watchdog } from '@vivarium/testkit/watchdog';

/** True if this process may mount a file system. */
export const canMount = process.platform === 'linux' && process.getuid?.() === 0 && isMountAllowed();

const PAGE = Buffer.alloc(4_096, 'x');

/** A file system in memory, so small that it can be filled. It goes when the test ends, or dies. */
export class SmallDisk {
  readonly folder: string;
  readonly #root: string;
  readonly #watchdog: Watchdog;

  private constructor(root: string, folder: string, watchdog: Watchdog) {
    this.#root = root;
    this.folder = folder;
    this.#watchdog = watchdog;
  }

  /** Mounts it at a folder of that name in a folder of its own. */
  static async mount(name: string, sizeBytes: number): Promise<SmallDisk> {
    const root = await mkdtemp(join(tmpdir(), 'vivarium-small-disk-'));
    const folder = join(root, name);
    const watchdog = new Watchdog();
    await mkdir(folder);
    watchdog.guard({ mount: folder });
    watchdog.guard({ folder: root });
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'vivarium', folder]);
    if (status === 0) return new SmallDisk(root, folder, watchdog);
    await watchdog.release();
    throw new Error(`a small file system could not be mounted: ${stderr}`);
  }

  /** The folder that it is mounted in. */
  get root(): string {
    return this.#root;
  }

  /** Takes all space that is left but this much, which `release` gives back. */
  fill(leaveBytes = 0): void {
    const spare = join(this.folder, '.spare');
    if (leaveBytes > 0) writePages(spare, leaveBytes);
    writePages(this.#ballast, Number.POSITIVE_INFINITY);
    rmSync(spare, { force: true });
  }

  release(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** What an operator does about it. */
  enlarge(sizeBytes: number): void {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,size=${sizeBytes}`, this.folder]);
    if (status !== 0) throw new Error(`the small file system could not be enlarged: ${stderr}`);
  }

  async stop(): Promise<void> {
    await this.#watchdog.release();
    await rm(this.#root, { recursive: true, force: true });
  }

  get #ballast(): string {
    return join(this.folder, '.ballast');
  }
}

/** Writes so much, or until the disk is full. */
function writePages(path: string, sizeBytes: number): void {
  const file = openSync(path, 'a');
  try {
    for (let written = 0; written < sizeBytes; written += PAGE.byteLength) writeSync(file, PAGE);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
  } finally {
    closeSync(file);
  }
}

function isDiskFull(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOSPC';
}

/** A container may run as root and still forbid it. */
function isMountAllowed(): boolean {
  const script = 'd=$(mktemp -d) && mount -t tmpfs -o size=64k vivarium "$d" && umount "$d" && rmdir "$d"';
  return spawnSync('/bin/sh', ['-c', script], { stdio: 'ignore' }).status === 0;
}
