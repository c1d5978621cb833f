import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { Publisher } from '../e2e/publisher.js';
import { Secrets } from '../e2e/secrets.js';
import { measure, type Name, prepareNames, ROUTES } from '../e2e/stranger-timing.js';

jest.setTimeout(45 * 60_000);

// Each has a wheel, which is asked for at four addresses: 2,000 of each.
const PACKAGES = 500;
const LIMIT = 6;

let product: Product;
let names: readonly Name[];
let strangerToken: string;

beforeAll(async () => {
  product = await startProduct();
  const admin = await Publisher.admin(product, new Secrets());
  ({ names, strangerToken } = await prepareNames(product, admin, PACKAGES));
});

afterAll(async () => {
  await product?.stop();
});

describe('two thousand hidden and two thousand missing names', () => {
  it.each(Object.keys(ROUTES))('(%s) are told the same, in times that tell nothing', async (route) => {
    for (const [name, headers] of [
      ['nobody', {}],
      ['another user', { Authorization: `token ${strangerToken}` }],
    ] as const) {
      const { z, answers } = await measure(product, names, route, { name, headers });
      expect(answers).toEqual([expect.stringMatching(/^404\n/)]);
      expect(Math.abs(z)).toBeLessThan(LIMIT);
    }
  });
});
