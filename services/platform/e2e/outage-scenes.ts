import { setTimeout as sleep } from 'node:timers/promises';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { findProgram } from '@vivarium/testkit/programs';
import type { ServerKind } from '@vivarium/testkit/servers';
import type { Outage } from '@vivarium/testkit/test-server';
import { condaFormats, simpleFormats } from './formats.js';
import { OutageLoad } from './outage-load.js';
import { type Distribution, Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

const GIVEN = ['TEST_DATABASE_URL', 'TEST_NATS_URL', 'TEST_REDIS_URL', 'TEST_S3_ENDPOINT'];
const BEFORE_MS = 1_500;
// Generous: the machine may be slow. What it took is printed.
const WELL_WITHIN_MS = 60_000;

export const SERVERS = ['postgres', 'nats', 'redis', 's3'] as const;

/** True if the servers of a test are programs of this machine, which it may end and start. */
export function canRestartServers(): boolean {
  const isHere = (...programs: readonly string[]) => programs.some((program) => findProgram(program) !== undefined);
  return (
    GIVEN.every((name) => process.env[name] === undefined) &&
    isHere('nats-server') &&
    isHere('versitygw') &&
    isHere('redis-server', 'valkey-server')
  );
}

/** Separate services and two gateways on real servers, each of which goes away and comes back while people work. */
export class Outages {
  readonly product: Product;
  readonly #secrets: Secrets;
  readonly #admin: Publisher;
  readonly #loadOf: () => OutageLoad;
  readonly #acknowledged: Distribution[] = [];
  readonly #pids: readonly (readonly [string, number])[];
  #load: OutageLoad | undefined;

  private constructor(product: Product, secrets: Secrets, admin: Publisher, loadOf: () => OutageLoad) {
    this.product = product;
    this.#secrets = secrets;
    this.#admin = admin;
    this.#loadOf = loadOf;
    this.#pids = this.#pidsNow();
  }

  static async start(): Promise<Outages> {
    const product = await startProduct({ target: 'services', gateways: 2 });
    try {
      const secrets = new Secrets();
      const admin = await Publisher.admin(product, secrets);
      return new Outages(product, secrets, admin, await OutageLoad.prepare(product, admin, secrets));
    } catch (error) {
      await product.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#load?.stop();
    await this.product.stop();
  }

  /** One server goes away and comes back; see that all is well afterwards, and that nobody was told anything wrong. */
  async survive(kind: ServerKind, outage: Outage): Promise<void> {
    const restart = this.product.server(kind)?.restart;
    if (restart === undefined) throw new Error(`${kind} cannot be restarted here`);
    const load = this.#loadOf();
    this.#load = load;
    load.start();
    await load.untilWell(WELL_WITHIN_MS);
    await sleep(BEFORE_MS);
    const began = performance.now();
    await restart(outage);
    const awayMs = performance.now() - began;
    const wellMs = await load.untilWell(WELL_WITHIN_MS);
    await load.stop();
    this.#acknowledged.push(...load.acknowledged);
    const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
    process.stderr.write(
      `${kind} ${outage.signal ?? 'SIGTERM'}, away ${seconds(awayMs)}, well ${seconds(wellMs)} later | ${load.summary()}\n`,
    );
    expect(load.wrong).toEqual([]);
    // Nobody had to start anything again.
    expect(this.#pidsNow()).toEqual(this.#pids);
    await this.expectEverywhere(load.acknowledged);
  }

  /** Every format lists these files. */
  async expectEverywhere(files: readonly Distribution[]): Promise<void> {
    const generation = await this.#admin.expectCall(200, 'GET', '/channels/admin/generation?wait=20000');
    expect(generation.json<{ readable: boolean }>().readable).toBe(true);
    const token = await this.#admin.makeToken({ name: `checks ${performance.now()}` });
    const from = { product: this.product, channel: 'admin', token };
    const [conda, simple] = [await condaFormats(from), await simpleFormats(from)];
    const names = (type: string) =>
      files.filter((file) => file.type === type).map(({ basename }) => basename.replace('noarch/', ''));
    for (const [format, listed] of Object.entries(conda)) {
      const known = new Set(listed);
      expect([format, names('conda').filter((name) => !known.has(name))]).toEqual([format, []]);
    }
    for (const format of ['pages html', 'pages json'] as const) {
      const known = new Set(simple[format]);
      expect([format, names('pypi').filter((name) => !known.has(name))]).toEqual([format, []]);
    }
  }

  /** All that was ever acknowledged is there, with its bytes, and nothing secret was written anywhere. */
  async expectSound(): Promise<void> {
    await this.expectEverywhere(this.#acknowledged);
    const { code, stdout, stderr } = await this.product.command(['fsck', '--bytes']);
    expect([code, stdout, stderr]).toEqual([0, expect.stringMatching(/: 0 differences\n$/), '']);
    expect(this.#secrets.toldBy(this.product)).toEqual([]);
  }

  #pidsNow(): readonly (readonly [string, number])[] {
    return this.product.processes.map((name) => [name, this.product.pidOf(name)]);
  }
}
