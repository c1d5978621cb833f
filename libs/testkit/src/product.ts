import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { putEmptyCluster } from '@vivarium/db/temporary';
import { type ClientOptions, type ClientResult, runClient } from './clients.js';
import { type NatsWithUsers, natsUrlAs, startNatsWithUsers } from './nats-users.js';
import { type Exit, type ProcessPlan, ProductProcess, productCommand } from './product-process.js';
import { freePort } from './programs.js';
import { recordProcesses, recordProduct } from './record-product.js';
import { keepsRecord, recordSaid } from './run-record.js';
import { type ServerKind, startServer, type TestServer } from './servers.js';
import { Watchdog } from './watchdog.js';

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

/** The product as its users have it: processes that answer over HTTP, and nothing of it in the test's own process. */
export interface Product {
  readonly target: ProductTarget;
  /** Origin, without a slash at its end. */
  readonly url: string;
  readonly api: string;
  readonly conda: string;
  readonly pypi: string;
  readonly admin: { readonly login: string; readonly password: string };
  /** Origins of the gateways. Those after the first answer for the Host of the first. */
  readonly gateways: readonly string[];
  /** Where what is counted can be read. */
  readonly metrics: readonly string[];
  /** Configuration of every process: secrets included. */
  readonly env: Readonly<Record<string, string>>;
  /** What must never be written anywhere. */
  readonly secrets: readonly string[];
  /** Names of the processes: `all`, or the roles. */
  readonly processes: readonly string[];
  pidOf(name: string): number;
  /** The bus as one of the services is let in, `platform` for commands: for tests that speak on it. */
  natsUrl(user: string): string;
  /** One of the servers that it stands on, for `services`; undefined in one process. */
  server(kind: ServerKind): TestServer | undefined;
  /** Everything that all processes wrote, commands included. */
  logs(): string;
  /** Runs a command of `vivarium` beside the product. */
  command(parameters: readonly string[], options?: ClientOptions): Promise<ClientResult>;
  /** Ends a process, or all, and waits for it. */
  end(name?: string, signal?: NodeJS.Signals, limitMs?: number): Promise<readonly Exit[]>;
  /** Starts what was ended, and waits until it is ready; `env` is added to its configuration, this once. */
  start(name?: string, env?: Readonly<Record<string, string>>): Promise<void>;
  /** Ends and starts. */
  restart(name?: string, signal?: NodeJS.Signals, env?: Readonly<Record<string, string>>): Promise<void>;
  /** Ends everything in good order and removes all data. */
  stop(): Promise<readonly Exit[]>;
}

const ROLES = ['identity', 'authz', 'packages', 'conda-index', 'pypi-index', 'gateway'] as const;
const SERVERS = ['postgres', 'nats', 'redis', 's3'] as const;
const SECRET_NAMES = [
  'VIVARIUM_ADMIN_PASSWORD',
  'VIVARIUM_SECRET',
  'S3_SECRET_ACCESS_KEY',
  'DATABASE_URL',
  'NATS_URL',
  'REDIS_URL',
];

/** True if this run tests the product as separate services. */
export function productTarget(): ProductTarget {
  const target = process.env.VIVARIUM_TARGET ?? 'all';
  if (target === 'all' || target === 'services') return target;
  throw new Error(`VIVARIUM_TARGET is "${target}"; it must be all or services`);
}

/**
 * Starts the product on free ports of 127.0.0.1 in a temporary folder and waits until it is ready. `stop` ends it; the same
 * happens when the caller's process dies. Throws an Error with the last words of the process that did not come up.
 */
export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const watchdog = new Watchdog();
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-product-'));
  watchdog.guard({ folder });
  const target = options.target ?? productTarget();
  const servers: Partial<Record<ServerKind, TestServer>> = {};
  let nats: NatsWithUsers | undefined;
  try {
    if (target === 'services') {
      nats = await startNatsWithUsers();
      servers.nats = nats;
      for (const kind of SERVERS) servers[kind] ??= await startServer(kind);
    }
    const addresses: Environment = Object.assign({}, ...Object.values(servers).map(({ env }) => env));
    if (target === 'all' && options.env?.DATA_DIR === undefined) await putEmptyCluster(join(folder, 'data'));
    const common = commonEnvironment(folder, options, { ...addresses, ...(await options.between?.(addresses)) });
    const natsUrl = natsUrlsOf(common.NATS_URL ?? '', nats?.passwords ?? {});
    const plans = await (target === 'all' ? planAll(common, options) : planServices(common, options, natsUrl));
    const product = new RunningProduct(target, plans, servers, natsUrl, watchdog, folder);
    try {
      await product.begin();
    } catch (error) {
      await product.stop();
      throw error;
    }
    return product;
  } catch (error) {
    for (const server of Object.values(servers)) await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    await watchdog.release();
    throw error;
  }
}

class RunningProduct implements Product {
  readonly target: ProductTarget;
  readonly env: Readonly<Record<string, string>>;
  readonly natsUrl: (user: string) => string;
  readonly #all: readonly ProductProcess[];
  readonly #servers: Readonly<Partial<Record<ServerKind, TestServer>>>;
  readonly #watchdog: Watchdog;
  readonly #folder: string;
  #commands = '';
  #stopped: Promise<readonly Exit[]> | undefined;

