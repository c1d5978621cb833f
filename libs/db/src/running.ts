import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isPostmasterOf, readPostmasterFile } from './postmaster-file.js';

/**
 * Connection URL, password included, of the embedded server that another process of ours runs in this data folder; undefined
 * if none runs. For commands beside a running product, which must not start a second server.
 */
export async function runningPostgresUrl(dataDir: string): Promise<string | undefined> {
  const folder = join(resolve(dataDir), 'postgres');
  const data = join(folder, 'data');
  const file = await readPostmasterFile(data);
  if (file === undefined || !file.ready || !(await isPostmasterOf(file.pid, data))) return undefined;
  const password = await readFile(join(folder, 'password'), 'utf8').catch(() => undefined);
  if (password === undefined) return undefined;
  return `postgresql://vivarium:${encodeURIComponent(password.trim())}@127.0.0.1:${file.port}/vivarium`;
}
