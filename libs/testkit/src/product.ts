import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { putEmptyCluster } from '@vivarium/db/temporary';
import { type ClientOptions, type ClientResult, runClient } from './clients.js';
import { type NatsWithUsers, startNatsWithUsers } from './nats-users.js';
import {
  commonEnvironment,
  type Environment,
  natsUrlsOf,
  type ProductOptions,
  type ProductTarget,
  planAll,
  planServices,
  secretsOf,
} from './product-plans.js';
import { type Exit, type ProcessPlan, ProductProcess, productCommand } from './product-process.js';
import { recordProcesses, recordProduct } from './record-product.js';
import { recordSaid } from './run-record.js';
import { type ServerKind, startServer, type TestServer } from './servers.js';
import { Watchdog } from './watchdog.js';

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

const SERVERS = ['postgres', 'nats', 'redis', 's3'] as const;

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
    return secretsOf([...this.#all.map(({ plan }) => plan.env), this.#commandEnvironment()]);
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
