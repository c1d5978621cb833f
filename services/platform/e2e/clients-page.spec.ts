import { writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { jest } from '@jest/globals';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { newHome, removeHome } from '@vivarium/testkit/clients';
import { skipUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { venvBin } from '@vivarium/testkit/programs';
import { clientBlocks, says } from './clients-page.js';
import { Publisher } from './publisher.js';
import { PYTHON_IS_HERE, PYTHON_IS_MISSING } from './python.js';
import { TourShell } from './readme-tour.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

const step = skipUnless(PYTHON_IS_HERE, 'the lines of the page about clients', PYTHON_IS_MISSING);

const secrets = new Secrets();
const blocks = clientBlocks();
let product: Product;
let home: string;
let shell: TourShell;
let tokens: { readonly good: string; readonly wrong: string };

beforeAll(async () => {
  if (!PYTHON_IS_HERE) return;
  product = await startProduct();
  home = await newHome();
  const alice = await (await Publisher.admin(product, secrets)).makeUser('alice');
  // One of them was good once.
  tokens = { good: await alice.makeToken({ name: 'page' }), wrong: await alice.makeToken({ name: 'revoked' }) };
  await alice.removeToken('revoked');
  const files = [
    aCondaPackage({ name: 'demo', version: '1.0' }),
    aCondaPackage({ name: 'other', version: '1.0' }),
    aWheel({ name: 'my-demo', version: '1.0' }),
  ];
  for (const { filename, bytes } of files) writeFileSync(join(home, filename), bytes);
  const path = [dirname(venvBin('python') ?? ''), process.env.PATH ?? ''].join(delimiter);
  shell = new TourShell(home, { PATH: path, HOST: product.url, CHANNEL: 'alice', PIP_FIND_LINKS: '' });
});

afterAll(async () => {
  await product?.stop();
  if (home !== undefined) await removeHome(home);
});

describe('the page about clients', () => {
  it('has lines that work and lines that are refused for every client that is installed here', () => {
    for (const section of ['rattler-build', 'anaconda', 'pip', 'uv', 'poetry', 'twine', 'curl, netrc']) {
      const of = blocks.filter((block) => block.section === section);
      expect([section, of.map(({ refusal }) => refusal === undefined)]).toEqual([
        section,
        expect.arrayContaining([true, false]),
      ]);
    }
  });

  it('is quoted with anything for dots, and not with something for anything', () => {
    expect(says('a  401 from\n http://h/x it is', '401 from …/x it')).toBe(true);
    expect(says('401 from http://h/y', '401 from …/x')).toBe(false);
  });

  step.each(
    blocks.map((block, at) => ({
      name: `${at + 1}: ${block.section} ${block.refusal === undefined ? 'works' : 'says what is quoted when it is refused'}`,
      block,
    })),
  )('$name', async ({ block }) => {
    const said: string[] = [];
    let failed = 0;
    await shell.run(`TOKEN=${block.refusal === undefined ? tokens.good : tokens.wrong}`);
    for (const command of block.commands) {
      const ran = await shell.run(command);
      said.push(`$ ${command}\n${ran.stdout}${ran.stderr}`);
      if (ran.code === 0) continue;
      failed++;
      if (block.refusal === undefined) throw new Error(`ended with ${ran.code}:\n${said.join('\n')}`);
    }
    if (block.refusal === undefined) return;
    if (!says(said.join('\n'), block.refusal))
      throw new Error(`does not say ${block.refusal}, but:\n${said.join('\n')}`);
    // curl tells what it got, and ends well.
    expect(failed > 0 || block.commands.every((command) => command.startsWith('curl'))).toBe(true);
  });

  step('leaves no secret in what the product wrote', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
