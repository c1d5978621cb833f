import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { startChild } from './child-server.js';
import { findProgram } from './programs.js';
import type { ServerSources } from './test-server.js';

/** Redis, or Valkey where that is what the machine has: with a password and without a disk. */
export const startRedis: ServerSources = {
  async given() {
    const url = process.env.TEST_REDIS_URL;
    return url === undefined ? undefined : { env: { REDIS_URL: url }, stop: async () => undefined };
  },
  async local() {
    const program = findProgram('valkey-server') ?? findProgram('redis-server');
    if (program === undefined) return undefined;
    const password = randomBytes(12).toString('hex');
    const server = await startChild({
      name: 'redis',
      async prepare(folder, port) {
        const file = join(folder, 'redis.conf');
        const lines = [
          'bind 127.0.0.1',
          `port ${port}`,
          `requirepass ${password}`,
          'save ""',
          'appendonly no',
          `dir ${folder}`,
        ];
        await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
        return [program, file];
      },
      async probe(_folder, port) {
        await ping(port, password);
        return `redis://:${password}@127.0.0.1:${port}/0`;
      },
    });
    return { env: { REDIS_URL: server.address }, stop: server.stop, restart: (outage = {}) => server.restart(outage) };
  },
  async container() {
    const { GenericContainer } = await import('testcontainers');
    const password = randomBytes(12).toString('hex');
    const container = await new GenericContainer('valkey/valkey:9')
      .withCommand(['valkey-server', '--requirepass', password, '--save', ''])
      .withExposedPorts(6379)
      .start();
    const url = `redis://:${password}@${container.getHost()}:${container.getMappedPort(6379)}/0`;
    return { env: { REDIS_URL: url }, stop: async () => void (await container.stop()) };
  },
  remedy: 'set TEST_REDIS_URL, install valkey-server or redis-server',
};

function ping(port: number, password: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    let said = '';
    socket.setTimeout(1_000, () => socket.destroy(new Error('no answer')));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`the server said ${said}`)));
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (!said.includes('+PONG')) return;
      resolve();
      socket.destroy();
    });
    socket.write(`AUTH ${password}\r\nPING\r\n`);
  });
}
