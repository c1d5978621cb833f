import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What the generator shall do. */
export interface LoadOrder {
  readonly port: number;
  /** A whole request, head to blank line. */
  readonly request: string;
  /** The status that every answer must have. */
  readonly status: number;
  readonly connections: number;
  readonly stop: { readonly forMs: number } | { readonly requests: number };
}

export interface LoadResult {
  readonly requests: number;
  readonly bodyBytes: number;
  readonly ms: number;
  readonly generatorCpuMs: number;
}

/** The load generator's process. */
export class LoadGenerator {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL('./load.js', import.meta.url)), { execArgv: [] });

  /** Throws an Error if an answer is not the expected one, or the generator ends. */
  async run(order: LoadOrder): Promise<LoadResult> {
    const listening = new AbortController();
    const { signal } = listening;
    const answered = Promise.race([
      once(this.#child, 'message', { signal }),
      once(this.#child, 'exit', { signal }).then(() => {
        throw new Error('The load generator ended.');
      }),
    ]);
    this.#child.send(order);
    try {
      const [message] = await answered;
      if ('failure' in message) throw new Error(`The load was not answered as it should be: ${message.failure}`);
      return message as LoadResult;
    } finally {
      listening.abort();
    }
  }

  stop(): void {
    this.#child.disconnect();
  }
}