  constructor(
    target: ProductTarget,
    plans: readonly ProcessPlan[],
    servers: Readonly<Partial<Record<ServerKind, TestServer>>>,
    natsUrl: (user: string) => string,
    watchdog: Watchdog,
    folder: string,
  ) {
    this.target = target;
    this.#all = plans.map((plan) => new ProductProcess(plan, watchdog));
    this.#servers = servers;
    this.natsUrl = natsUrl;
    this.#watchdog = watchdog;
    this.#folder = folder;
    this.env = this.#gatewayPlans()[0]?.env ?? {};
  }

  async begin(): Promise<void> {
    if (this.target === 'services') {
      const { code, stdout, stderr } = await this.command(['migrate']);
      if (code !== 0) throw new Error(`vivarium migrate ended with ${code}:\n${stdout}${stderr}`);
    }
    await this.start();
    recordProcesses(this.#folder);
  }

  get url(): string {
    return this.env.PUBLIC_URL ?? '';
  }
  get api(): string {
    return `${this.url}/api`;
  }
  get conda(): string {
    return `${this.url}/conda`;
  }
  get pypi(): string {
    return `${this.url}/pypi`;
  }
  get admin() {
    return { login: 'admin', password: this.env.VIVARIUM_ADMIN_PASSWORD ?? '' };
  }
  get gateways(): readonly string[] {
    return this.#gatewayPlans().map(({ port }) => `http://127.0.0.1:${port}`);
  }
  get metrics(): readonly string[] {
    return this.#all
      .map(({ plan }) => plan.env.METRICS_PORT)
      .filter((port) => port !== '0')
      .map((port) => `http://127.0.0.1:${port}/metrics`);
  }
  get secrets(): readonly string[] {
    const environments = [...this.#all.map(({ plan }) => plan.env), this.#commandEnvironment()];
    const all = environments.flatMap((env) => SECRET_NAMES.flatMap((name) => secretsIn(env[name] ?? '')));
    return [...new Set(all)];
  }
  get processes(): readonly string[] {
    return this.#all.map(({ plan }) => plan.name);
  }

  pidOf(name: string): number {
    return this.#named(name)[0]?.pid ?? Number.NaN;
  }

  server(kind: ServerKind): TestServer | undefined {
    return this.#servers[kind];
  }

  logs(): string {
    return this.#all.map((each) => each.said()).join('') + this.#commands;
  }

  async command(parameters: readonly string[], options: ClientOptions = {}): Promise<ClientResult> {
    const env = { ...this.#commandEnvironment(), ...options.env };
    const result = await runClient(process.execPath, productCommand(parameters), { ...options, env });
    this.#commands += result.stdout + result.stderr;
    recordSaid('logs', 'command', result.stdout + result.stderr);
    recordSaid('processes', 'command', parameters.join(' '));
    return result;
  }

  end(name?: string, signal?: NodeJS.Signals, limitMs?: number): Promise<readonly Exit[]> {
    return Promise.all(this.#named(name).map((each) => each.end(signal, limitMs)));
  }

  async start(name?: string, env: Readonly<Record<string, string>> = {}): Promise<void> {
    const ended = this.#named(name).filter((each) => !each.isRunning);
    for (const each of ended) each.start(env);
    await Promise.all(ended.map((each) => each.untilReady()));
  }

  async restart(name?: string, signal?: NodeJS.Signals, env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.end(name, signal);
    await this.start(name, env);
  }

  stop(): Promise<readonly Exit[]> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<readonly Exit[]> {
    try {
      await recordProduct(this, this.#folder);
      return await this.end();
    } finally {
      for (const server of Object.values(this.#servers)) await server.stop();
      await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
      await this.#watchdog.release();
    }
  }

  #commandEnvironment(): Environment {
    const bus = this.env.NATS_URL === undefined ? {} : { NATS_URL: this.natsUrl('platform') };
    // To trace a command takes longer than the command.
    return { ...this.env, ...bus, PORT: '0', METRICS_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: '' };
  }

  #gatewayPlans(): readonly ProcessPlan[] {
    return this.#all.map(({ plan }) => plan).filter(({ name }) => name === 'all' || name.startsWith('gateway'));
  }

  #named(name: string | undefined): readonly ProductProcess[] {
    const named = this.#all.filter(({ plan }) => name === undefined || plan.name === name);
    if (named.length === 0) throw new Error(`there is no process ${name}; there are ${this.processes.join(', ')}`);
    return named;
  }
}

async function planAll(common: Environment, options: ProductOptions): Promise<readonly ProcessPlan[]> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const env = { ...common, PORT: String(port), PUBLIC_URL: `http://${host}`, METRICS_PORT: await metricsPort(options) };
  return [{ name: 'all', parameters: ['all'], env, port, host }];
}

async function planServices(
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

type Environment = Readonly<Record<string, string>>;

function natsUrlsOf(url: string, passwords: NatsWithUsers['passwords']): (user: string) => string {
  return (user) => natsUrlAs(url, user, passwords);
}

function commonEnvironment(folder: string, options: ProductOptions, addresses: Environment): Environment {
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

/** Of an address only its password is secret. */
function secretsIn(value: string): readonly string[] {
  if (value === '') return [];
  if (!value.includes('://')) return [value];
  const { password } = new URL(value);
  return password === '' ? [] : [password];
}
