import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/**
 * The absolute path of a program, or undefined if it is not installed.
 * Looked for in the folder that the installer fills (clients in `venv/bin`, servers in `bin`), then on PATH, where
 * `/usr/sbin` counts too: Debian puts servers there and ordinary users' PATH lacks it.
 */
export function findProgram(name: string): string | undefined {
  const folders = [...installedFolders(), ...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** A virtual environment of the installer: that of today's Python clients, or that of the oldest `anaconda` client. */
export type Venv = 'venv' | 'venv-older';

/** The absolute path of a Python client in a virtual environment of the installer, or undefined. */
export function venvBin(name: string, venv: Venv = 'venv'): string | undefined {
  const path = join(cacheFolder(), venv, 'bin', name);
  return isExecutable(path) ? path : undefined;
}

/** True if the Python clients (`pip`, `uv`, `twine`, `anaconda`, …) are installed. */
export function hasPython(): boolean {
  return venvBin('python') !== undefined;
}

/** A TCP port of 127.0.0.1 that was free a moment ago. Another process may take it: be ready to ask again. */
export async function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address !== null ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

function installedFolders(): string[] {
  return [join(cacheFolder(), 'bin'), join(cacheFolder(), 'venv', 'bin')];
}

function cacheFolder(): string {
  return process.env.VIVARIUM_CACHE ?? join(homedir(), '.cache', 'vivarium');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
