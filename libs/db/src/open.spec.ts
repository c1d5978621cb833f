/**
 * @jest-environment-options {"customExportConditions": ["source", "node"]}
 */
import { jest } from '@jest/globals';
import { Fault } from '@vivarium/fault/fault';
import pg from 'pg';
import { databaseFaultOf } from './database-fault.js';
import { checkDatabase, inTransaction, openPool, prismaAdapterOf } from './open.js';
import { startTemporaryPostgres, type TemporaryPostgres } from './temporary.js';

jest.setTimeout(60_000);

describe('a pool', () => {
  let server: TemporaryPostgres;
  let admin: pg.Client;
  let pool: pg.Pool;
  const lines: string[] = [];

  beforeAll(async () => {
    server = await startTemporaryPostgres();
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query('CREATE SCHEMA house; CREATE TABLE house.snake (name text PRIMARY KEY, length int)');
    pool = open();
  });

  afterAll(async () => {
    await pool.end();
    await admin.end();
    await server.stop();
  });

  beforeEach(() => admin.query("TRUNCATE house.snake; INSERT INTO house.snake VALUES ('adder', 1), ('boa', 1)"));

  function open(max = 5): pg.Pool {
    return openPool({
      url: server.url,
      schema: 'house',
      applicationName: 'snakes',
      max,
      log: (line) => lines.push(line),
    });
  }

  it('looks names up in its schema alone, under its name, with limits on all that can wait', async () => {
    const { rows } = await pool.query(
      `SELECT current_setting('search_path') AS path, current_setting('application_name') AS name,
        current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
        current_setting('idle_in_transaction_session_timeout') AS idle, (SELECT count(*)::int FROM snake) AS snakes`,
    );
    expect(rows).toEqual([{ path: 'house', name: 'snakes', statement: '15s', lock: '5s', idle: '30s', snakes: 2 }]);
  });

  it('refuses a schema that is not a plain name', () => {
    expect(() => openPool({ url: server.url, schema: 'a -c b=c', applicationName: 'x', log: () => undefined })).toThrow(
      /is not a schema name/,
    );
  });

  it('survives the loss of idle connections, and says so', async () => {
    await pool.query('SELECT 1');
    lines.length = 0;
    await cut();
    await eventually(() => expect(lines.join()).toMatch(/A connection to the database was lost/));
    await checkDatabase(pool);
  });

  it('commits what resolves, rolls back what throws', async () => {
    expect(
      await inTransaction(pool, async (tx) => (await tx.query("DELETE FROM snake WHERE name = 'boa'")).rowCount),
    ).toBe(1);
    await expect(
      inTransaction(pool, async (tx) => {
        await tx.query('DELETE FROM snake');
        throw new Fault('forbidden', 'no');
      }),
    ).rejects.toMatchObject({ code: 'forbidden' });
    expect((await pool.query('SELECT name FROM snake')).rows).toEqual([{ name: 'adder' }]);
  });

  it('repeats a transaction that lost a race, so that no update is lost', async () => {
    let tries = 0;
    const grow = () =>
      inTransaction(
        pool,
        async (tx) => {
          tries++;
          const { rows } = await tx.query<{ length: number }>("SELECT length FROM snake WHERE name = 'boa'");
          for (let i = 0; tries < 3 && i < 100; i++) await pause(5);
          await tx.query("UPDATE snake SET length = $1 WHERE name = 'boa'", [(rows[0]?.length ?? 0) + 1]);
        },
        { isolation: 'repeatable read' },
      );
    await Promise.all([grow(), grow(), grow()]);
    expect((await pool.query("SELECT length FROM snake WHERE name = 'boa'")).rows).toEqual([{ length: 4 }]);
    expect(tries).toBeGreaterThan(3);
  });

  it('repeats the victim of a deadlock', async () => {
    let inside = 0;
    const both = (first: string, second: string) =>
      inTransaction(pool, async (tx) => {
        await tx.query('UPDATE snake SET length = length + 1 WHERE name = $1', [first]);
        inside++;
        for (let i = 0; inside < 2 && i < 100; i++) await pause(5);
        await tx.query('UPDATE snake SET length = length + 1 WHERE name = $1', [second]);
      });
    await Promise.all([both('adder', 'boa'), both('boa', 'adder')]);
    expect((await pool.query('SELECT length FROM snake')).rows).toEqual([{ length: 3 }, { length: 3 }]);
  });

  it('answers unavailable, and keeps the process, when the connection is cut inside a transaction', async () => {
    await expect(
      inTransaction(pool, async (tx) => {
        await tx.query('DELETE FROM snake');
        await cut();
        await pause(50);
        await tx.query('SELECT 1');
      }),
    ).rejects.toMatchObject({ code: 'unavailable' });
    expect((await pool.query('SELECT count(*)::int AS snakes FROM snake')).rows).toEqual([{ snakes: 2 }]);
  });

  it('answers unavailable when no connection is free, when there are too many, and when nobody listens', async () => {
    const small = open(1);
    const held = await small.connect();
    await expect(checkDatabase(small)).rejects.toMatchObject({ code: 'unavailable' });
    held.release();
    await small.end();
    await admin.query('CREATE ROLE guest LOGIN PASSWORD $$guest$$ CONNECTION LIMIT 0');
    const guest = openPool({
      url: server.url.replace(/\/\/[^@]*@/, '//guest:guest@'),
      schema: 'house',
      applicationName: 'guest',
      log: () => undefined,
    });
    await expect(checkDatabase(guest)).rejects.toMatchObject({ code: 'unavailable' });
    await guest.end();
    const nobody = openPool({
      url: 'postgresql://a:hunter2@127.0.0.1:1/a',
      schema: 'house',
      applicationName: 'x',
      log: () => undefined,
    });
    const fault: unknown = await checkDatabase(nobody).catch((error: unknown) => error);
    expect(fault).toMatchObject({ code: 'unavailable' });
    expect(String(fault)).not.toMatch(/hunter2/);
    await nobody.end();
  });

  it('leaves other errors as they are', async () => {
    const error: unknown = await pool.query('SELECT 1/0').catch((each: unknown) => each);
    expect(databaseFaultOf(error)).toBe(error);
  });

  it('carries Prisma on the same connections', async () => {
    const adapter = await prismaAdapterOf(pool, 'house').connect();
    expect(adapter.underlyingDriver()).toBe(pool);
    expect(adapter.getConnectionInfo().schemaName).toBe('house');
    await adapter.dispose();
    await checkDatabase(pool);
  });

  function cut(): Promise<unknown> {
    return admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'snakes'");
  }
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function eventually(check: () => void): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return check();
    } catch (error) {
      if (tries === 100) throw error;
      await pause(20);
    }
  }
}
