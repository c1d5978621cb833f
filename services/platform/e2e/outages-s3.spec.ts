import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import { findProgram } from '@vivarium/testkit/programs';
import { ask } from './ask.js';
import { condaPackage } from './distributions.js';
import { condaFormats } from './formats.js';
import { Publisher, UploadRefused } from './publisher.js';
import { type S3Mood, S3Proxy } from './s3-proxy.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

const KEPT = condaPackage({ name: 'kept', version: '1.0' });
// Too large to be kept in memory: each download asks the store.
const LARGE = condaPackage({ name: 'large', version: '1.0', sizeBytes: 600_000 });

const suite = skipSuiteUnless(
  productTarget() === 'services' &&
    (process.env.TEST_S3_ENDPOINT !== undefined || findProgram('versitygw') !== undefined),
  'a full, slow and silent S3',
  'it needs versitygw and separate services (npm run e2e:services)',
);

suite('an S3 that has a bad day', () => {
  const secrets = new Secrets();
  let proxy: S3Proxy;
  let product: Product;
  let admin: Publisher;

  beforeAll(async () => {
    product = await startProduct({
      target: 'services',
      between: async ({ S3_ENDPOINT = '' }) => {
        proxy = await S3Proxy.open(S3_ENDPOINT);
        return { S3_ENDPOINT: proxy.url };
      },
    });
    admin = await Publisher.admin(product, secrets);
    for (const file of [KEPT, LARGE]) await admin.upload(file);
    await condaFormats({ product, channel: 'admin' });
  });
  afterAll(async () => {
    await product?.stop();
    await proxy?.close();
  });

  const FULL: readonly (readonly [string, S3Mood, RegExp])[] = [
    [
      'full, as 507',
      { kind: 'refusing', status: 507, code: 'InsufficientStorage' },
      /The blob store is full: free space/,
    ],
    [
      'full, as a quota',
      { kind: 'refusing', status: 403, code: 'QuotaExceeded' },
      /The blob store is full: free space/,
    ],
    ['overrun', { kind: 'refusing', status: 503, code: 'SlowDown' }, /too much to do: try again/],
  ];

  it.each(FULL)('%s: an upload is refused in a sentence, and taken afterwards', async (_, mood, sentence) => {
    const file = condaPackage({ name: `refused-${FULL.findIndex(([, each]) => each === mood)}`, version: '1.0' });
    const refusal = await inMood(mood, () => refusalOf(admin.upload(file)));
    expect([refusal.status, refusal.text, refusal.retryAfter]).toEqual([
      503,
      expect.stringMatching(sentence),
      expect.stringMatching(/^\d+$/),
    ]);
    expect((await condaFormats({ product, channel: 'admin' })).json).not.toContain(
      file.basename.replace('noarch/', ''),
    );
    await admin.upload(file);
    expect((await condaFormats({ product, channel: 'admin' })).json).toContain(file.basename.replace('noarch/', ''));
  });

  it('slow: uploads take their time, and what needs no store does not wait for it', async () => {
    const file = condaPackage({ name: 'slowly', version: '1.0' });
    await inMood({ kind: 'slow', delayMs: 1_500 }, async () => {
      const uploaded = admin.upload(file);
      await expectOthersServed(uploaded);
      await uploaded;
    });
    expect((await condaFormats({ product, channel: 'admin' })).json).toContain(file.basename.replace('noarch/', ''));
  });

  it('silent: what needs the store is refused within a minute, and nothing else is', async () => {
    const file = condaPackage({ name: 'unheard', version: '1.0' });
    await inMood({ kind: 'silent' }, async () => {
      const began = performance.now();
      const refused = refusalOf(admin.upload(file)).then((refusal) => ({
        refusal,
        afterMs: performance.now() - began,
      }));
      const read = ask(`${product.conda}/admin/${LARGE.basename}`).then((answered) => ({
        answered,
        afterMs: performance.now() - began,
      }));
      await expectOthersServed(Promise.all([refused, read]));
      const { refusal, afterMs } = await refused;
      const { answered, afterMs: readAfterMs } = await read;
      process.stderr.write(
        `a silent S3: a download ${Math.round(readAfterMs)} ms, an upload ${Math.round(afterMs)} ms\n`,
      );
      expect([refusal.status, answered.status]).toEqual([503, 503]);
      expect(answered.text()).toMatch(/The blob store does not answer in time/);
      expect(answered.headers['retry-after']).toMatch(/^\d+$/);
    });
    const download = await ask(`${product.conda}/admin/${LARGE.basename}`);
    expect([download.status, download.bytes.equals(LARGE.bytes)]).toEqual([200, true]);
    await admin.upload(file);
    expect((await condaFormats({ product, channel: 'admin' })).json).toContain(file.basename.replace('noarch/', ''));
    const { code, stdout } = await product.command(['fsck', '--bytes']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/: 0 differences\n$/)]);
  });

  async function inMood<T>(mood: S3Mood, work: () => Promise<T>): Promise<T> {
    proxy.mood = mood;
    try {
      return await work();
    } finally {
      proxy.mood = { kind: 'well' };
    }
  }

  /** While something waits for the store: indexes that are known, small files, and the API. */
  async function expectOthersServed(waiting: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    waiting.then(over, over);
    let slowestMs = 0;
    let asked = 0;
    while (!isOver) {
      const began = performance.now();
      const answers = [
        await ask(`${product.conda}/admin/noarch/repodata.json.zst`),
        await ask(`${product.conda}/admin/${KEPT.basename}`),
        await admin.call('GET', '/package/admin/kept'),
      ];
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      slowestMs = Math.max(slowestMs, performance.now() - began);
      asked += answers.length;
      await sleep(50);
    }
    process.stderr.write(`${asked} other requests meanwhile, the slowest three ${Math.round(slowestMs)} ms\n`);
  }
});

async function refusalOf(upload: Promise<void>): Promise<UploadRefused> {
  try {
    await upload;
  } catch (error) {
    if (error instanceof UploadRefused) return error;
    throw error;
  }
  throw new Error('it was accepted');
}
