import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { askForNames, compare, hideNames, lineOf, type Name, ROUTES } from './stranger-timing.js';

jest.setTimeout(180_000);

const NAMES = 500;

const secrets = new Secrets();
let product: Product;
let names: readonly Name[];
let bobToken: string;

// An insider looks at everything first, so that whatever is remembered of it is remembered when the stranger comes.
beforeAll(async () => {
  product = await startProduct();
  const admin = await Publisher.admin(product, secrets);
  const [alice, bob] = [await admin.makeUser('alice'), await admin.makeUser('bob')];
  const token = await alice.makeToken({ name: 'insider' });
  bobToken = await bob.makeToken({ name: 'stranger' });
  names = await hideNames(product, alice, token, NAMES);
  for (const name of names.filter(({ isHidden }) => isHidden)) {
    for (const address of Object.values(ROUTES).flatMap((addressesOf) => addressesOf('alice', name))) {
      const { status } = await ask(product.url, {
        rawPath: address,
        headers: { Authorization: `token ${token}` },
      });
      if (status !== 200) throw new Error(`${address} answered its owner ${status}`);
    }
  }
});

afterAll(async () => {
  await product?.stop();
});

describe('a name that a stranger asks for once', () => {
  it.each(Object.keys(ROUTES))(
    '(%s) is told the same, hidden or missing, in times that tell nothing',
    async (route) => {
      for (const [caller, headers] of [
        ['nobody', {}],
        ['another user', { Authorization: `token ${bobToken}` }],
      ] as const) {
        const asked = await askForNames(product, 'alice', names, route, headers);
        process.stdout.write(`${lineOf(route, caller, asked)}\n`);
        expect(asked.hidden.length).toBeGreaterThanOrEqual(NAMES / 2);
        expect(asked.missing.length).toBe(asked.hidden.length);
        expect([...asked.answers]).toEqual([expect.stringMatching(/^404\n/)]);
      }
    },
  );
});

describe('the statistic', () => {
  const draw = (shift: number) => Array.from({ length: 500 }, () => Math.random() ** 3 * 1_000 + shift);

  it('tells apart what is apart by a hundredth, and nothing else', () => {
    expect(Math.abs(compare(draw(0), draw(0)).z)).toBeLessThan(5);
    expect(compare(draw(60), draw(0)).z).toBeGreaterThan(5);
    expect(compare(draw(0), draw(60)).z).toBeLessThan(-5);
    expect(compare([1, 1, 1], [1, 1, 1]).share).toBe(0.5);
    expect(compare([3, 4], [1, 2])).toMatchObject({ share: 1, medians: [4, 2] });
  });
});
