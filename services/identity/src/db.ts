import { prismaAdapterOf } from '@vivarium/db/open';
import type { Pool } from 'pg';
import { type Prisma, PrismaClient } from './gen/prisma/client.js';

export type Db = PrismaClient;
/** A transaction of it. */
export type Tx = Prisma.TransactionClient;

/** Prisma on the given pool, which stays the giver's to end. */
export function openDb(pool: Pool): Db {
  // Minimal: the other formats quote source lines and paths.
  return new PrismaClient({ adapter: prismaAdapterOf(pool, 'identity'), errorFormat: 'minimal' });
}
