import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '@vivarium/db/embedded';
import { putEmptyCluster } from '@vivarium/db/temporary';
import pg from 'pg';
import { freePort } from './programs.js';
import type { Outage, ServerSources } from './test-server.js';

/** PostgreSQL with an empty database of the test's own. */
export const startPostgres: ServerSources = {
  async given() {
    const url = process.env.TEST_DATABASE_URL;
    if (url === undefined) return undefined;
    const database = `vivarium_${randomBytes(6).toString('hex')}`;
    await run(url, `CREATE DATABASE ${database}`);
    const own = new URL(url);
    own.pathname = `/${database}`;
    return {
      env: { DATABASE_URL: own.href },
      stop: () => run(url, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`),
    };
  },
  async local() {
    const folder = await mkdtemp(join(tmpdir(), 'vivarium-postgres-'));
    const removeNow = () => rmSync(folder, { recursive: true, force: true });
    process.once('exit', removeNow);
    const remove = async () => {
      process.off('exit', removeNow);
      await rm(folder, { recursive: true, force: true });
    };
    const said: string[] = [];
    try {
      const log = (line: string): void => void said.push(line);
      await putEmptyCluster(folder);
      let server = await startEmbeddedPostgres({ dataDir: folder, port: await freePort(), log });
      const stop = async () => {
        await server.stop();
        await remove();
      };
      const restart = async ({ signal, downMs = 0 }: Outage = {}) => {
        const port = Number(new URL(server.url).port);
        if (signal === 'SIGKILL') await killPostmaster(folder);
        await server.stop();
        await sleep(downMs);
        server = await startEmbeddedPostgres({ dataDir: folder, port, log });
      };
      return { env: { DATABASE_URL: server.url }, stop, restart };
    } catch (error) {
      await remove();
      throw new Error(`PostgreSQL did not come up: ${said.join('; ')}`, { cause: error });
    }
  },
  async container() {
    const { GenericContainer, Wait } = await import('testcontainers');
    const password = randomBytes(12).toString('hex');
    const container = await new GenericContainer('postgres:18')
      .withEnvironment({ POSTGRES_USER: 'vivarium', POSTGRES_PASSWORD: password })
      .withExposedPorts(5432)
      // Said once by the server that makes the database and once by the real one.
      .withWaitStrategy(Wait.forLogMessage('ready to accept connections', 2))
      .start();
    const url = `postgresql://vivarium:${password}@${container.getHost()}:${container.getMappedPort(5432)}/vivarium`;
    return { env: { DATABASE_URL: url }, stop: async () => void (await container.stop()) };
  },
  remedy: 'set TEST_DATABASE_URL',
};

/** Its other processes notice, and end without a checkpoint: what is committed is in the log only. */
async function killPostmaster(folder: string): Promise<void> {
  const [pid = ''] = (await readFile(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8')).split('\n');
  process.kill(Number(pid), 'SIGKILL');
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
