import { Worker } from 'node:worker_threads';

// What may wait for the thread, of all uploads together and of each: then the network waits too.
const WINDOW_BYTES = 4 * 2 ** 20;

/** What the thread is told. */
export type ToHasher =
  | { readonly id: number; readonly chunk: Uint8Array }
  | { readonly id: number; readonly end: 'digest' | 'forget' };

/** What it says. */
export type FromHasher =
  | { readonly id: number; readonly takenBytes: number }
  | { readonly id: number; readonly digest: string };

/** A digest that is being computed elsewhere. */
export interface Blake2 {
  /** Takes a copy of the chunk; a promise if more waits than should. */
  update(chunk: Uint8Array): void | Promise<void>;
  /** In lower case hex. The last call. */
  digest(): Promise<string>;
  /** Forgets it half-way. */
  abandon(): void;
}

interface Session {
  waitingBytes: number;
  resume: (() => void) | undefined;
  readonly done: PromiseWithResolvers<string>;
}

/**
 * BLAKE2b with 32 bytes, which PyPI's clients send and the platform cannot compute. In a thread, one for all uploads:
 * in the event loop every other request would wait for it.
 */
export class Blake2Thread {
  readonly #sessions = new Map<number, Session>();
  #worker: Worker | undefined;
  #next = 0;

  begin(): Blake2 {
    const worker = this.#running();
    const id = this.#next++;
    const session: Session = { waitingBytes: 0, resume: undefined, done: Promise.withResolvers() };
    session.done.promise.catch(() => undefined);
    this.#sessions.set(id, session);
    const send = (message: ToHasher, transfer: ArrayBuffer[] = []): void => worker.postMessage(message, transfer);
    return {
      update: (chunk) => {
        const copy = new Uint8Array(chunk);
        session.waitingBytes += copy.byteLength;
        send({ id, chunk: copy }, [copy.buffer]);
        if (session.waitingBytes < WINDOW_BYTES) return;
        return new Promise((resolve) => {
          session.resume = resolve;
        });
      },
      digest: () => {
        send({ id, end: 'digest' });
        return session.done.promise;
      },
      abandon: () => {
        if (this.#sessions.delete(id)) send({ id, end: 'forget' });
      },
    };
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const worker = new Worker(new URL(`./legacy-blake2-worker.${extension}`, import.meta.url), { execArgv: [] });
    worker.unref();
    worker.on('message', (message: FromHasher) => this.#take(message));
    worker.on('error', (error) => this.#fail(error));
    this.#worker = worker;
    return worker;
  }

  #take(message: FromHasher): void {
    const session = this.#sessions.get(message.id);
    if (session === undefined) return;
    if ('digest' in message) {
      this.#sessions.delete(message.id);
      session.done.resolve(message.digest);
      return;
    }
    session.waitingBytes -= message.takenBytes;
    if (session.waitingBytes < WINDOW_BYTES) session.resume?.();
  }

  #fail(error: Error): void {
    this.#worker = undefined;
    for (const session of this.#sessions.values()) {
      session.done.reject(error);
      session.resume?.();
    }
    this.#sessions.clear();
  }
}
