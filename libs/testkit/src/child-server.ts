import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './programs.js';
import type { Outage } from './test-server.js';

/** What a kind of server needs to be run as a child: files first, then the command, then a question it answers when ready. */
export interface ChildPlan<Address> {
  readonly name: string;
  /** Writes what the server needs into its folder and gives its command line. */
  prepare(folder: string, port: number): Promise<readonly [command: string, ...parameters: string[]]>;
  /** Resolves to the address once the server answers; rejects while it does not. */
  probe(folder: string, port: number): Promise<Address>;
  /** Beside this process's own: secrets belong here, since anybody on the machine may read a command line. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stopSignal?: 'SIGTERM' | 'SIGINT';
}

export interface ChildServer<Address> {
  readonly address: Address;
  stop(): Promise<void>;
  restart(outage: Outage): Promise<void>;
}

const READY_WITHIN_MS = 30_000;

/**
 * Starts a server of this machine on a free port of 127.0.0.1 in a folder of its own, and waits until it answers.
 * `stop` ends that process only and removes the folder; the same happens when the caller's process dies.
 * Throws an Error with the server's own last words if it does not come up.
 */
export async function startChild<Address>(plan: ChildPlan<Address>): Promise<ChildServer<Address>> {
  // A free port may be taken between asking and using it.
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryToStart(plan);
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

async function tryToStart<Address>(plan: ChildPlan<Address>): Promise<ChildServer<Address>> {
  const folder = await mkdtemp(join(tmpdir(), `vivarium-${plan.name}-`));
  let child: ChildProcess;
  const output: string[] = [];
  const port = await freePort();
  try {
    const [command, ...parameters] = await plan.prepare(folder, port);
    const script = fileURLToPath(new URL('./supervise.mjs', import.meta.url));
    const signal = plan.stopSignal ?? 'SIGTERM';
    child = spawn(process.execPath, [script, folder, signal, command, ...parameters], {
      stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...plan.env },
    });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const exited = once(child, 'exit');
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => output.push(chunk.toString()) > 100 && output.shift());
  }
  const stop = async () => {
    child.stdin?.destroy();
    await exited;
  };
  const untilReady = async () => {
    const deadline = performance.now() + READY_WITHIN_MS;
    for (;;) {
      try {
        return await plan.probe(folder, port);
      } catch (error) {
        if (child.exitCode === null && performance.now() < deadline) {
          await sleep(30);
          continue;
        }
        await stop();
        throw new Error(`${plan.name} did not come up; its last words:\n${output.join('').slice(-2_000)}`, {
          cause: error,
        });
      }
    }
  };
  const restart = async ({ signal = 'SIGTERM', downMs = 0 }: Outage) => {
    const told = new Promise<void>((resolve, reject) => {
      const ended = () => reject(new Error(`${plan.name} ended for good`));
      child.once('exit', ended);
      child.on('message', function take(word) {
        if (word !== 'up') return;
        child.off('exit', ended);
        child.off('message', take);
        resolve();
      });
    });
    child.send({ signal, downMs });
    await told;
    await untilReady();
  };
  return { address: await untilReady(), stop, restart };
}
