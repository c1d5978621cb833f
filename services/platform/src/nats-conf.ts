import { BUS_USERS, type BusUser, rightsOf } from './bus-rights.js';

// Longer than the longest call, which is a command of an operator.
const ANSWER_WITHIN = '35m';

const HEAD = `# NATS for Vivarium: request and reply, and news that may be lost; nothing is stored.
# Made by: vivarium nats-conf. Which service may use which subject is decided in services/platform/src/bus-rights.ts.
#
# One user for each service, and one for commands (platform). Their passwords come from the environment of this server,
# NATS_PASSWORD_GATEWAY and so on; each service has its own in NATS_URL. It does not start while one is missing.
# A password must not begin with a digit, or it is read as a number.
port: 4222
# For health checks, inside the network only.
http_port: 8222
# Lists are paged by bytes to fit; files never travel here.
max_payload: 1MB
`;

/** The configuration of a NATS server on which every service may do what it needs, and nothing else. */
export function natsConf(): string {
  return `${HEAD}
authorization {
  timeout: 2
  users: [
${BUS_USERS.map(userBlock).join('\n')}
  ]
}
`;
}

/** The variable in which the server finds a user's password. */
export function passwordVariableOf(user: BusUser): string {
  return `NATS_PASSWORD_${user.replace('-', '_').toUpperCase()}`;
}

function userBlock(user: BusUser): string {
  const { publish, subscribe, serve } = rightsOf(user);
  const heard = [...(serve === undefined ? [] : [`${serve.pattern} ${serve.queue}`]), ...subscribe];
  return `    {
      user: "${user}", password: $${passwordVariableOf(user)}
      permissions: {
        publish: { allow: ${listOf(publish)} }
        subscribe: { allow: ${listOf(heard)} }
${serve === undefined ? '' : `        # One answer to each request, and to where it came from.\n        allow_responses: { max: 1, expires: "${ANSWER_WITHIN}" }\n`}      }
    }`;
}

function listOf(patterns: readonly string[]): string {
  return `[\n${patterns.map((pattern) => `          "${pattern}"\n`).join('')}        ]`;
}
