import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Product } from '@vivarium/testkit/product';

/** The database of a product as its administrator reaches it: the one given to it, or the one inside it. */
export async function databaseUrlOf({ env }: Product): Promise<string> {
  if (env.DATABASE_URL !== undefined) return env.DATABASE_URL;
  const folder = join(env.DATA_DIR ?? '', 'postgres');
  const password = (await readFile(join(folder, 'password'), 'utf8')).trim();
  const port = (await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8')).split('\n')[3]?.trim();
  return `postgres://vivarium:${encodeURIComponent(password)}@127.0.0.1:${port}/vivarium`;
}
