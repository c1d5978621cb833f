import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HeadBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { jest } from '@jest/globals';
import pg from 'pg';
import { skipUnless } from './missing.js';
import { findProgram } from './programs.js';
import { startServer, type TestServer } from './servers.js';

jest.setTimeout(60_000);

describe('startServer', () => {
  it('gives a PostgreSQL with an empty database, and removes both', async () => {
    const { server, folder } = await started('postgres', () => startServer('postgres'));
    const client = new pg.Client({ connectionString: server.env.DATABASE_URL });
    await client.connect();
    const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_tables WHERE schemaname = 'public'");
    expect(rows).toEqual([{ n: 0 }]);
    await client.end();
    await server.stop();
    expect(folder === undefined || !existsSync(folder)).toBe(true);
  });

  const nats = skipUnless(canHave('nats-server', 'TEST_NATS_URL'), 'startServer nats', 'nats-server is not installed');
  nats('gives a NATS that refuses a wrong password, and ends it', async () => {
    const server = await startServer('nats');
    const url = new URL(server.env.NATS_URL ?? '');
    expect(await said(url, `CONNECT {"user":"${url.username}","pass":"wrong"}\r\nPING\r\n`)).toContain('-ERR');
    expect(await said(url, `CONNECT {"user":"${url.username}","pass":"${url.password}"}\r\nPING\r\n`)).toContain(
      'PONG',
    );
    await server.stop();
    if (process.env.TEST_NATS_URL === undefined) await expect(said(url, '')).rejects.toThrow('ECONNREFUSED');
  });

  const redis = skipUnless(
    canHave('redis-server', 'TEST_REDIS_URL') || canHave('valkey-server', 'TEST_REDIS_URL'),
    'startServer redis',
    'neither valkey-server nor redis-server is installed',
  );
  redis('gives a Redis that wants its password, and ends it', async () => {
    const { server, folder } = await started('redis', () => startServer('redis'));
    const url = new URL(server.env.REDIS_URL ?? '');
    expect(await said(url, 'PING\r\n')).toContain('NOAUTH');
    expect(await said(url, `AUTH ${url.password}\r\nPING\r\n`)).toContain('PONG');
    await server.stop();
    expect(folder === undefined || !existsSync(folder)).toBe(true);
  });

  const s3 = skipUnless(canHave('versitygw', 'TEST_S3_ENDPOINT'), 'startServer s3', 'versitygw is not installed');
  s3('gives an S3 server with a bucket, and refuses another key', async () => {
    const server = await startServer('s3');
    const clientWith = (secretAccessKey = '') =>
      new S3Client({
        endpoint: server.env.S3_ENDPOINT ?? '',
        region: server.env.S3_REGION ?? '',
        credentials: { accessKeyId: server.env.S3_ACCESS_KEY_ID ?? '', secretAccessKey },
        forcePathStyle: true,
      });
    const command = new HeadBucketCommand({ Bucket: server.env.S3_BUCKET ?? '' });
    await clientWith(server.env.S3_SECRET_ACCESS_KEY).send(command);
    await expect(clientWith('wrong').send(command)).rejects.toMatchObject({ $metadata: { httpStatusCode: 403 } });
    await server.stop();
  });
});

it('a server ends, and its folder goes, when the process that started it dies', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'vivarium-supervised-'));
  const script = fileURLToPath(new URL('./supervise.mjs', import.meta.url));
  const server = 'process.on("SIGTERM", () => process.exit(0)); console.log(process.pid); setInterval(() => {}, 1000)';
  const starter = `
    const { spawn } = require('child_process');
    spawn(process.execPath, ${JSON.stringify([script, folder, 'SIGTERM', process.execPath, '-e', server])}, {
      stdio: ['pipe', 'inherit', 'inherit'],
    });`;
  const dying = spawn(process.execPath, ['-e', starter], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line]: Buffer[] = await once(dying.stdout, 'data');
  const pid = Number(line?.toString());
  expect(isAlive(pid)).toBe(true);
  dying.kill('SIGKILL');
  for (let wait = 0; wait < 100 && (isAlive(pid) || existsSync(folder)); wait++) await sleep(50);
  expect([isAlive(pid), existsSync(folder)]).toEqual([false, false]);
});

it('without a server, and without Docker, the error says what to install', async () => {
  const before = { ...process.env };
  try {
    for (const name of ['TEST_REDIS_URL', 'TEST_NATS_URL', 'TEST_S3_ENDPOINT', 'DOCKER_HOST']) delete process.env[name];
    process.env.PATH = '';
    process.env.VIVARIUM_CACHE = join(tmpdir(), 'nothing-here');
    if (existsSync('/var/run/docker.sock')) return;
    await expect(startServer('redis')).rejects.toThrow('install valkey-server or redis-server');
    await expect(startServer('nats')).rejects.toThrow('install nats-server');
    await expect(startServer('s3')).rejects.toThrow('install versitygw');
  } finally {
    Object.assign(process.env, before);
    if (before.VIVARIUM_CACHE === undefined) delete process.env.VIVARIUM_CACHE;
  }
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function canHave(program: string, variable: string): boolean {
  return process.env[variable] !== undefined || findProgram(program) !== undefined;
}

/** The server and the folder it made, if it made one. */
async function started(kind: string, start: () => Promise<TestServer>) {
  const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith(`vivarium-${kind}-`));
  const before = new Set(folders());
  const server = await start();
  const made = folders().filter((name) => !before.has(name));
  return { server, folder: made.length === 1 ? `${tmpdir()}/${made[0]}` : undefined };
}

/** Everything a server says within 300 ms of hearing this. */
function said(url: URL, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: url.hostname, port: Number(url.port) });
    let heard = '';
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
    });
    socket.write(text);
    setTimeout(() => {
      socket.destroy();
      resolve(heard);
    }, 300);
  });
}
