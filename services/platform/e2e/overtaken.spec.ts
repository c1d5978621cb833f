import { jest } from '@jest/globals';
import type { StepName } from '@vivarium/boot/step';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import { ProductProcess } from '@vivarium/testkit/product-process';
import { freePort } from '@vivarium/testkit/programs';
import { Watchdog } from '@vivarium/testkit/watchdog';
import { condaPackage, wheel } from './distributions.js';
import { Halts, haltsIn, untilHalted } from './halts.js';
import { GrowingReader } from './only-growing.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { type Published, shownIn } from './showing.js';

jest.setTimeout(240_000);

const INDEXERS = ['conda-index', 'pypi-index'] as const;
const CHANNELS = ['snakes', 'wheels'] as const;

const suite = skipSuiteUnless(
  productTarget() === 'services',
  'an indexer that another one overtakes',
  'it needs separate services (npm run e2e:services)',
);

suite('an indexer that is overtaken before it moves the heads', () => {
  const secrets = new Secrets();
  const halts = new Halts();
  const watchdog = new Watchdog();
  let product: Product;
  let publishers: Readonly<Record<(typeof CHANNELS)[number], Publisher>>;
  let second: readonly ProductProcess[] = [];
  let readers: readonly GrowingReader[] = [];

  beforeAll(async () => {
    product = await startProduct();
    const admin = await Publisher.admin(product, secrets);
    publishers = { snakes: await admin.makeUser('snakes'), wheels: await admin.makeUser('wheels') };
    for (const name of INDEXERS) await product.restart(name, 'SIGTERM', halts.env);
    second = await Promise.all(INDEXERS.map(planSecond));
  });

  afterEach(async () => {
    halts.nowhere();
    for (const name of INDEXERS) signal(name, 'SIGCONT');
    for (const reader of readers) await reader.stop();
    for (const each of second) await each.end();
  });

  afterAll(async () => {
    await watchdog.release();
    await product?.stop();
    halts.end();
  });

  async function planSecond(role: string): Promise<ProductProcess> {
    const port = await freePort();
    const env = { ...product.env, PORT: String(port), NATS_URL: product.natsUrl(role), METRICS_PORT: '0' };
    const { host } = new URL(product.url);
    return new ProductProcess({ name: `second ${role}`, parameters: [role], env, port, host }, watchdog);
  }

  function signal(name: string, kind: NodeJS.Signals): void {
    process.kill(product.pidOf(name), kind);
  }

  /** A file for each channel, of which only the last request is still to come. */
  async function prepared(name: string): Promise<readonly Prepared[]> {
    const files = { snakes: condaPackage({ name, version: '1.0' }), wheels: wheel({ name, version: '1.0' }) };
    return Promise.all(
      CHANNELS.map(async (channel) => {
        const [publisher, file] = [publishers[channel], files[channel]];
        await publisher.register(file);
        const ticket = await publisher.stage(file);
        await publisher.send(ticket, file);
        return { channel, file, commit: () => publisher.commit(file, ticket) };
      }),
    );
  }

  const commit = (files: readonly Prepared[]) => Promise.all(files.map((each) => each.commit()));

  async function untilIndexed(): Promise<void> {
    for (const channel of CHANNELS) {
      const path = `/channels/${channel}/generation?wait=20000`;
      let isReadable = false;
      // What a stopped indexer holds in a transaction is let go by the database after half a minute.
      for (let tries = 0; tries < 5 && !isReadable; tries++) {
        const answered = await publishers[channel].call('GET', path);
        isReadable = answered.status === 200 && answered.json<{ readable: boolean }>().readable;
      }
      expect([channel, isReadable]).toEqual([channel, true]);
    }
  }

  /** Asks again, as clients do: a request that reaches an indexer which stands still is answered with 503. */
  async function expectEverywhere(files: readonly Prepared[]): Promise<void> {
    const shown = ({ channel, file }: Prepared) => shownIn({ product, channel }, file).catch(String);
    for (const each of files) {
      const end = performance.now() + 60_000;
      let last = await shown(each);
      while (last !== 'everywhere' && performance.now() < end) last = await shown(each);
      expect([each.channel, each.file.basename, last]).toEqual([each.channel, each.file.basename, 'everywhere']);
    }
  }

  // Before anything of a fold is put, when all of it is, and in the transaction itself, which the database then ends.
  it.each<StepName>(['objects-before', 'objects-after', 'swap-before-commit'])(
    'loses its move when it was stopped at %s, and nobody sees an index of another time',
    async (step) => {
      const base = await prepared(`base-${step}`);
      await commit(base);
      const [slow, overtaking, last] = [
        await prepared(`slow-${step}`),
        await prepared(`overtaking-${step}`),
        await prepared(`last-${step}`),
      ];
      await untilIndexed();
      readers = [new GrowingReader(product, 'snakes', 'conda'), new GrowingReader(product, 'wheels', 'pypi')];

      // A change of a channel moves both of its indexes.
      const places = CHANNELS.length * INDEXERS.length;
      const before = haltsIn(product.logs(), step);
      halts.at(step);
      const committing = [commit(slow)];
      await untilHalted(step, places, () => haltsIn(product.logs(), step) - before);
      for (const name of INDEXERS) signal(name, 'SIGSTOP');
      halts.nowhere();
      committing.push(commit(overtaking));
      await Promise.all(committing);

      for (const each of second) each.start();
      await Promise.all(second.map((each) => each.untilReady()));
      await untilIndexed();
      await expectEverywhere([...base, ...slow, ...overtaking]);

      // Those that were overtaken go on, alone; the first heads that they move are those of what comes now.
      const moves = haltsIn(product.logs(), 'swap-after-commit');
      halts.at('swap-after-commit');
      for (const each of second) await each.end();
      for (const name of INDEXERS) signal(name, 'SIGCONT');
      const committingLast = commit(last).catch(() => 'the gateway was killed');
      await untilHalted('swap-after-commit', places, () => haltsIn(product.logs(), 'swap-after-commit') - moves);
      for (const reader of readers) await reader.untilRead(5);
      expect(await Promise.all(readers.map((reader) => reader.stop()))).toEqual([[], []]);
      // A gateway that remembers no newer heads than there are.
      await product.restart('gateway', 'SIGKILL');
      await expectEverywhere([...base, ...slow, ...overtaking]);

      halts.nowhere();
      await committingLast;
      await untilIndexed();
      await expectEverywhere([...base, ...slow, ...overtaking, ...last]);
    },
  );

  it('leaves objects that do no harm, and that a sweep takes', async () => {
    const check = async () => {
      const { code, stdout } = await product.command(['fsck', '--bytes']);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/: 0 differences\n$/)]);
    };
    await check();
    expect(await product.command(['sweep', '--grace', '0'])).toMatchObject({ code: 0, stderr: '' });
    await check();
    const reader = new GrowingReader(product, 'snakes', 'conda');
    readers = [reader];
    await reader.untilRead(1);
    expect(await reader.stop()).toEqual([]);
  });
});

interface Prepared {
  readonly channel: string;
  readonly file: Published;
  readonly commit: () => Promise<unknown>;
}
