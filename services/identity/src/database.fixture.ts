import { fileURLToPath } from 'node:url';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import type { Pool } from 'pg';
import { type Db, openDb } from './db.js';

export interface TestDatabase {
  readonly db: Db;
  readonly pool: Pool;
  stop(): Promise<void>;
}

/** A real PostgreSQL with this service's schema in it. */
export async function startDatabase(): Promise<TestDatabase> {
  const postgres = await startTemporaryPostgres();
  const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
  await migrate({ url: postgres.url, migrations: [{ schema: 'identity', dir }], log: () => undefined });
  const pool = openPool({
    url: postgres.url,
    schema: 'identity',
    applicationName: 'identity test',
    log: () => undefined,
  });
  const db = openDb(pool);
  return {
    db,
    pool,
    async stop() {
      await db.$disconnect();
      await pool.end();
      await postgres.stop();
    },
  };
}
