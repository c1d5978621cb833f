import { join } from 'node:path';
import { jest } from '@jest/globals';
import type { Blobs } from '@vivarium/blobs/blobs';
import { blobKey, blobOf } from '@vivarium/blobs/keys';
import { openBlobs } from '@vivarium/blobs/open-blobs';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { condaPackage, wheel } from './distributions.js';
import { condaFormats, simpleFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

const secrets = new Secrets();
const KEPT = condaPackage({ name: 'kept', version: '1.0' });
const WHEEL = wheel({ name: 'kept-wheel', version: '1.0' });
let product: Product;
let admin: Publisher;
let blobs: Blobs;

beforeAll(async () => {
  product = await startProduct();
  admin = await Publisher.admin(product, secrets);
  blobs = await openBlobs({ ...s3In(product.env), folder: join(product.env.DATA_DIR ?? '', 'blobs') });
  await admin.upload(KEPT);
  await admin.upload(WHEEL);
});

afterAll(async () => {
  await blobs?.close();
  await product?.stop();
});

async function keysUnder(prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(prefix)) keys.push(key);
  return keys;
}

async function bytesAt(key: string): Promise<Buffer> {
  return (await blobs.get(key)).bytes(10e6);
}

describe('vivarium fsck', () => {
  it('finds nothing in a healthy installation, and ends with 0', async () => {
    const all = await product.command(['fsck', '--bytes']);
    expect([all.code, all.stderr]).toEqual([0, '']);
    expect(all.stdout).toMatch(
      /^looked at 1 channels, 2 packages, 2 files, .*3 blobs, with all bytes: 0 differences\n$/,
    );
    const one = await product.command(['fsck', 'admin']);
    expect([one.code, one.stdout]).toEqual([
      0,
      expect.stringMatching(/^looked at 1 channels, .*1 conda names, .*1 pypi names, .*: 0 differences\n$/),
    ]);
    expect((await product.command(['fsck', 'nobody-here'])).code).toBe(1);
  });

  it('finds a file whose bytes are missing or wrong, which it cannot mend', async () => {
    const key = (await keysUnder('blobs/')).find((each) => blobOf(each)?.sha256 === KEPT.sha256) ?? '';
    const bytes = await bytesAt(key);
    await blobs.delete(key);
    for (const parameters of [['fsck'], ['fsck', 'admin'], ['fsck', '--repair']]) {
      const { code, stdout } = await product.command(parameters);
      expect([code, stdout]).toEqual([
        1,
        expect.stringContaining(`the object ${key} of the blob ${KEPT.sha256} is missing`),
      ]);
      expect(stdout).toContain('of admin/noarch/kept-1.0-0.conda');
      expect(stdout).toMatch(/to mend it: put the object back from a backup/);
    }
    const spoilt = Buffer.from(bytes);
    spoilt[0] = (spoilt[0] ?? 0) ^ 1;
    await blobs.put(key, spoilt);
    expect((await product.command(['fsck'])).code).toBe(0);
    const { code, stdout } = await product.command(['fsck', '--bytes']);
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(new RegExp(`has the SHA-256 \\w{64} instead of ${KEPT.sha256}`)),
    ]);
    await blobs.put(key, bytes);
    expect((await product.command(['fsck', '--bytes'])).code).toBe(0);
  });

  it('finds spoilt and missing objects of indexes, and mends them', async () => {
    for (const key of [...(await keysUnder('index/')), ...(await keysUnder('heads/'))]) {
      if (key.endsWith('0') || key.endsWith('7')) await blobs.delete(key);
      else await blobs.put(key, Buffer.from('spoilt'));
    }
    const found = await product.command(['fsck']);
    expect([found.code, found.stdout]).toEqual([
      1,
      expect.stringMatching(/^admin: the object index\/.*; to mend it: vivarium fsck --repair/m),
    ]);
    const mended = await product.command(['fsck', '--repair']);
    expect([mended.code, mended.stdout]).toEqual([
      0,
      expect.stringMatching(/[1-9][0-9]* repaired, 0 differences left\n$/),
    ]);
    expect((await product.command(['fsck'])).code).toBe(0);
    // A process that remembers nothing.
    await product.restart();
    expect((await condaFormats({ product, channel: 'admin' })).shards).toEqual(['kept-1.0-0.conda']);
    expect((await simpleFormats({ product, channel: 'admin' }))['pages json']).toEqual([WHEEL.basename]);
  });

  it('finds nothing while files are uploaded', async () => {
    let isDone = false;
    let uploaded = 0;
    const uploading = (async () => {
      while (!isDone) {
        const [name, version] = [`busy-${uploaded % 5}`, `1.${uploaded}`];
        await admin.upload(uploaded % 2 === 0 ? condaPackage({ name, version }) : wheel({ name, version }));
        uploaded++;
      }
    })();
    for (let round = 0; round < 3; round++) {
      const { code, stdout } = await product.command(['fsck', '--bytes']);
      expect([code, stdout]).toEqual([0, expect.stringMatching(/^looked at .*: 0 differences\n$/)]);
    }
    isDone = true;
    await uploading;
    expect(uploaded).toBeGreaterThan(3);
    expect((await product.command(['fsck', '--bytes'])).code).toBe(0);
  });
});

describe('vivarium sweep', () => {
  it('says what it would remove, removes it, and leaves what clients need', async () => {
    const stray = blobKey('a'.repeat(64), 999_999_999);
    await blobs.put(stray, Buffer.from('left by a crash'));
    const would = await product.command(['sweep', '--dry-run', '--grace', '0']);
    expect([would.code, would.stderr]).toEqual([0, '']);
    expect(would.stdout).toMatch(/^packages: 1 objects of blobs that no row names \(15 bytes\)$/m);
    expect(would.stdout).toMatch(/^conda-index: [1-9][0-9]* objects found that no index names \([1-9][0-9]* bytes\)$/m);
    expect(would.stdout).toMatch(/^nothing was removed/m);
    expect(await blobs.head(stray)).toBeDefined();

    // The grace of an hour holds what was superseded a moment ago.
    expect((await product.command(['sweep'])).stdout).toBe('there is nothing to sweep\n');
    const before = (await keysUnder('')).length;
    const { code, stdout } = await product.command(['sweep', '--grace', '0']);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^pypi-index: [1-9][0-9]* objects that no index named/m)]);
    expect(await blobs.head(stray)).toBeUndefined();
    expect((await keysUnder('')).length).toBeLessThan(before - 10);
    expect((await product.command(['fsck', '--bytes'])).code).toBe(0);
    expect((await condaFormats({ product, channel: 'admin' })).json).toContain('kept-1.0-0.conda');
  });

  it('refuses a grace that is no number', async () => {
    const { code, stderr } = await product.command(['sweep', '--grace', 'soon']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('number of seconds')]);
  });
});

function s3In(env: Readonly<Record<string, string>>) {
  const { S3_ENDPOINT, S3_REGION = 'us-east-1', S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = env;
  if (S3_ENDPOINT === undefined || S3_BUCKET === undefined) return {};
  const keys = { accessKeyId: S3_ACCESS_KEY_ID ?? '', secretAccessKey: S3_SECRET_ACCESS_KEY ?? '' };
  return { s3: { endpoint: S3_ENDPOINT, region: S3_REGION, bucket: S3_BUCKET, ...keys } };
}
