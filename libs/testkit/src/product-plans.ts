import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type NatsWithUsers, natsUrlAs } from './nats-users.js';
import type { ProcessPlan } from './product-process.js';
import { freePort } from './programs.js';
import { keepsRecord } from './run-record.js';

export type ProductTarget =
  /** Every role in one process, everything else embedded. */
  | 'all'
  /** A process for each role, on real PostgreSQL, NATS, Redis and S3. */
  | 'services';

export interface ProductOptions {
  /** What the environment variable VIVARIUM_TARGET says, else `all`. */
  readonly target?: ProductTarget;
  /** How many gateways, for `services`; 1 unless said otherwise. */
  readonly gateways?: number;
  /** Configuration beside what every process gets; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Stands between the product and its servers: gives what it is told instead of their addresses, which it gets. */
  readonly between?: (env: Readonly<Record<string, string>>) => Promise<Readonly<Record<string, string>>>;
  /** Each process gets a port for what it counts; none unless asked, or a record of the run is kept. */
  readonly metrics?: boolean;
}

export type Environment = Readonly<Record<string, string>>;

const ROLES = ['identity', 'authz', 'packages', 'conda-index', 'pypi-index', 'gateway'] as const;
const SECRET_NAMES = [
  'VIVARIUM_ADMIN_PASSWORD',
  'VIVARIUM_SECRET',
  'S3_SECRET_ACCESS_KEY',
  'DATABASE_URL',
  'NATS_URL',
  'REDIS_URL',
  'SMTP_URL',
];

/** Every role in one process, on a free port. */
export async function planAll(common: Environment, options: ProductOptions): Promise<readonly ProcessPlan[]> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const env = { ...common, PORT: String(port), PUBLIC_URL: `http://${host}`, METRICS_PORT: await metricsPort(options) };
  return [{ name: 'all', parameters: ['all'], env, port, host }];
}

/** A process for each role and each further gateway, all of which answer for the host of the first gateway. */
export async function planServices(
  common: Environment,
  options: ProductOptions,
  natsUrl: (user: string) => string,
): Promise<readonly ProcessPlan[]> {
  const others = Array.from({ length: (options.gateways ?? 1) - 1 }, (_, index) => `gateway-${index + 2}`);
  const names = [...ROLES, ...others];
  const ports = new Map<string, number>();
  for (const name of names) ports.set(name, await freePort());
  const publicHost = `127.0.0.1:${ports.get('gateway')}`;
  const plans: ProcessPlan[] = [];
  for (const name of names) {
    const port = ports.get(name) ?? 0;
    const role = name.replace(/-\d+$/, '');
    const env = {
      ...common,
      PORT: String(port),
      PUBLIC_URL: `http://${publicHost}`,
      ...(common.NATS_URL === undefined ? {} : { NATS_URL: natsUrl(role) }),
      METRICS_PORT: await metricsPort(options),
    };
    plans.push({ name, parameters: [role], env, port, host: publicHost });
  }
  return plans;
}

/** The address of the bus as one of its users has it. */
export function natsUrlsOf(url: string, passwords: NatsWithUsers['passwords']): (user: string) => string {
  return (user) => natsUrlAs(url, user, passwords);
}

/** What every process gets: the addresses of the servers, if there are any, secrets of its own, and what was asked for. */
export function commonEnvironment(folder: string, options: ProductOptions, addresses: Environment): Environment {
  const wanted: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    TMPDIR: process.env.TMPDIR,
    SystemRoot: process.env.SystemRoot,
    // The mark by which a run finds what it left behind.
    VIVARIUM_RUN: process.env.VIVARIUM_RUN,
    HOST: '127.0.0.1',
    DATA_DIR: join(folder, 'data'),
    // Of separate services too much would be traced for the time of a run; there are specs for them.
    OTEL_EXPORTER_OTLP_ENDPOINT: Object.keys(addresses).length === 0 ? process.env.VIVARIUM_RECORD_SPANS : undefined,
    VIVARIUM_ADMIN_PASSWORD: randomBytes(12).toString('hex'),
    ...(Object.keys(addresses).length === 0 ? {} : { VIVARIUM_SECRET: randomBytes(32).toString('hex') }),
    ...addresses,
    ...options.env,
  };
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(wanted)) if (value !== undefined) environment[name] = value;
  return environment;
}

async function metricsPort({ metrics }: ProductOptions): Promise<string> {
  return metrics === true || keepsRecord() ? String(await freePort()) : '0';
}

/** The secrets in the configuration of processes, each once. */
export function secretsOf(environments: readonly Environment[]): readonly string[] {
  return [...new Set(environments.flatMap((env) => SECRET_NAMES.flatMap((name) => secretsIn(env[name] ?? ''))))];
}

/** Of an address only its password is secret. */
function secretsIn(value: string): readonly string[] {
  if (value === '') return [];
  if (!value.includes('://')) return [value];
  const { password } = new URL(value);
  return password === '' ? [] : [password];
}
