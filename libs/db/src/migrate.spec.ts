/**
 * @jest-environment-options {"customExportConditions": ["source", "node"]}
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import pg from 'pg';
import { migrate, migrationsPending } from './migrate.js';
import { startTemporaryPostgres, type TemporaryPostgres } from './temporary.js';

// Making a database takes seconds on a busy machine.
jest.setTimeout(60_000);

describe('migrate', () => {
  let server: TemporaryPostgres;
  let client: pg.Client;
  let dir: string;
  let schema: string;
  let count = 0;
  const lines: string[] = [];

  beforeAll(async () => {
    server = await startTemporaryPostgres();
    client = new pg.Client({ connectionString: server.url });
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    await server.stop();
  });

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'vivarium-migrations-'));
    schema = `house_${++count}`;
    lines.length = 0;
  });

  afterEach(() => rm(dir, { recursive: true, force: true }));

  async function write(name: string, sql: string): Promise<void> {
    await mkdir(join(dir, name), { recursive: true });
    await writeFile(join(dir, name, 'migration.sql'), sql);
  }

  function run(): Promise<{ readonly applied: readonly string[] }> {
    return migrate({ url: server.url, migrations: [{ schema, dir }], log: (line) => lines.push(line) });
  }

  function pending(): Promise<readonly string[]> {
    return migrationsPending({ url: server.url, migrations: [{ schema, dir }] });
  }

  async function rows(sql: string): Promise<unknown[]> {
    return (await client.query(sql.replaceAll('SCHEMA', schema))).rows;
  }

  it('applies what is missing in the order of names, once, and records it as Prisma does', async () => {
    const first = 'CREATE TABLE snake (name text);\n';
    await write('20260102000000_add_row', "INSERT INTO snake VALUES ('adder');");
    await write('20260101000000_init', first);
    expect(await pending()).toEqual([`${schema}/20260101000000_init`, `${schema}/20260102000000_add_row`]);
    expect((await run()).applied).toEqual([`${schema}/20260101000000_init`, `${schema}/20260102000000_add_row`]);
    expect(await rows('SELECT name FROM SCHEMA.snake')).toEqual([{ name: 'adder' }]);
    expect(await rows('SELECT * FROM SCHEMA._prisma_migrations ORDER BY started_at LIMIT 1')).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        checksum: createHash('sha256').update(first).digest('hex'),
        finished_at: expect.any(Date),
        migration_name: '20260101000000_init',
        logs: null,
        rolled_back_at: null,
        started_at: expect.any(Date),
        applied_steps_count: 1,
      },
    ]);
    expect(await pending()).toEqual([]);
    expect((await run()).applied).toEqual([]);
    await write('20260103000000_more', "INSERT INTO snake VALUES ('boa');");
    expect((await run()).applied).toEqual([`${schema}/20260103000000_more`]);
  });

  it('lets one of several racing processes apply, and the others find nothing to do', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text); SELECT pg_sleep(0.2);');
    const results = await Promise.all([run(), run(), run(), run()]);
    expect(results.map((result) => result.applied.length).sort()).toEqual([0, 0, 0, 1]);
  });

  it('keeps nothing of a migration that fails, names it, and goes on once it is corrected', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text); INSERT INTO snake VALUES (1/0);');
    await expect(run()).rejects.toMatchObject({
      code: 'internal',
      message: `Migration ${schema}/20260101000000_init failed (division by zero). Nothing of it was kept; the service cannot start.`,
    });
    expect(await rows("SELECT to_regclass('SCHEMA.snake') AS found")).toEqual([{ found: null }]);
    await write('20260101000000_init', 'CREATE TABLE snake (name text);');
    expect((await run()).applied).toHaveLength(1);
  });

  it('refuses an applied migration that was edited', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text);');
    await run();
    await write('20260101000000_init', 'CREATE TABLE snake (name text, venom text);');
    const refusal = { code: 'conflict', message: expect.stringMatching(/_init was edited after it had been applied/) };
    await expect(run()).rejects.toMatchObject(refusal);
    await expect(pending()).rejects.toMatchObject(refusal);
  });

  it('runs a file marked -- no-transaction outside of one', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text);');
    await write('20260102000000_index', '-- no-transaction\nCREATE INDEX CONCURRENTLY snake_name ON snake (name);');
    expect((await run()).applied).toHaveLength(2);
    expect(await rows("SELECT to_regclass('SCHEMA.snake_name')::text AS found")).toEqual([
      { found: `${schema}.snake_name` },
    ]);
  });

  it('stops at a half-applied migration until somebody has looked at it', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text);');
    await write('20260102000000_index', '-- no-transaction\nCREATE INDEX CONCURRENTLY snake_name ON snake (colour);');
    await expect(run()).rejects.toMatchObject({ message: expect.stringContaining('It may be half applied') });
    const refusal = { code: 'conflict', message: expect.stringMatching(/_index began and did not end/) };
    await expect(run()).rejects.toMatchObject(refusal);
    await expect(pending()).rejects.toMatchObject(refusal);
    await rows("UPDATE SCHEMA._prisma_migrations SET rolled_back_at = now() WHERE migration_name LIKE '%index'");
    await write('20260102000000_index', '-- no-transaction\nCREATE INDEX CONCURRENTLY snake_name ON snake (name);');
    expect((await run()).applied).toEqual([`${schema}/20260102000000_index`]);
  });

  it('keeps schemas apart, even if a migration leaves another search_path behind', async () => {
    await write('20260101000000_init', "CREATE TABLE snake (name text); SELECT set_config('search_path', '', false);");
    await write('20260102000000_more', 'ALTER TABLE snake ADD COLUMN colour text;');
    const second = `${schema}_second`;
    const migrations = [
      { schema, dir },
      { schema: second, dir },
    ];
    const { applied } = await migrate({ url: server.url, migrations, log: () => undefined });
    expect(applied).toHaveLength(4);
    expect(
      await rows("SELECT schemaname FROM pg_tables WHERE tablename = 'snake' AND schemaname LIKE 'SCHEMA%' ORDER BY 1"),
    ).toEqual([{ schemaname: schema }, { schemaname: second }]);
  });

  it('waits for a busy table without holding up others, then applies', async () => {
    await write('20260101000000_init', 'CREATE TABLE snake (name text);');
    await run();
    await write('20260102000000_more', 'ALTER TABLE snake ADD COLUMN colour text;');
    await client.query(`BEGIN; LOCK TABLE ${schema}.snake IN ACCESS SHARE MODE`);
    const running = run();
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    await client.query('COMMIT');
    expect((await running).applied).toHaveLength(1);
  });

  it('answers unavailable when the database cannot be reached, and keeps the password to itself', async () => {
    const url = 'postgresql://vivarium:hunter2@127.0.0.1:1/vivarium';
    const error: unknown = await migrate({ url, migrations: [], log: () => undefined }).catch((each: unknown) => each);
    expect(error).toMatchObject({ code: 'unavailable' });
    expect(String(error)).not.toContain('hunter2');
  });
});
