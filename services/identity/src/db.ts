import { databaseFaultOf } from '@vivarium/db/database-fault';
import { prismaAdapterOf } from '@vivarium/db/open';
import type { Pool } from 'pg';
import { type Prisma, PrismaClient } from './gen/prisma/client.js';

export type Db = PrismaClient;
/** Injection token of the service's Prisma client. */
export const DB = Symbol('db');
/** A transaction of it. */
export type Tx = Prisma.TransactionClient;

/** Prisma on the given pool, which stays the giver's to end. */
export function openDb(pool: Pool): Db {
  return new PrismaClient({
    adapter: prismaAdapterOf(pool, 'identity'),
    // The other formats quote source lines and paths.
    errorFormat: 'minimal',
    // Waiting for a row's lock counts, so many changes of one thing at once need more than the usual 5 s.
    transactionOptions: { maxWait: 5_000, timeout: 15_000 },
  });
}

/** The answer of a query outside a transaction. Throws Fault('unavailable') if the database cannot be reached. */
export async function ask<T>(query: PromiseLike<T>): Promise<T> {
  try {
    return await query;
  } catch (error) {
    throw databaseFaultOf(error);
  }
}
