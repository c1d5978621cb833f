import { join } from 'node:path';
import type { Blobs } from '@vivarium/blobs/blobs';
import { openBlobs } from '@vivarium/blobs/open-blobs';
import type { Config, Role } from '@vivarium/boot/config';
import type { Log } from '@vivarium/boot/log';
import type { DatabasePorts, RolePorts } from '@vivarium/boot/ports';
import type { Running } from '@vivarium/boot/run';
import type { Counters } from '@vivarium/counters/counters';
import { openCounters } from '@vivarium/counters/open-counters';
import { startEmbeddedPostgres } from '@vivarium/db/embedded';
import { openPool } from '@vivarium/db/open';
import type { Mailer } from '@vivarium/identity/mailer';
import { openMailer } from '@vivarium/identity/open-mailer';
import { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { LocalExchange } from '@vivarium/rpc/local';
import { openNatsBus } from '@vivarium/rpc/nats';
import { Trust } from '@vivarium/trust/trust';

/**
 * Opens what the roles of a process stand on. What is configured selects the driver of each port; nothing configured is
 * the embedded one. Everything opened is closed by `running`.
 */
export class OpenPorts {
  readonly #config: Config;
  readonly #log: Log;
  readonly #running: Running;
  readonly #exchange = new LocalExchange();
  #databaseUrl: Promise<string> | undefined;
  #blobs: Promise<Blobs> | undefined;
  #counters: Promise<Counters> | undefined;

  constructor(config: Config, log: Log, running: Running) {
    this.#config = config;
    this.#log = log;
    this.#running = running;
  }

  /** URL of the database; the embedded one is started when it is first asked for. */
  databaseUrl(progress: (line: string) => void): Promise<string> {
    this.#databaseUrl ??= this.#openDatabase(progress);
    return this.#databaseUrl;
  }

  blobs(): Promise<Blobs> {
    this.#blobs ??= this.#openBlobs();
    return this.#blobs;
  }

  counters(): Promise<Counters> {
    this.#counters ??= this.#openCounters();
    return this.#counters;
  }

  /** What takes outgoing mail: nothing is held open between two mails. */
  mailer(): Mailer {
    const { mail, dataDir } = this.#config;
    return openMailer(mail, join(dataDir, 'mail'));
  }

  async rolePorts(service: Role | 'platform'): Promise<RolePorts> {
    const log = this.#log.child({ service });
    const bus = await this.#openBus(service, log);
    this.#running.opened(`the bus of ${service}`, () => bus.drain());
    const { secret } = this.#config;
    const trust = new Trust({ service, secret, bus, clock: Date.now });
    return { service, config: this.#config, bus, log, trust, clock: Date.now };
  }

  /** With the pool of the role's own schema, and its outbox not yet started. */
  async databasePorts(service: Role, schema: string): Promise<DatabasePorts> {
    const ports = await this.rolePorts(service);
    const url = await this.databaseUrl((line) => ports.log.info(line));
    const warn = (line: string): void => ports.log.warn(line);
    const pool = openPool({ url, schema, applicationName: `vivarium ${service}`, max: POOL_SIZE, log: warn });
    this.#running.opened(`the database connections of ${service}`, () => pool.end());
    const invalidations = new Invalidations({ service, pool, bus: ports.bus, log: warn });
    return { ...ports, pool, invalidations };
  }

  #openBus(service: string, log: Log): Promise<Bus> {
    const { natsUrl } = this.#config;
    return natsUrl === undefined
      ? Promise.resolve(this.#exchange.connect(log))
      : openNatsBus({ url: natsUrl, service, log });
  }

  async #openDatabase(progress: (line: string) => void): Promise<string> {
    const { databaseUrl, dataDir } = this.#config;
    if (databaseUrl !== undefined) return databaseUrl;
    const postgres = await startEmbeddedPostgres({ dataDir, log: progress });
    this.#running.opened('the database', () => postgres.stop());
    return postgres.url;
  }

  async #openBlobs(): Promise<Blobs> {
    const { s3, dataDir } = this.#config;
    const blobs = await openBlobs({ ...(s3 === undefined ? {} : { s3 }), folder: join(dataDir, 'blobs') });
    this.#running.opened('the blob store', () => blobs.close());
    return blobs;
  }

  async #openCounters(): Promise<Counters> {
    const { redisUrl } = this.#config;
    const log = (line: string): void => this.#log.warn(line);
    const counters = await openCounters({ ...(redisUrl === undefined ? {} : { redisUrl }), log });
    this.#running.opened('the counters', () => counters.close());
    return counters;
  }
}

// Five roles in one process stay below the sixty connections of the embedded server.
const POOL_SIZE = 8;
