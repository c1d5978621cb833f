import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where a product's database is: what its configuration says, else the one in its data folder. Throws an Error if there is none. */
export function databaseUrl(env: Readonly<Record<string, string>>): string {
  if (env.DATABASE_URL !== undefined) return env.DATABASE_URL;
  const folder = join(env.DATA_DIR ?? '', 'postgres');
  const password = readFileSync(join(folder, 'password'), 'utf8').trim();
  const port = readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8')
    .split('\n')[3]
    ?.trim();
  return `postgres://vivarium:${encodeURIComponent(password)}@127.0.0.1:${port}/vivarium`;
}
