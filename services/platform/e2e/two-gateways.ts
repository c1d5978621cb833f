import { setTimeout as sleep } from 'node:timers/promises';
import { Poll } from '@vivarium/testkit/poll';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ProductProcess } from '@vivarium/testkit/product-process';
import { findProgram, freePort } from '@vivarium/testkit/programs';
import { Watchdog } from '@vivarium/testkit/watchdog';
import { type Answered, ask } from './ask.js';
import { NatsProxy } from './nats-proxy.js';

/** True if this machine has what separate services and two gateways need. */
export const hasNats = process.env.TEST_NATS_URL !== undefined || findProgram('nats-server') !== undefined;

/**
 * The product as separate services, with a second gateway that reaches NATS through a proxy. Changes are made through the
 * first gateway, `product.url`; the second is where they must hold.
 */
export class TwoGateways {
  readonly product: Product;
  readonly proxy: NatsProxy;
  readonly second: ProductProcess;
  readonly #watchdog: Watchdog;
  readonly #polls: Poll[] = [];

  private constructor(product: Product, proxy: NatsProxy, second: ProductProcess, watchdog: Watchdog) {
    this.product = product;
    this.proxy = proxy;
    this.second = second;
    this.#watchdog = watchdog;
  }

  static async start(): Promise<TwoGateways> {
    const product = await startProduct({ target: 'services', gateways: 1 });
    const proxy = await NatsProxy.open(product.env.NATS_URL ?? '');
    const port = await freePort();
    const env = { ...product.env, PORT: String(port), NATS_URL: proxy.url, METRICS_PORT: '0' };
    const watchdog = new Watchdog();
    const { host } = new URL(product.url);
    const second = new ProductProcess({ name: 'second gateway', parameters: ['gateway'], env, port, host }, watchdog);
    second.start();
    await second.untilReady();
    return new TwoGateways(product, proxy, second, watchdog);
  }

  async stop(): Promise<void> {
    this.proxy.mend();
    // Those too that a test which failed left running.
    for (const poll of this.#polls) await poll.stop();
    await this.second.end();
    await this.#watchdog.release();
    await this.proxy.close();
    await this.product.stop();
  }

  /** One request to the second gateway. */
  askSecond(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    return ask(`http://127.0.0.1:${this.second.plan.port}${path}`, {
      headers: { Host: this.second.plan.host, ...headers },
    });
  }

  askFirst(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    return ask(this.product.url + path, { headers });
  }

  /** Asks the second gateway for these without a pause, until `stop` gives what was answered. */
  poll(paths: readonly string[]): Poll {
    const poll = new Poll(
      paths.map((path) => ({
        name: path,
        ask: async () => {
          const { status, headMs } = await this.askSecond(path);
          return { status, isServed: status === 200, headMs };
        },
      })),
    );
    this.#polls.push(poll);
    return poll;
  }

  /** Resolves when the second gateway answers the path with the status. Throws an Error after `withinMs`. */
  async untilSecond(path: string, status: number, withinMs = 15_000): Promise<void> {
    const end = performance.now() + withinMs;
    for (;;) {
      const last = await this.askSecond(path);
      if (last.status === status) return;
      if (performance.now() > end) throw new Error(`${path} is ${last.status} after ${withinMs} ms: ${last.text()}`);
      await sleep(50);
    }
  }
}
