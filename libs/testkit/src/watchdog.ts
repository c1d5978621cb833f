import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A process of its own that cleans up after a test process that died: kills what it started, removes its folders. */
export class Watchdog {
  readonly #process: ChildProcess;
  #released: Promise<void> | undefined;

  constructor() {
    const script = fileURLToPath(new URL('./clean-up.mjs', import.meta.url));
    // A session of its own: Ctrl-C at the terminal must not take it first.
    this.#process = spawn(process.execPath, [script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.#process.stdin?.on('error', () => undefined);
    this.#process.unref();
  }

  /** From now on, kill this process, unmount this file system, remove this folder at the end. */
  guard(what: { readonly pid: number } | { readonly mount: string } | { readonly folder: string }): void {
    if ('pid' in what) this.#say(`pid ${what.pid}`);
    else this.#say('mount' in what ? `mount ${what.mount}` : `folder ${what.folder}`);
  }

  /** This process has ended by itself. */
  forget(pid: number): void {
    this.#say(`gone ${pid}`);
  }

  /** The end, now; more than once is as once. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.ref();
    this.#process.stdin?.end();
    await exited;
  }

  #say(line: string): void {
    this.#process.stdin?.write(`${line}\n`);
  }
}
