import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { recordSaid } from './run-record.js';
import type { Watchdog } from './watchdog.js';

/** How a process ended. */
export interface Exit {
  readonly name: string;
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessPlan {
  /** `all`, a role, or a role and a number. */
  readonly name: string;
  /** Arguments of `vivarium`. */
  readonly parameters: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
  /** What to send as Host: the gateway answers for its own only. */
  readonly host: string;
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PROGRAM = join(ROOT, 'services', 'platform', 'dist', 'main.js');
const HOOK = join(ROOT, 'services', 'platform', 'dist', 'telemetry-hook.js');

const READY_WITHIN_MS = 90_000;
const LAST_CHARACTERS = 4_000;

/** The command line of the product as `npm start` runs it. Throws an Error that says how to build it. */
export function productCommand(parameters: readonly string[]): readonly string[] {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not there: run node scripts/build.mjs`);
  return ['--import', HOOK, PROGRAM, ...parameters];
}

/** One process of the product, which can be ended and started again with all it had. */
export class ProductProcess {
  readonly plan: ProcessPlan;
  readonly #watchdog: Watchdog;
  readonly #said: string[] = [];
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> | undefined;

  constructor(plan: ProcessPlan, watchdog: Watchdog) {
    this.plan = plan;
    this.#watchdog = watchdog;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.plan.name} does not run`);
    return pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** All that it wrote, over all its starts. */
  said(): string {
    return this.#said.join('');
  }

  /** `env` is added to what the plan says, this once. */
  start(env: Readonly<Record<string, string>> = {}): void {
    if (this.#child !== undefined) throw new Error(`${this.plan.name} runs already`);
    const command = productCommand(this.plan.parameters);
    const child = spawn(process.execPath, command, {
      cwd: ROOT,
      env: { ...this.plan.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C at the terminal of the tests is for the tests.
      detached: true,
    });
    this.#child = child;
    const { pid } = child;
    if (pid !== undefined) this.#watchdog.guard({ pid });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#said.push(text));
    }
    const alreadySaid = this.#said.length;
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => this.#said.push(`could not be started: ${error.message}\n`));
      child.once('close', (code, signal) => {
        if (pid !== undefined) this.#watchdog.forget(pid);
        this.#child = undefined;
        recordSaid('logs', this.plan.name, this.#said.slice(alreadySaid).join(''));
        resolve({ name: this.plan.name, code, signal });
      });
    });
  }

  /** Resolves when it takes work. Throws an Error with its last words if it ends first, or takes too long. */
  async untilReady(): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS;
    let last = 'nothing';
    while (performance.now() < deadline) {
      if (this.#child === undefined)
        throw new Error(`${this.plan.name} ended before it was ready. ${this.lastWords()}`);
      const answer = await healthOf(this.plan);
      if (answer.status === 200) return;
      last = answer.text;
      await sleep(50);
    }
    throw new Error(`${this.plan.name} was not ready after ${READY_WITHIN_MS} ms, but: ${last}. ${this.lastWords()}`);
  }

  /** Sends the signal and waits for the end; after `limitMs` it is killed, which the exit shows. */
  async end(signal: NodeJS.Signals = 'SIGTERM', limitMs = 30_000): Promise<Exit> {
    const child = this.#child;
    const exit = this.#exit;
    if (child === undefined || exit === undefined) return { name: this.plan.name, code: null, signal: null };
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
    try {
      return await exit;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when it ends by itself. */
  ended(): Promise<Exit> {
    return this.#exit ?? Promise.resolve({ name: this.plan.name, code: null, signal: null });
  }

  lastWords(): string {
    return `Its last words:\n${this.said().slice(-LAST_CHARACTERS)}`;
  }
}

function healthOf({ port, host }: ProcessPlan): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: '/health/ready', headers: { Host: host }, timeout: 5_000 });
    asked.on('error', (error) => resolve({ status: 0, text: error.message }));
    asked.on('timeout', () => asked.destroy(new Error('no answer')));
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: `${response.statusCode} ${text}` }));
      response.on('error', (error) => resolve({ status: 0, text: error.message }));
    });
    asked.end();
  });
}
