import { randomInt } from 'node:crypto';
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

// Below the ports that systems give to outgoing connections, a range for each worker of a run: what one test was given is taken
// neither by its own connections nor by a test beside it.
const FIRST_PORT = 20_000;
const PORTS_OF_A_WORKER = 1_500;
const WORKERS = 8;
let lastPort = randomInt(PORTS_OF_A_WORKER);

/** A TCP port of 127.0.0.1 that was free a moment ago, and that this process was not given before its range was used up. */
export async function freePort(): Promise<number> {
  const worker = Number(process.env.JEST_WORKER_ID ?? 0) % WORKERS;
  for (let tries = 0; tries < PORTS_OF_A_WORKER; tries++) {
    lastPort = (lastPort + 1) % PORTS_OF_A_WORKER;
    const port = FIRST_PORT + worker * PORTS_OF_A_WORKER + lastPort;
    if (await isFree(port)) return port;
  }
  throw new Error(`none of the ${PORTS_OF_A_WORKER} ports of this test worker is free`);
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
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
