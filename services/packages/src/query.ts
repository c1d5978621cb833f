import { codesOf, databaseFaultOf } from '@vivarium/db/database-fault';
import { Fault } from '@vivarium/fault/fault';
import type { Pool, PoolClient, QueryResultRow } from 'pg';

/** A pool, or a connection inside a transaction. */
export type Queryable = Pick<Pool, 'query'> | Pick<PoolClient, 'query'>;

/** A connection inside a transaction that holds a channel's lock. */
export type Tx = PoolClient;

const LOCK_NOT_AVAILABLE = '55P03';

/** The rows of a statement. Throws Fault('unavailable') if the database is away, or others hold a lock for too long. */
export async function ask<T extends QueryResultRow>(
  db: Queryable,
  text: string,
  values: readonly unknown[] = [],
): Promise<readonly T[]> {
  try {
    return (await db.query<T>(text, [...values])).rows;
  } catch (error) {
    if (!codesOf(error).includes(LOCK_NOT_AVAILABLE)) throw databaseFaultOf(error);
    throw new Fault('unavailable', 'Too many changes of this channel at once: try again in a few seconds.', {
      cause: error,
    });
  }
}
