import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { startLocalNats } from './nats-server.js';
import { findProgram } from './programs.js';
import { startServer } from './servers.js';
import type { TestServer } from './test-server.js';

/** NATS as an operator runs it. `NATS_URL` of its `env` is a user that may do everything, for what tests look at. */
export interface NatsWithUsers extends TestServer {
  /** Passwords of the services by their name; none on a server that has one user for all. */
  readonly passwords: Readonly<Record<string, string>>;
}

const DELIVERED = fileURLToPath(new URL('../../../deploy/nats.conf', import.meta.url));
const TESTS = 'tests';

/**
 * Starts this machine's nats-server with the configuration that is delivered, so that whatever runs on it has the rights that it
 * will have. Where there is no such program, or the environment names a server, that server is given, as `startServer` does.
 */
export async function startNatsWithUsers(): Promise<NatsWithUsers> {
  if (process.env.TEST_NATS_URL !== undefined || findProgram('nats-server') === undefined) {
    return { ...(await startServer('nats')), passwords: {} };
  }
  const delivered = await readFile(DELIVERED, 'utf8');
  const passwords: Record<string, string> = {};
  const variables: string[] = [];
  for (const [, user = '', variable = ''] of delivered.matchAll(/user: "([a-z-]+)", password: \$(\w+)/g)) {
    passwords[user] = secret();
    variables.push(`${variable}: "${passwords[user]}"\n`);
  }
  const password = secret();
  const authorization = delivered
    // The port is this test's own.
    .replace(/^(http_)?port: .*\n/gm, '')
    .replace('  users: [\n', `  users: [\n    { user: "${TESTS}", password: "${password}" }\n`);
  const server = await startLocalNats({
    authorization: `${variables.join('')}${authorization}`,
    user: TESTS,
    password,
  });
  return { ...server, passwords };
}

/** The same server, as one of its users. As it was, where there are none. */
export function natsUrlAs(url: string, user: string, passwords: NatsWithUsers['passwords']): string {
  const password = passwords[user];
  if (password === undefined) return url;
  const own = new URL(url);
  own.username = user;
  own.password = password;
  return own.href;
}

function secret(): string {
  return `s${randomBytes(12).toString('hex')}`;
}
