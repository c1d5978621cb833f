import type { PackagesPorts } from './ports.js';
import { ask } from './query.js';

const EVERY_MS = 10 * 60 * 1000;
const BATCH = 100;

/** Forgets stages that have expired: their bytes first, so that none is left without a row that tells of it. */
export class StageSweep {
  readonly #ports: Pick<PackagesPorts, 'pool' | 'blobs' | 'clock' | 'log'>;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(ports: Pick<PackagesPorts, 'pool' | 'blobs' | 'clock' | 'log'>) {
    this.#ports = ports;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#running = this.sweep().catch((error: unknown) => {
        this.#ports.log.warn({ err: error }, 'expired uploads stay for now');
      });
    }, EVERY_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  async sweep(): Promise<void> {
    const { pool, blobs, clock } = this.#ports;
    for (;;) {
      // By stages_expiry. A commit that began just before the end has an hour to finish.
      const expired = await ask<{ id: string; key: string | null }>(
        pool,
        `SELECT id, staging_key AS key FROM stages WHERE expires_at < $1 ORDER BY expires_at LIMIT ${BATCH}`,
        [new Date(clock() - 60 * 60 * 1000)],
      );
      for (const { id, key } of expired) {
        if (key !== null) await blobs.delete(key);
        await ask(pool, 'WITH unpinned AS (DELETE FROM pins WHERE stage_id = $1) DELETE FROM stages WHERE id = $1', [
          id,
        ]);
      }
      if (expired.length < BATCH) return;
    }
  }
}
