import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { databaseUrl } from './database-url.js';
import { keepsRecord, recordSaid, recordSecret } from './run-record.js';

/** What is to be known of a product. */
interface Recorded {
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly metrics: readonly string[];
}

/**
 * Notes the secrets of a product that is about to end, and what can only be asked while it lives: rows, counts, processes.
 * A part of it that a test has broken says nothing. Does nothing if no record is kept.
 */
export async function recordProduct(product: Recorded, folder: string): Promise<void> {
  if (!keepsRecord()) return;
  const { env, secrets, metrics } = product;
  for (const secret of secrets) recordSecret('secret of the configuration', secret);
  const dataDir = env.DATA_DIR ?? '';
  for (const [name, path] of [
    ['kept secret', join(dataDir, 'secret')],
    ['password of the database', join(dataDir, 'postgres', 'password')],
  ] as const) {
    recordSecret(name, textOf(path).trim());
  }
  recordSaid('logs', 'postgres', textOf(join(dataDir, 'postgres', 'server.log')));
  recordProcesses(folder);
  await Promise.all([recordMetrics(metrics), recordRows(env)]);
}

/** Notes what these addresses count. */
export async function recordMetrics(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const text = await fetch(address, { signal: AbortSignal.timeout(10_000) }).then(
      (answer) => answer.text(),
      () => '',
    );
    recordSaid('metrics', address, text);
  }
}

/** Notes every row of every table, columns of bytes in hexadecimal. */
async function recordRows(env: Recorded['env']): Promise<void> {
  const client = new pg.Client({ connectionTimeoutMillis: 5_000, query_timeout: 60_000, connectionString: urlOf(env) });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
      recordSaid('database', name, rows.map(({ row }) => row).join('\n'));
    }
  } catch {
    // A database that a test has stopped.
  } finally {
    await client.end().catch(() => undefined);
  }
}

function urlOf(env: Recorded['env']): string | undefined {
  try {
    return databaseUrl(env);
  } catch {
    return undefined;
  }
}

/**
 * Notes titles and command lines, which every user of a machine may read, of all that this process has started and of what
 * works in the folder. The environment of a process is no such thing: only its own user reads it, and secrets come that way.
 */
export function recordProcesses(folder: string): void {
  if (!keepsRecord()) return;
  const all = processes();
  const ours = new Set([process.pid]);
  // A child may come before its parent in the list.
  for (let known = 0; known !== ours.size; ) {
    known = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  ours.delete(process.pid);
  for (const { pid, title, command } of all) {
    if (ours.has(pid) || command.includes(folder)) recordSaid('processes', title, `${title} ${command}`);
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly title: string;
  readonly command: string;
}

function processes(): readonly Process[] {
  const pids = entriesOf('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => ({
    pid: Number(pid),
    parent: Number(/^PPid:\s*(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0),
    title: textOf(`/proc/${pid}/comm`).trim(),
    command: textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim(),
  }));
}

function entriesOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Empty if there is no such file (any more). */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
