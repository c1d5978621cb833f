import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import type { StepName } from '@vivarium/boot/step';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, condaFormats, HTML, shardsOf, simpleBase, simpleFormats } from './formats.js';
import { Halts, haltsIn, untilHalted } from './halts.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { type Published, shownIn } from './showing.js';

jest.setTimeout(240_000);

const secrets = new Secrets();
const halts = new Halts();
let product: Product;
let alice: Publisher;
let stranger: Publisher;

beforeAll(async () => {
  product = await startProduct({ env: halts.env });
  const admin = await Publisher.admin(product, secrets);
  alice = await admin.makeUser('alice');
  stranger = new Publisher(product, secrets, 'nobody');
  await alice.expectCall(201, 'POST', '/organizations', { login: 'acme' });
});

afterAll(async () => {
  halts.nowhere();
  await product?.stop();
  halts.end();
});

const move = (name: string, from: string, to: string) =>
  alice.call('POST', `/package/${from}/${name}/transfer`, { to });

async function moved(name: string, from: string, to: string): Promise<void> {
  const answered = await alice.expectCall(200, 'POST', `/package/${from}/${name}/transfer`, { to });
  expect(answered.json()).toMatchObject({ full_name: `${to}/${name}`, index: 'ready' });
}

const places = (channel: string, files: readonly Published[]) =>
  Promise.all(files.map((file) => shownIn({ product, channel }, file)));

/** What an answer tells, with the name of what was asked for blotted out. */
const toldOf = ({ status, bytes, told }: Answered, name: string) => [
  status,
  bytes.toString('latin1').replaceAll(name, '*'),
  told.map((each) => each.replaceAll(name, '*').replace(/^(content-length|traceparent|x-request-id):.*/i, '$1')),
];

/** Asks again and again until `stop` is called, which gives what was heard. */
function listen<T>(look: () => Promise<T>): { stop(): Promise<readonly T[]> } {
  const heard: T[] = [];
  let isOver = false;
  const listening = (async () => {
    while (!isOver) heard.push(await look());
  })();
  return {
    stop: async () => {
      isOver = true;
      await listening;
      return heard;
    },
  };
}

describe('a public package', () => {
  const files = [condaPackage({ name: 'lantern', version: '1.0' }), wheel({ name: 'lantern', version: '1.0' })];

  beforeAll(async () => {
    for (const file of files) await alice.upload(file, { labels: ['main', 'rc'] });
  });

  it('is at its new address and nowhere at the old one when the transfer is answered, each time', async () => {
    const sees = async (channel: string) => {
      const { status, bytes } = await ask(`${condaBase({ product, channel })}/noarch/repodata.json`);
      // An index that would still name it is not sent: "try again" is.
      return status === 503 ? 'later' : `${status} ${bytes.includes('lantern-1.0')}`;
    };
    const reader = listen(async () => [await sees('alice'), await sees('acme')]);
    for (const [from, to] of [
      ['alice', 'acme'],
      ['acme', 'alice'],
      ['alice', 'acme'],
    ] as const) {
      await moved('lantern', from, to);
      expect([await places(from, files), await places(to, files)]).toEqual([
        ['nowhere', 'nowhere'],
        ['everywhere', 'everywhere'],
      ]);
    }
    const heard = await reader.stop();
    expect(heard.length).toBeGreaterThan(3);
    for (const each of heard) for (const said of each) expect(said).toMatch(/^(?:later|200 true|200 false)$/);
    const { files: held } = (await stranger.expectCall(200, 'GET', '/package/acme/lantern')).json<{
      files: { labels: string[]; owner: string }[];
    }>();
    expect(held).toMatchObject([
      { labels: ['main', 'rc'], owner: 'acme' },
      { labels: ['main', 'rc'], owner: 'acme' },
    ]);
  });

  it('answers at every old address as one that never was, old shards included', async () => {
    const lamp = condaPackage({ name: 'lamp', version: '1.0' });
    await alice.upload(lamp);
    const shard = (await shardsOf(`${condaBase({ product, channel: 'alice' })}/noarch`)).get('lamp') ?? '';
    await alice.upload(condaPackage({ name: 'lamp', version: '2.0' }));
    // Replaced by the second upload, and kept for those who still ask for it.
    expect((await ask(shard)).status).toBe(200);
    await moved('lamp', 'alice', 'acme');
    const base = `${condaBase({ product, channel: 'alice' })}/noarch`;
    const absent = 'pmal';
    for (const [path, other] of [
      [`${base}/lamp-1.0-0.conda`, `${base}/${absent}-1.0-0.conda`],
      [`${product.api}/package/alice/lamp`, `${product.api}/package/alice/${absent}`],
      [
        `${product.api}/download/alice/lamp/1.0/noarch/lamp-1.0-0.conda`,
        `${product.api}/download/alice/${absent}/1.0/noarch/${absent}-1.0-0.conda`,
      ],
      [`${product.url}/alice/lamp`, `${product.url}/alice/${absent}`],
      [shard, shard.replace(/[0-9a-f]{64}/, 'f'.repeat(64))],
    ] as const) {
      const [old, never] = [await ask(path), await ask(other)];
      expect([path, old.status]).toEqual([path, 404]);
      expect(toldOf(old, 'lamp')).toEqual(toldOf(never, absent));
    }
    expect((await move('lamp', 'alice', 'acme')).status).toBe(404);
  });
});

