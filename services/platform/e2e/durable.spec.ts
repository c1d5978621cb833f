import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import { condaPackage, wheel } from './distributions.js';
import { condaFormats, simpleFormats } from './formats.js';
import { type Distribution, Publisher, UploadRefused } from './publisher.js';
import { install } from './rattler.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

const secrets = new Secrets();
let product: Product;
let admin: Publisher;

beforeAll(async () => {
  product = await startProduct();
  admin = await Publisher.admin(product, secrets);
});

afterAll(async () => {
  await product?.stop();
});

/** Twenty files, of which some share a package. */
function twenty(prefix: string): readonly Distribution[] {
  return Array.from({ length: 20 }, (_, at) => {
    const [name, version] = [`${prefix}-${at % 7}`, `1.${at}`];
    return at % 2 === 0 ? condaPackage({ name, version }) : wheel({ name: `py-${name}`, version });
  });
}

/** Every format lists all of these files. */
async function expectEverywhere(files: readonly Distribution[]): Promise<void> {
  const [conda, simple] = [
    await condaFormats({ product, channel: 'admin' }),
    await simpleFormats({ product, channel: 'admin' }),
  ];
  const names = (type: string) =>
    files.filter((file) => file.type === type).map(({ basename }) => basename.replace('noarch/', ''));
  for (const [format, listed] of Object.entries(conda)) {
    expect([format, names('conda').filter((name) => !listed.includes(name))]).toEqual([format, []]);
  }
  for (const format of ['pages html', 'pages json'] as const) {
    expect([format, names('pypi').filter((name) => !simple[format].includes(name))]).toEqual([format, []]);
  }
}

it('has twenty files that were uploaded at once in every format at their answers', async () => {
  const files = twenty('parallel');
  await Promise.all(files.map((file) => admin.upload(file)));
  await expectEverywhere(files);
});

it('has twenty files of one new package that were uploaded at once', async () => {
  const files = Array.from({ length: 20 }, (_, at) =>
    condaPackage({ name: 'crowd', version: '1.0', build: `b_${at}` }),
  );
  await Promise.all(files.map((file) => admin.upload(file)));
  await expectEverywhere(files);
});

it('takes one of twenty different files of one name, and gives 409 to the others', async () => {
  const files = Array.from({ length: 20 }, (_, at) =>
    condaPackage({ name: 'fight', version: '1.0', about: { summary: `try ${at}` } }),
  );
  const ends = await Promise.allSettled(files.map((file) => admin.upload(file)));
  const refused = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  expect(refused.map((reason) => (reason instanceof UploadRefused ? reason.status : String(reason)))).toEqual(
    Array(19).fill(409),
  );
  expect(
    (await condaFormats({ product, channel: 'admin' })).json.filter((name) => name.startsWith('fight')),
  ).toHaveLength(1);
});

const KILLED =
  productTarget() === 'all'
    ? ['all', 'all', 'all']
    : ['packages', 'conda-index', 'pypi-index', 'gateway', 'identity', 'authz'];

it.each(KILLED.map((name, round) => [name, round] as const))(
  'keeps all that it acknowledged when %s is killed in the middle of uploads (%i)',
  async (name, round) => {
    const files = twenty(`killed-${round}`);
    const acknowledged: Distribution[] = [];
    const { promise: someAcknowledged, resolve } = Promise.withResolvers<void>();
    const enough = randomInt(1, 15);
    const uploads = files.map((file) =>
      admin.upload(file).then(
        () => acknowledged.push(file) === enough && resolve(),
        () => undefined,
      ),
    );
    await someAcknowledged;
    await sleep(randomInt(0, 50));
    await product.end(name, 'SIGKILL');
    await product.start(name);
    // A request whose answer died with the process is waited for until its deadline; a person would not.
    await Promise.race([Promise.all(uploads), sleep(5_000)]);
    await untilIndexed();
    await expectEverywhere(acknowledged);
    // What was not acknowledged is wholly there or wholly not, and can be uploaded as if nothing had been.
    for (const file of files.filter((each) => !acknowledged.includes(each))) await uploadUnlessThere(file);
    await expectEverywhere(files);
  },
);

/** An upload whose index is pending at its answer says so; this waits for it. */
async function untilIndexed(): Promise<void> {
  const { json } = await admin.expectCall(200, 'GET', '/channels/admin/generation?wait=20000');
  expect(json<{ readable: boolean }>().readable).toBe(true);
}

/** `anaconda upload --skip-existing`. */
async function uploadUnlessThere(file: Distribution): Promise<void> {
  const path = `/dist/admin/${file.name}/${file.version}/${file.basename}`;
  if ((await admin.call('GET', path)).status !== 200) await admin.upload(file);
}

it('names no file in an index whose bytes are not there', async () => {
  const names = (await condaFormats({ product, channel: 'admin' })).json.filter((name) => name.startsWith('killed-'));
  const specs = [...new Set(names.map((name) => name.replace(/-1\.\d+-0\.conda$/, '')))];
  expect(await install(specs, `${product.conda}/admin`)).toHaveLength(specs.length);
});

it('finds everything again after a stop and a start', async () => {
  const before = [
    await condaFormats({ product, channel: 'admin' }),
    await simpleFormats({ product, channel: 'admin' }),
  ];
  await product.restart();
  expect([
    await condaFormats({ product, channel: 'admin' }),
    await simpleFormats({ product, channel: 'admin' }),
  ]).toEqual(before);
  expect((await admin.call('GET', '/user')).json<{ login: string }>().login).toBe('admin');
  await expect(Publisher.admin(product, secrets)).resolves.toBeDefined();
});

it('ends within three seconds of Ctrl-C, with 0', async () => {
  const started = performance.now();
  const exits = await product.end(undefined, 'SIGINT');
  const tookMs = performance.now() - started;
  expect(exits.map(({ name, code, signal }) => [name, code, signal])).toEqual(
    product.processes.map((name) => [name, 0, null]),
  );
  expect(tookMs).toBeLessThan(3_000);
});

it('tells none of the secrets in its output', () => {
  expect(secrets.toldBy(product)).toEqual([]);
});
