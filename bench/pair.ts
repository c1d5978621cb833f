import type { Probe } from '@vivarium/testkit/poll';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { findProgram } from '@vivarium/testkit/programs';
import { Bare } from './bare.js';
import { fetchWhole } from './http-client.js';
import type { Options } from './options.js';
import { basicOf, createToken, Publisher } from './publish.js';

/** The product as separate services on real PostgreSQL, NATS, Redis and S3, with two gateways. */
export interface Pair {
  readonly options: Options;
  readonly product: Product;
  readonly publisher: Publisher;
  /** May do everything that the administrator may. */
  readonly token: string;
  /** The servers below, without the product. */
  readonly bare: Bare;
  /** Something that both gateways are asked for: `isServed` sees the status and the body. */
  probes(
    name: string,
    path: string,
    isServed: (status: number, body: Buffer) => boolean,
    fields?: Readonly<Record<string, string>>,
  ): readonly Probe[];
  close(): Promise<void>;
}

/** Undefined if this machine has no NATS. */
export async function openPair(options: Options): Promise<Pair | undefined> {
  if (process.env.TEST_NATS_URL === undefined && findProgram('nats-server') === undefined) return undefined;
  const product = await startProduct({ target: 'services', gateways: 2 });
  try {
    const { api, admin, gateways } = product;
    const token = await createToken(api, basicOf(admin), 'bench-all', null);
    const bare = await Bare.open({ ...product.env, ...product.server('nats')?.env });
    const Host = new URL(product.url).host;
    return {
      ...{ options, product, token, bare },
      publisher: new Publisher(api, admin.login, token),
      probes: (name, path, isServed, fields = {}) =>
        gateways.map((gateway, at) => ({
          name: `${name}, gateway ${at + 1}`,
          ask: async () => {
            const { status, body, headAt } = await fetchWhole(gateway + path, { fields: { Host, ...fields } });
            return { status, isServed: isServed(status, body), headMs: headAt };
          },
        })),
      close: async () => {
        await bare.close();
        await product.stop();
      },
    };
  } catch (error) {
    await product.stop();
    throw error;
  }
}
