import { execFile } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify, types } from 'node:util';

/** What a running server says about itself in `postmaster.pid` of its data folder. */
export interface PostmasterFile {
  readonly pid: number;
  readonly port: number;
  readonly ready: boolean;
}

/** Reads `postmaster.pid`, or undefined if no server claims the folder. Source: PostgreSQL, `pidfile.h`: pid, folder, start time, port, …, status. */
export async function readPostmasterFile(dataDir: string): Promise<PostmasterFile | undefined> {
  const text = await readFile(pathIn(dataDir), 'utf8').catch(() => '');
  const lines = text.split('\n').map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  return { pid, port: Number(lines[3] ?? 0), ready: lines[7] === 'ready' };
}

/** True if a process of that id runs, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return types.isNativeError(error) && 'code' in error && error.code === 'EPERM';
  }
}

/** True if that process is a PostgreSQL server started on this very data folder, and not a stranger that got its number. */
export async function isPostmasterOf(pid: number, dataDir: string): Promise<boolean> {
  if (!isAlive(pid)) return false;
  const command = await commandOf(pid);
  return command.includes('postgres') && command.includes(dataDir);
}

/**
 * Makes a `postmaster.pid` that names a stranger's process harmless. Containers reuse small process ids, and the server
 * would refuse to start for ever. Only the number is replaced, by ours: the server ignores its parent's, and it still
 * needs the rest of the file to see whether processes of the former server use its shared memory.
 */
export async function disownPostmasterFile(dataDir: string): Promise<void> {
  // Not made anew: a server that is just ending has no name any more, and takes its file away.
  const file = await open(pathIn(dataDir), 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return;
  try {
    const text = await file.readFile('utf8');
    await file.truncate();
    await file.write(text.replace(/^\d+/, String(process.pid)), 0);
  } finally {
    await file.close();
  }
}

function pathIn(dataDir: string): string {
  return join(dataDir, 'postmaster.pid');
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const bytes = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return bytes.replaceAll('\0', ' ');
  }
  const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }));
  return stdout;
}
