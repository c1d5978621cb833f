import { setTimeout as sleep } from 'node:timers/promises';
import { PrismaPg } from '@prisma/adapter-pg';
import { Fault } from '@vivarium/fault/fault';
import pg from 'pg';
import { codesOf, databaseFaultOf } from './database-fault.js';

export interface PoolOptions {
  /** A direct or session-pooled connection: settings, advisory locks and the search path belong to the session. */
  readonly url: string;
  /** The service's own schema: the only one that unqualified names are looked up in. `^[a-z_][a-z0-9_]*$` */
  readonly schema: string;
  /** What the database's own views show, to tell services apart. */
  readonly applicationName: string;
  /** Most connections at once; 10 unless given. Over all replicas they must stay below the server's max_connections. */
  readonly max?: number;
  /** Takes one line when an idle connection is lost. Never holds a secret. */
  readonly log: (line: string) => void;
}

const CONFLICT_TRIES = 6;
// Serialization failure and deadlock, as PostgreSQL and as Prisma name them: the loser did nothing and may try again.
const CONFLICT_CODES = new Set(['40001', '40P01', 'P2034', 'TransactionWriteConflict']);

/**
 * A pool of connections to one schema, with a limit on everything that can wait: 3 s for a connection, 15 s for a
 * statement, 5 s for a lock, 30 s idle inside a transaction. A lost connection is logged and replaced.
 * Connects on first use. `pool.end()` closes it.
 */
export function openPool(options: PoolOptions): pg.Pool {
  if (!/^[a-z_][a-z0-9_]*$/.test(options.schema)) {
    throw new Fault('invalid', `"${options.schema}" is not a schema name: use small letters, digits and underscores.`);
  }
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName,
    max: options.max ?? 10,
    options: `-c search_path=${options.schema}`,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: 15_000,
    lock_timeout: 5_000,
    idle_in_transaction_session_timeout: 30_000,
    keepAlive: true,
  });
  // Without a listener a restart of the database would end the process. What was asked at that moment fails by itself.
  pool.on('error', (error) => options.log(`A connection to the database was lost (${error.message})`));
  return pool;
}

/** The driver adapter for a service's generated PrismaClient, on the same pool: `new PrismaClient({ adapter })`. */
export function prismaAdapterOf(pool: pg.Pool, schema: string): PrismaPg {
  return new PrismaPg(pool, { schema });
}

/** Nothing if the database answers. Throws Fault('unavailable') if not, at the latest after the pool's own limits. */
export async function checkDatabase(pool: pg.Pool): Promise<void> {
  try {
    await pool.query('SELECT 1');
  } catch (error) {
    throw databaseFaultOf(error);
  }
}

/**
 * Runs `work` in a transaction and gives its result. Commits when it resolves, rolls back when it throws.
 * `work` is repeated when another transaction got in the way (serialization failure, deadlock), a few times at most:
 * what it does outside the database must bear that.
 * Throws what `work` throws; Fault('unavailable') if the database went away (the commit may or may not have happened),
 * or if others stay in the way.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  work: (tx: pg.PoolClient) => Promise<T>,
  options: { readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' } = {},
): Promise<T> {
  return retryConflicts(() => attempt(pool, work, options.isolation ?? 'read committed'));
}

/**
 * Runs a whole transaction, again if another got in the way, up to six times with growing pauses. For transactions that
 * Prisma runs: `retryConflicts(() => prisma.$transaction(async (tx) => …))`.
 */
export async function retryConflicts<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await transaction();
    } catch (error) {
      if (!codesOf(error).some((code) => CONFLICT_CODES.has(code))) throw databaseFaultOf(error);
      if (tries === CONFLICT_TRIES) {
        throw new Fault('unavailable', 'Too many changes to the same thing at once: try again in a few seconds.', {
          cause: error,
        });
      }
      await sleep(Math.random() * 10 * 2 ** tries);
    }
  }
}

/**
 * Lends a connection to `work`, which ends the transactions that it begins. If `work` throws, what it left open is
 * rolled back. A connection that was lost is not lent again.
 */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = false;
  // Without a listener the loss of a lent connection would end the process.
  const onError = () => {
    broken = true;
  };
  client.on('error', onError);
  try {
    return await work(client);
  } catch (error) {
    // Whatever failed may have failed between BEGIN and COMMIT.
    broken ||= !(await rollback(client));
    throw error;
  } finally {
    if (!broken) client.off('error', onError);
    client.release(broken);
  }
}

function attempt<T>(pool: pg.Pool, work: (tx: pg.PoolClient) => Promise<T>, isolation: string): Promise<T> {
  return withClient(pool, async (client) => {
    await client.query(`BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}`);
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  });
}

async function rollback(client: pg.PoolClient): Promise<boolean> {
  return client.query('ROLLBACK').then(
    () => true,
    () => false,
  );
}
