import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { startChild } from './child-server.js';
import { findProgram } from './programs.js';
import type { ServerSources, TestServer } from './test-server.js';

/** NATS with one user and a password: without authentication the product refuses it outside loopback. */
export const startNats: ServerSources = {
  async given() {
    const url = process.env.TEST_NATS_URL;
    return url === undefined ? undefined : { env: { NATS_URL: url }, stop: async () => undefined };
  },
  async local() {
    return findProgram('nats-server') === undefined ? undefined : startLocalNats(oneUser());
  },
  async container() {
    const { GenericContainer, Wait } = await import('testcontainers');
    const { password } = oneUser();
    const container = await new GenericContainer('nats:2.14')
      .withCommand(['--user', 'vivarium', '--pass', password])
      .withExposedPorts(4222)
      .withWaitStrategy(Wait.forLogMessage('Server is ready'))
      .start();
    const url = `nats://vivarium:${password}@${container.getHost()}:${container.getMappedPort(4222)}`;
    return { env: { NATS_URL: url }, stop: async () => void (await container.stop()) };
  },
  remedy: 'set TEST_NATS_URL, install nats-server (.ci/install.sh does)',
};

interface NatsUsers {
  /** The block `authorization { … }` of the server's configuration. */
  readonly authorization: string;
  /** The user of the URL that is given back. */
  readonly user: string;
  readonly password: string;
}

/**
 * Starts this machine's nats-server with the users of a test's own `authorization` block, for tests of who may use which
 * subject. Throws an Error if nats-server is not installed.
 */
export async function startLocalNats(users: NatsUsers): Promise<TestServer> {
  const program = findProgram('nats-server');
  if (program === undefined) throw new Error(`nats-server is not installed: ${startNats.remedy}`);
  const server = await startChild({
    name: 'nats',
    async prepare(folder, port) {
      const file = join(folder, 'nats.conf');
      await writeFile(file, `listen: "127.0.0.1:${port}"\n${users.authorization}\n`, { mode: 0o600 });
      return [program, '-c', file];
    },
    async probe(_folder, port) {
      await greeting(port);
      return `nats://${users.user}:${users.password}@127.0.0.1:${port}`;
    },
  });
  return { env: { NATS_URL: server.address }, stop: server.stop, restart: (outage = {}) => server.restart(outage) };
}

function oneUser(): NatsUsers {
  const password = randomBytes(12).toString('hex');
  const authorization = `authorization { users: [ { user: "vivarium", password: "${password}" } ] }`;
  return { authorization, user: 'vivarium', password };
}

/** Resolves when the server has said INFO, which it says first to every connection. */
function greeting(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.setTimeout(1_000, () => socket.destroy(new Error('no greeting')));
    socket.once('error', reject);
    socket.once('data', (chunk: Buffer) => {
      socket.destroy();
      if (chunk.toString().startsWith('INFO ')) resolve();
      else reject(new Error('another server took the port'));
    });
  });
}
