import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { compare, measure, type Name, prepareNames } from './stranger-timing.js';

jest.setTimeout(180_000);

// Each has a wheel, which is asked for at four addresses: 500 of each.
const PACKAGES = 125;
// The order is random, so that a figure above this comes by chance once in a thousand million runs.
const LIMIT = 6;

const secrets = new Secrets();
let product: Product;
let names: readonly Name[];
let strangerToken: string;

beforeAll(async () => {
  // Nothing that makes the times of answers more uneven than they are.
  product = await startProduct({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: undefined } });
  const admin = await Publisher.admin(product, secrets);
  ({ names, strangerToken } = await prepareNames(product, admin, PACKAGES));
});

afterAll(async () => {
  await product?.stop();
});

describe('a name that a stranger asks for once', () => {
  it.each([
    ['a page of Python', 'nobody'],
    ['a wheel', 'nobody'],
    ['a wheel', 'another user'],
    ['a package of the API', 'nobody'],
    ['a package of the API', 'another user'],
    ['a web page', 'nobody'],
  ])('(%s, to %s) is told the same, hidden or missing, in times that tell nothing', async (route, name) => {
    const headers: Record<string, string> = name === 'nobody' ? {} : { Authorization: `token ${strangerToken}` };
    const { z, count, answers } = await measure(product, names, route, { name, headers });
    expect(count).toBe(route === 'a wheel' ? 4 * PACKAGES : route === 'a page of Python' ? 2 * PACKAGES : PACKAGES);
    expect(answers).toEqual([expect.stringMatching(/^404\n/)]);
    expect(Math.abs(z)).toBeLessThan(LIMIT);
  });
});

describe('the statistic', () => {
  const sample = (shift: number) => Array.from({ length: 500 }, (_, at) => (at / 500) ** 3 * 1_000 + shift);

  it('tells apart what is apart, and nothing else', () => {
    expect(compare(sample(0), sample(0))).toMatchObject({ z: 0, share: 0.5 });
    expect(compare(sample(100), sample(0)).z).toBeGreaterThan(LIMIT);
    expect(compare(sample(0), sample(100)).z).toBeLessThan(-LIMIT);
    expect(compare([3, 4], [1, 2])).toMatchObject({ share: 1, medians: [4, 2] });
  });
});
