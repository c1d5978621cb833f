import { Fault } from '@vivarium/fault/fault';
import type pg from 'pg';
import { withClient } from './open.js';

export interface ChoreOptions<T> {
  /** Of the schema whose chore it is. */
  readonly pool: pg.Pool;
  /** Names the chore in the log and, with the schema, its lock. */
  readonly name: string;
  /** Pause between two turns. */
  readonly everyMs: number;
  /** One turn. Aborts when the process stops. */
  readonly work: (signal: AbortSignal) => Promise<T>;
  readonly log: { warn(fields: Readonly<Record<string, unknown>>, message: string): void };
}

/**
 * Something that has to be done every so often, by one replica at a time: an advisory lock says who. The lock saves work and
 * protects nothing: a replica that was cut off may still be at it when the next one begins.
 */
export class Chore<T> {
  readonly #options: ChoreOptions<T>;
  readonly #stopped = new AbortController();
  readonly #running = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ChoreOptions<T>) {
    this.#options = options;
  }

  /** Takes turns until `stop`. */
  start(): void {
    const { everyMs, name, log, work } = this.#options;
    this.#timer = setInterval(() => {
      this.#locked(() => work(this.#stopped.signal)).catch((error: unknown) => {
        if (!this.#stopped.signal.aborted) log.warn({ err: error }, `the ${name} did not get through`);
      });
    }, everyMs);
    this.#timer.unref();
  }

  /** Waits for what runs, which is told to end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopped.abort();
    await Promise.allSettled(this.#running);
  }

  /** One turn now. Throws Fault('conflict') if another replica is at it. */
  async run(work: (signal: AbortSignal) => Promise<T> = this.#options.work): Promise<T> {
    const done = await this.#locked(async () => ({ result: await work(this.#stopped.signal) }));
    if (done !== undefined) return done.result;
    throw new Fault('conflict', `Another ${this.#options.name} is running. Wait for it, then try again.`);
  }

  /** Nothing if another replica is at it. */
  #locked<R>(work: () => Promise<R>): Promise<R | undefined> {
    const { pool, name } = this.#options;
    const running = withClient(pool, async (client) => {
      const lock = [name];
      const { rows } = await client.query<{ mine: boolean }>(
        'SELECT pg_try_advisory_lock(hashtext(current_schema()), hashtext($1)) AS mine',
        lock,
      );
      if (rows[0]?.mine !== true) return undefined;
      try {
        return await work();
      } finally {
        // A connection that was lost has lost its locks too.
        await client
          .query('SELECT pg_advisory_unlock(hashtext(current_schema()), hashtext($1))', lock)
          .catch(() => undefined);
      }
    });
    this.#running.add(running);
    const done = () => void this.#running.delete(running);
    running.then(done, done);
    return running;
  }
}
