/**
 * @jest-environment-options {"customExportConditions": ["source", "node"]}
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.js';
import { disownPostmasterFile, isAlive, readPostmasterFile } from './postmaster-file.js';

const OWNER = fileURLToPath(new URL('./embedded.fixture.mjs', import.meta.url));

// Making a database takes seconds on a busy machine.
jest.setTimeout(60_000);

describe('a PostgreSQL of our own', () => {
  const folders: string[] = [];
  const running: EmbeddedPostgres[] = [];
  const owners: ChildProcess[] = [];

  // Mode 0700 and, where the tests run as root, owned by root: the folder that another account cannot enter.
  async function newFolder(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'vivarium-db-'));
    folders.push(folder);
    return folder;
  }

  async function startIn(dataDir: string, port?: number): Promise<EmbeddedPostgres & { lines: string[] }> {
    const lines: string[] = [];
    const server = await startEmbeddedPostgres({
      dataDir,
      log: (line) => lines.push(line),
      ...(port === undefined ? {} : { port }),
    });
    running.push(server);
    return { ...server, stop: () => server.stop(), lines };
  }

  async function startOwner(dataDir: string): Promise<{ owner: ChildProcess; url: string; pid: number }> {
    const owner = spawn(process.execPath, ['--conditions=source', OWNER, dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    owners.push(owner);
    const [line] = await once(owner.stdout ?? owner, 'data');
    return { owner, url: String(line).trim(), pid: await postmasterIn(dataDir) };
  }

  afterAll(async () => {
    for (const server of running) await server.stop();
    for (const owner of owners) owner.kill('SIGKILL');
    for (const folder of folders) {
      const file = await readPostmasterFile(join(folder, 'postgres', 'data'));
      for (let i = 0; file && isAlive(file.pid) && i < 100; i++) await sleep(50);
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('keeps its data over a stop, and its password in a file that only its owner reads', async () => {
    const folder = await newFolder();
    const first = await startIn(folder);
    await query(first.url, "CREATE TABLE snake (name text); INSERT INTO snake VALUES ('adder')");
    expect(await query(first.url, 'SHOW server_version_num')).toEqual([
      { server_version_num: expect.stringMatching(/^18/) },
    ]);
    expect(await query(first.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    const began = performance.now();
    await first.stop();
    expect(performance.now() - began).toBeLessThan(2_500);
    const second = await startIn(folder);
    expect(await query(second.url, 'SELECT name FROM snake')).toEqual([{ name: 'adder' }]);
    const file = join(folder, 'postgres', 'password');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const password = (await readFile(file, 'utf8')).trim();
    expect([...first.lines, ...second.lines].join('\n')).not.toContain(password);
    await expect(query(second.url.replace(password, 'guess'), 'SELECT 1')).rejects.toThrow(
      /password authentication failed/,
    );
    expect(await readdir(folder)).toEqual(['postgres']);
    await second.stop();
  });

  it('comes back on the same address with every committed row after the server is killed', async () => {
    const folder = await newFolder();
    const server = await startIn(folder);
    await query(server.url, "CREATE TABLE snake (name text); INSERT INTO snake VALUES ('boa')");
    process.kill(await postmasterIn(folder), 'SIGKILL');
    expect(await eventually(() => query(server.url, 'SELECT name FROM snake'))).toEqual([{ name: 'boa' }]);
    expect(server.lines.join('\n')).toMatch(/ended unexpectedly/);
    await server.stop();
  });

  it('ends soon after its process was killed, and starts again with every committed row', async () => {
    const folder = await newFolder();
    const { owner, url, pid } = await startOwner(folder);
    await query(url, "CREATE TABLE snake (name text); INSERT INTO snake VALUES ('cobra')");
    owner.kill('SIGKILL');
    await gone(pid);
    const again = await startIn(folder);
    expect(await query(again.url, 'SELECT name FROM snake')).toEqual([{ name: 'cobra' }]);
    await again.stop();
  });

  it('starts again when process and server were killed together', async () => {
    const folder = await newFolder();
    const { owner, url, pid } = await startOwner(folder);
    await query(url, "CREATE TABLE snake (name text); INSERT INTO snake VALUES ('python')");
    owner.kill('SIGSTOP');
    process.kill(pid, 'SIGKILL');
    owner.kill('SIGKILL');
    const again = await startIn(folder);
    expect(await query(again.url, 'SELECT name FROM snake')).toEqual([{ name: 'python' }]);
    await again.stop();
  });

  it('ends a server that outlived its process, and takes its folder', async () => {
    const folder = await newFolder();
    const { owner, pid } = await startOwner(folder);
    // Without its watcher, which only a kill -9 of both can bring about.
    for (const child of childrenOf(owner.pid ?? 0)) if (child !== pid) process.kill(child, 'SIGKILL');
    owner.kill('SIGKILL');
    await sleep(300);
    expect(isAlive(pid)).toBe(true);
    const again = await startIn(folder);
    expect(again.lines.join('\n')).toContain(`process ${pid}`);
    await gone(pid);
    await again.stop();
  });

  it('is not fooled by a stranger that runs under the process id of a former server', async () => {
    const folder = await newFolder();
    await (await startIn(folder)).stop();
    const file = join(folder, 'postgres', 'data', 'postmaster.pid');
    await writeFile(file, `${process.ppid}\n${join(folder, 'postgres', 'data')}\n1\n5432\n\n127.0.0.1\n\nready\n`, {
      mode: 0o600,
    });
    const again = await startIn(folder);
    expect(await query(again.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await again.stop();
  });

  it('makes no claim on a folder whose server has just taken its own away', async () => {
    const folder = await newFolder();
    await disownPostmasterFile(folder);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a folder that a living process uses, and leaves that one alone', async () => {
    const folder = await newFolder();
    const { owner, url } = await startOwner(folder);
    await expect(startIn(folder)).rejects.toMatchObject({
      code: 'unavailable',
      message: `${join(folder, 'postgres')} is in use by another Vivarium: stop that one, or set DATA_DIR to another folder.`,
    });
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    owner.kill('SIGTERM');
    await once(owner, 'exit');
  });

  it('names the folder and the remedy when the database is broken', async () => {
    const folder = await newFolder();
    await mkdir(join(folder, 'postgres'));
    await expect(startIn(folder)).rejects.toMatchObject({
      code: 'unavailable',
      message: `PostgreSQL cannot start in ${join(folder, 'postgres')} (data/PG_VERSION is missing or unreadable): restore this folder from a backup, or move it away to begin with an empty database.`,
    });
    const second = await newFolder();
    await (await startIn(second)).stop();
    await rm(join(second, 'postgres', 'data', 'global', 'pg_control'));
    await expect(startIn(second)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/pg_control.*restore this folder from a backup/),
    });
  });

  it('makes way for itself where an earlier first start was killed', async () => {
    const folder = await newFolder();
    for (const [name, ageMs] of [
      ['postgres-new-old', 3_600_000],
      ['postgres-new-young', 0],
    ] as const) {
      await mkdir(join(folder, name));
      const then = (Date.now() - ageMs) / 1_000;
      await utimes(join(folder, name), then, then);
    }
    await (await startIn(folder)).stop();
    expect((await readdir(folder)).sort()).toEqual(['postgres', 'postgres-new-young']);
  });

  it('gives one of two processes that begin at once the folder, and the other one a clear refusal', async () => {
    const folder = await newFolder();
    const results = await Promise.allSettled([startIn(folder), startIn(folder)]);
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(refused).toEqual([
      expect.objectContaining({ code: 'unavailable', message: expect.stringContaining('in use by another Vivarium') }),
    ]);
  });

  it('says which port is taken', async () => {
    const folder = await newFolder();
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const address = squatter.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(startIn(folder, port)).rejects.toMatchObject({
      code: 'unavailable',
      message: `Port ${port} of 127.0.0.1 is in use: stop what listens there, or choose another port.`,
    });
    squatter.close();
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function postmasterIn(folder: string): Promise<number> {
  return (await readPostmasterFile(join(folder, 'postgres', 'data')))?.pid ?? 0;
}

async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
}

async function gone(pid: number): Promise<void> {
  await eventually(async () => {
    if (isAlive(pid)) throw new Error(`process ${pid} still runs`);
  });
}

function childrenOf(pid: number): number[] {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child ?? 0);
}
