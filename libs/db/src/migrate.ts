import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { types } from 'node:util';
import { Fault } from '@vivarium/fault/fault';
import pg from 'pg';
import { databaseFaultOf } from './database-fault.js';

/** The migrations of one schema: `<dir>/<timestamp>_<name>/migration.sql`, applied in the order of their names. */
export interface Migrations {
  readonly schema: string;
  readonly dir: string;
}

interface Migration {
  readonly schema: string;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

interface Applied {
  readonly migration_name: string;
  readonly checksum: string;
  readonly finished_at: Date | null;
  readonly rolled_back_at: Date | null;
}

// The key that Prisma's own tool locks, so that it and we never migrate at once.
const MIGRATION_LOCK = 72_707_369;
const LOCK_TRIES = 20;

// Column for column what Prisma's own tool makes, so that it can take over a database of ours and we one of its.
const TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  varchar(36) PRIMARY KEY NOT NULL,
  checksum            varchar(64) NOT NULL,
  finished_at         timestamptz,
  migration_name      varchar(255) NOT NULL,
  logs                text,
  rolled_back_at      timestamptz,
  started_at          timestamptz NOT NULL DEFAULT now(),
  applied_steps_count integer NOT NULL DEFAULT 0
)`;

/**
 * Applies what is missing, schema by schema, and gives the names of what it applied (`packages/20261124_init`).
 * A schema is made if missing. Each migration is one transaction with its row in `_prisma_migrations`; a file whose
 * first line is `-- no-transaction` runs outside one and should hold a single statement. Processes that race wait for
 * each other, and the later ones find nothing to do.
 * Throws Fault('conflict') if an applied file was edited or an earlier run failed half-way, Fault('internal') naming
 * the file if its SQL fails, and Fault('unavailable') if the database cannot be reached.
 */
export async function migrate(options: {
  readonly url: string;
  readonly migrations: readonly Migrations[];
  readonly log: (line: string) => void;
}): Promise<{ readonly applied: readonly string[] }> {
  const applied: string[] = [];
  await withClient(options.url, async (client) => {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    for (const { schema, dir } of options.migrations) {
      const files = await readMigrations(schema, dir);
      await openSchema(client, schema);
      for (const migration of pendingOf(files, await readApplied(client))) {
        options.log(`Migrating ${schema}: ${migration.name}`);
        await apply(client, migration);
        applied.push(`${schema}/${migration.name}`);
      }
    }
  });
  return { applied };
}

/**
 * The names of migrations that `migrate` would apply now (`packages/20261124_init`); empty means ready. Changes nothing.
 * Throws the same faults as `migrate` for edited and half-applied ones.
 */
export async function migrationsPending(options: {
  readonly url: string;
  readonly migrations: readonly Migrations[];
}): Promise<readonly string[]> {
  const pending: string[] = [];
  await withClient(options.url, async (client) => {
    for (const { schema, dir } of options.migrations) {
      const table = await client.query('SELECT 1 FROM pg_tables WHERE schemaname = $1 AND tablename = $2', [
        schema,
        '_prisma_migrations',
      ]);
      await client.query(`SET search_path TO ${pg.escapeIdentifier(schema)}`);
      const rows = table.rowCount === 0 ? [] : await readApplied(client);
      for (const { name } of pendingOf(await readMigrations(schema, dir), rows)) pending.push(`${schema}/${name}`);
    }
  });
  return pending;
}

async function apply(client: pg.Client, migration: Migration): Promise<void> {
  if (/^-- no-transaction\s*$/m.exec(migration.sql)?.index === 0) return applyAlone(client, migration);
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query('BEGIN');
      // Waiting long for a table's lock would hold up every query behind us: give way and try again.
      await client.query("SET LOCAL lock_timeout = '5s'");
      const id = await begin(client, migration);
      await client.query(migration.sql);
      await finish(client, migration, id);
      await client.query('COMMIT');
      return;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      if (!isLockTimeout(error) || attempt === LOCK_TRIES) throw failed(migration, error, 'Nothing of it was kept');
      await sleep(500 + Math.random() * 500);
    }
  }
}

/** Its row is committed before and after: a row without an end tells the next run that the work may be half done. */
async function applyAlone(client: pg.Client, migration: Migration): Promise<void> {
  const id = await begin(client, migration);
  try {
    await client.query(migration.sql);
  } catch (error) {
    const said = types.isNativeError(error) ? error.message : String(error);
    await client.query('UPDATE _prisma_migrations SET logs = $2 WHERE id = $1', [id, said]).catch(() => undefined);
    throw failed(migration, error, 'It may be half applied');
  }
  await finish(client, migration, id);
}

async function begin(client: pg.Client, migration: Migration): Promise<string> {
  const id = randomUUID();
  await client.query(
    'INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at) VALUES ($1, $2, $3, clock_timestamp())',
    [id, migration.checksum, migration.name],
  );
  return id;
}

// The schema is named: a migration may have set another search_path. Also undone here, for the next one.
async function finish(client: pg.Client, { schema }: Migration, id: string): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  await client.query(`SET search_path TO ${name}`);
  await client.query(
    `UPDATE ${name}._prisma_migrations SET finished_at = clock_timestamp(), applied_steps_count = 1 WHERE id = $1`,
    [id],
  );
}

function pendingOf(files: readonly Migration[], rows: readonly Applied[]): readonly Migration[] {
  const applied = new Map(rows.filter((row) => row.rolled_back_at === null).map((row) => [row.migration_name, row]));
  for (const [name, row] of applied) {
    if (row.finished_at !== null) continue;
    throw new Fault(
      'conflict',
      `Migration ${name} began and did not end: repair the schema by hand, then set rolled_back_at (to run it again) or finished_at (if it is complete) in its row of _prisma_migrations.`,
    );
  }
  return files.filter((file) => {
    const row = applied.get(file.name);
    if (row !== undefined && row.checksum !== file.checksum) {
      throw new Fault(
        'conflict',
        `Migration ${file.schema}/${file.name} was edited after it had been applied: restore its file, and write the change as a new migration.`,
      );
    }
    return row === undefined;
  });
}

async function openSchema(client: pg.Client, schema: string): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  // Looked up first: CREATE SCHEMA IF NOT EXISTS asks for a right that a service's own account need not have.
  const found = await client.query('SELECT 1 FROM pg_namespace WHERE nspname = $1', [schema]);
  if (found.rowCount === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS ${name}`);
  await client.query(`SET search_path TO ${name}`);
  await client.query(TABLE);
}

async function readApplied(client: pg.Client): Promise<readonly Applied[]> {
  const { rows } = await client.query<Applied>(
    'SELECT migration_name, checksum, finished_at, rolled_back_at FROM _prisma_migrations ORDER BY started_at',
  );
  return rows;
}

async function readMigrations(schema: string, dir: string): Promise<readonly Migration[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  const files: Migration[] = [];
  for (const name of names.sort()) {
    const bytes = await readFile(join(dir, name, 'migration.sql'));
    files.push({ schema, name, sql: bytes.toString(), checksum: createHash('sha256').update(bytes).digest('hex') });
  }
  return files;
}

async function withClient(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'vivarium migrate',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await work(client);
  } catch (error) {
    throw databaseFaultOf(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function failed({ schema, name }: Migration, cause: unknown, state: string): unknown {
  const fault = databaseFaultOf(cause);
  if (fault !== cause) return fault;
  const reason = types.isNativeError(cause) ? cause.message : 'unknown error';
  return new Fault('internal', `Migration ${schema}/${name} failed (${reason}). ${state}; the service cannot start.`, {
    cause,
  });
}

function isLockTimeout(error: unknown): boolean {
  return types.isNativeError(error) && 'code' in error && error.code === '55P03';
}
