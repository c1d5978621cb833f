import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres } from './embedded.js';

export interface TemporaryPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

/** A PostgreSQL in a folder of its own that `stop` removes: for tests that need a real database and nothing else. */
export async function startTemporaryPostgres(): Promise<TemporaryPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-db-'));
  const server = await startEmbeddedPostgres({ dataDir: folder, log: () => undefined });
  return {
    url: server.url,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
