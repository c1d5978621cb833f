import { openPool } from '@vivarium/db/open';
import { freePort } from '@vivarium/testkit/programs';
import { ask, openDb } from './db.js';

describe('a database that cannot be reached', () => {
  it('is unavailable, and no mistake of ours, to raw queries and to those that Prisma writes', async () => {
    const url = `postgresql://nobody@127.0.0.1:${await freePort()}/nothing`;
    const pool = openPool({ url, schema: 'identity', applicationName: 'test', log: () => undefined });
    const db = openDb(pool);
    try {
      await expect(ask(db.$queryRaw`SELECT 1`)).rejects.toMatchObject({ name: 'Fault', code: 'unavailable' });
      await expect(ask(db.account.findFirst())).rejects.toMatchObject({ name: 'Fault', code: 'unavailable' });
    } finally {
      await db.$disconnect();
      await pool.end();
    }
  });
});