describe('a private package', () => {
  const files = [condaPackage({ name: 'secretary', version: '1.0' }), wheel({ name: 'secretary', version: '1.0' })];

  it('is never seen by a stranger, whose indexes of both channels do not change by one byte', async () => {
    const token = await alice.makeToken({ name: 'reading', scopes: ['repos'] });
    for (const file of files) await alice.upload(file, { isPrivate: true });
    const look = async () => {
      const seen: string[] = [];
      for (const channel of ['alice', 'acme']) {
        const conda = await ask(`${condaBase({ product, channel })}/noarch/repodata.json`);
        const simple = await ask(`${simpleBase({ product, channel })}/`, { headers: { Accept: HTML } });
        for (const { status, headers, bytes } of [conda, simple]) {
          if (status !== 503) seen.push(`${status} ${headers.etag} ${bytes.toString('base64')}`);
        }
      }
      return seen;
    };
    const before = new Set(await look());
    const reader = listen(look);
    for (const [from, to] of [
      ['alice', 'acme'],
      ['acme', 'alice'],
      ['alice', 'acme'],
    ] as const) {
      await moved('secretary', from, to);
      const named = async (channel: string) => {
        const conda = await condaFormats({ product, channel, token });
        const simple = await simpleFormats({ product, channel, token });
        return [...Object.values(conda), ...Object.values(simple)].map((names) =>
          names.some((name) => name.includes('secretary')),
        );
      };
      expect([await named(from), await named(to)]).toEqual([Array(8).fill(false), Array(8).fill(true)]);
      for (const channel of [from, to]) {
        expect((await stranger.call('GET', `/package/${channel}/secretary`)).status).toBe(404);
      }
    }
    for (const each of (await reader.stop()).flat()) expect(before).toContain(each);
  });
});

describe.each(['transfer-before-commit', 'transfer-after-commit'] as const)('killed at %s', (step) => {
  const name = step.replace('transfer', 'killed');
  const files = [condaPackage({ name, version: '1.0' })];

  it('leaves the package whole in one of the two channels', async () => {
    for (const file of files) await alice.upload(file);
    await killedAt(step, () => move(name, 'alice', 'acme'));
    const isCommitted = step === 'transfer-after-commit';
    const expected = isCommitted ? ['nowhere', 'everywhere'] : ['everywhere', 'nowhere'];
    const where = async () => [...(await places('alice', files)), ...(await places('acme', files))];
    await until(where, expected);
    // What was not done is done by asking again; what was done is not there any more.
    expect((await move(name, 'alice', 'acme')).status).toBe(isCommitted ? 404 : 200);
    await until(where, ['nowhere', 'everywhere']);
  });
});

it('of twenty who make one package at once each is told that it is there', async () => {
  const body = { public: true, publish: false, public_attrs: { summary: 's' } };
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => alice.call('POST', '/package/acme/many-makers', body)),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
  expect(new Set(answers.map((each) => each.json<{ id: string }>().id)).size).toBe(1);
});

it('leaves nothing for fsck to find', async () => {
  const { code, stdout } = await product.command(['fsck', '--bytes']);
  expect([code, stdout]).toEqual([0, expect.stringContaining(': 0 differences')]);
});

async function killedAt(step: StepName, act: () => Promise<unknown>): Promise<void> {
  const before = haltsIn(product.logs(), step);
  halts.at(step);
  const acting = act().catch(() => undefined);
  await untilHalted(step, 1, () => haltsIn(product.logs(), step) - before);
  // With the one that owes an answer, who waits for it.
  for (const name of product.target === 'all' ? ['all'] : ['gateway', 'packages']) await product.end(name, 'SIGKILL');
  halts.nowhere();
  await product.start();
  await acting;
}

/** Resolves when `look` gives what is expected; fails with what it gives after a minute. */
async function until<T>(look: () => Promise<T>, expected: T): Promise<void> {
  const end = performance.now() + 60_000;
  for (;;) {
    const seen = await look().catch((error: unknown) => String(error));
    if (JSON.stringify(seen) === JSON.stringify(expected)) return;
    if (performance.now() > end) {
      expect(seen).toEqual(expected);
      return;
    }
    await sleep(100);
  }
}
