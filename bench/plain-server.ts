import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface PlainAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly fields: readonly string[];
  readonly base64: string;
  /** Streamed from this file instead. */
  readonly file?: string;
}

/** A process with nothing but node:http, which sends what it is told to. */
export class PlainServer {
  readonly #child: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(): Promise<PlainServer> {
    const child = fork(fileURLToPath(new URL('./plain.js', import.meta.url)), { execArgv: [] });
    const [{ port }] = await once(child, 'message');
    return new PlainServer(child, port);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async teach(path: string, answer: PlainAnswer): Promise<void> {
    const known = once(this.#child, 'message');
    this.#child.send({ path, answer });
    await known;
  }

  stop(): void {
    this.#child.disconnect();
  }
}
