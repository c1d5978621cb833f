import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { runningPostgresUrl } from '@vivarium/db/running';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import pg from 'pg';
import { ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaFormats, JSON_V1, simpleFormats } from './formats.js';
import { type Distribution, Publisher, UploadRefused } from './publisher.js';
import { Secrets } from './secrets.js';
import { canMount, SmallDisk } from './small-disk.js';

jest.setTimeout(240_000);

const MEGABYTE = 1_000_000;
const KEPT = condaPackage({ name: 'kept', version: '1.0', sizeBytes: 100_000 });
const KEPT_WHEEL = wheel({ name: 'kept-wheel', version: '1.0' });

// Both are about a folder of this machine: with separate services the bytes are in S3.
const suite =
  productTarget() === 'all'
    ? skipSuiteUnless(
        canMount,
        'a full disk',
        'no file system can be mounted here: it needs Linux, root, and leave to mount',
      )
    : describe.skip;

suite('a blob folder on a full disk', () => {
  const secrets = new Secrets();
  const acknowledged: Distribution[] = [KEPT, KEPT_WHEEL];
  let disk: SmallDisk;
  let product: Product;
  let admin: Publisher;

  beforeAll(async () => {
    disk = await SmallDisk.mount('blobs', 24 * MEGABYTE);
    product = await startProduct({ target: 'all', env: { DATA_DIR: disk.root } });
    admin = await Publisher.admin(product, secrets);
    for (const file of acknowledged) await admin.upload(file);
  });
  afterAll(async () => {
    await product?.stop();
    await disk?.stop();
  });

  afterEach(() => {
    disk.release();
  });

  it('refuses uploads with a sentence that says so, until there is room again', async () => {
    const refused = await untilRefused(admin, acknowledged);
    expect(fullOf(refused.refusal)).toEqual(REFUSED_FOR_SPACE);
    await expectReads(product, acknowledged);
    // Nothing half-written: what did not get in left no bytes behind.
    expect(await filesUnder(join(disk.folder, '.tmp'))).toEqual([]);
    expect(await filesUnder(join(disk.folder, 'staging'))).toEqual([]);

    disk.fill();
    for (const small of [
      condaPackage({ name: 'small', version: '1.0' }),
      wheel({ name: 'small-wheel', version: '1.0' }),
    ]) {
      expect(fullOf(await refusalOf(admin.upload(small)))).toEqual(REFUSED_FOR_SPACE);
    }
    expect(await ready(product)).toEqual([503, expect.stringContaining('blob store: The blob folder is full')]);
    expect((await Publisher.admin(product, secrets)).login).toBe('admin');
    await expectReads(product, acknowledged);

    // The operator makes room; nothing is started again.
    disk.release();
    disk.enlarge(48 * MEGABYTE);
    await admin.upload(refused.file);
    acknowledged.push(refused.file);
    expect(await ready(product)).toEqual([200, expect.anything()]);
    await expectReads(product, acknowledged);
    await expectSound(product);
  });

  it('finishes what was on its way when the disk became full, as soon as there is room', async () => {
    const files = [condaPackage({ name: 'midway', version: '1.0' }), wheel({ name: 'midway-wheel', version: '1.0' })];
    const tickets = [];
    for (const file of files) {
      await admin.register(file);
      const ticket = await admin.stage(file);
      await admin.send(ticket, file);
      tickets.push({ file, ticket });
    }
    disk.fill();
    const commits = Promise.all(tickets.map(({ file, ticket }) => admin.commit(file, ticket)));
    await sleep(7_000);
    await expectReads(product, acknowledged);
    disk.release();
    await commits;
    acknowledged.push(...files);
    await untilListed(product, files);
    await expectReads(product, acknowledged);
    await expectSound(product);
  });
});

suite('everything on one full disk, the database too', () => {
  const secrets = new Secrets();
  const acknowledged: Distribution[] = [KEPT, KEPT_WHEEL];
  let disk: SmallDisk;
  let product: Product;
  let admin: Publisher;

  beforeAll(async () => {
    disk = await SmallDisk.mount('data', 200 * MEGABYTE);
    product = await startProduct({ target: 'all', env: { DATA_DIR: disk.folder } });
    admin = await Publisher.admin(product, secrets);
    for (const file of acknowledged) await admin.upload(file);
  });
  afterAll(async () => {
    await product?.stop();
    await disk?.stop();
  });

  it('says what is wrong, goes on reading, and takes changes again when there is room', async () => {
    disk.fill();
    const statuses = await askForSeconds(5);
    expect(Object.keys(statuses.reads)).toEqual(['200']);
    expect(statuses.tokens[503]).toBeGreaterThan(0);
    expect(await ready(product)).toEqual([503, expect.stringContaining('blob store: The blob folder is full')]);
    const small = condaPackage({ name: 'small', version: '1.0' });
    expect(fullOf(await refusalOf(admin.upload(small)))).toMatchObject({
      status: 503,
      text: expect.stringMatching(/full/),
    });
    disk.release();
    await untilReady(product);
    await admin.upload(small);
    acknowledged.push(small);
    await expectReads(product, acknowledged);
    await expectSound(product);
  });

  it('comes back by itself when the database ended for want of room', async () => {
    const pid = product.pidOf('all');
    disk.fill();
    await writeLogUntilItEnds(disk.folder);
    const statuses = await askForSeconds(8);
    process.stderr.write(`without a database: ${JSON.stringify(statuses)}\n`);
    expect(statuses.tokens[503]).toBeGreaterThan(0);
    const [status, text] = await ready(product);
    expect([status, text]).toEqual([503, expect.stringMatching(/database of packages: .*does not answer/)]);
    expect(product.logs()).toMatch(/The disk of .* is full: free space there/);

    disk.release();
    await untilReady(product);
    const after = condaPackage({ name: 'after', version: '1.0' });
    await admin.upload(after);
    acknowledged.push(after);
    await expectReads(product, acknowledged);
    await expectSound(product);
    expect(product.pidOf('all')).toBe(pid);
  });

  /** Changes that need no blob, and reads: how often each was answered how. Anything but 200 and 503 is a failure. */
  async function askForSeconds(seconds: number) {
    const tokens: Record<string, number> = {};
    const reads: Record<string, number> = {};
    const end = performance.now() + seconds * 1_000;
    for (let at = 0; performance.now() < end; at++) {
      const wish = { name: `token ${seconds} ${at}` };
      const answered = await admin.askForToken(wish);
      if (answered.status === 200) secrets.keep(wish.name, answered.json<{ token: string }>().token);
      else expect([answered.status, answered.headers['retry-after']]).toEqual([503, expect.stringMatching(/^\d+$/)]);
      const read = await ask(`${product.conda}/admin/noarch/repodata.json`);
      expect([200, 503]).toContain(read.status);
      tokens[answered.status] = (tokens[answered.status] ?? 0) + 1;
      reads[read.status] = (reads[read.status] ?? 0) + 1;
    }
    return { tokens, reads };
  }
});

/** Makes the database write its log, until it finds no room for it and ends. */
async function writeLogUntilItEnds(dataDir: string): Promise<void> {
  const client = new pg.Client({ connectionString: await runningPostgresUrl(dataDir) });
  client.on('error', () => undefined);
  await client.connect();
  try {
    for (let at = 0; at < 1_000; at++)
      await client.query("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000000))");
  } catch {
    return;
  } finally {
    await client.end().catch(() => undefined);
  }
  throw new Error('the database never ended');
}

const REFUSED_FOR_SPACE = {
  status: 503,
  text: expect.stringMatching(/The blob folder is full: free space/),
  retryAfter: expect.stringMatching(/^\d+$/),
};

function fullOf({ status, text, retryAfter }: UploadRefused) {
  return { status, text, retryAfter };
}

/** Uploads a megabyte at a time; gives what did not get in. */
async function untilRefused(admin: Publisher, acknowledged: Distribution[]) {
  for (let at = 0; at < 100; at++) {
    const file = condaPackage({ name: `filler-${at}`, version: '1.0', sizeBytes: MEGABYTE });
    try {
      await admin.upload(file);
      acknowledged.push(file);
    } catch (error) {
      if (error instanceof UploadRefused) return { file, refusal: error };
      throw error;
    }
  }
  throw new Error('the disk never became full');
}

async function refusalOf(upload: Promise<void>): Promise<UploadRefused> {
  try {
    await upload;
  } catch (error) {
    if (error instanceof UploadRefused) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

/** Exactly these files in every format, with their bytes. */
async function expectReads(product: Product, files: readonly Distribution[]): Promise<void> {
  const from = { product, channel: 'admin' };
  const names = (type: string) =>
    files
      .filter((file) => file.type === type)
      .map(({ basename }) => basename.replace('noarch/', ''))
      .sort();
  const [conda, wheels] = [names('conda'), names('pypi')];
  expect(await condaFormats(from)).toEqual({ json: conda, 'json, gzipped': conda, zst: conda, shards: conda });
  expect(await simpleFormats(from)).toMatchObject({ 'pages html': wheels, 'pages json': wheels });
  const download = await ask(`${product.conda}/admin/${KEPT.basename}`);
  expect([download.status, download.bytes.equals(KEPT.bytes)]).toEqual([200, true]);
  expect((await ask(`${product.pypi}/admin/simple/kept-wheel/`, { headers: { Accept: JSON_V1 } })).status).toBe(200);
}

async function ready(product: Product): Promise<readonly [number, string]> {
  const answered = await ask(`${product.url}/health/ready`);
  return [answered.status, answered.text()];
}

async function untilReady(product: Product): Promise<void> {
  const end = performance.now() + 90_000;
  for (;;) {
    const [status, text] = await ready(product);
    if (status === 200) return;
    if (performance.now() > end) throw new Error(`not ready again: ${text}\n${product.logs().slice(-3_000)}`);
    await sleep(200);
  }
}

/** Resolves when a page of the wheel and the repodata of the package are there. */
async function untilListed(product: Product, files: readonly Distribution[]): Promise<void> {
  const end = performance.now() + 60_000;
  const from = { product, channel: 'admin' };
  for (;;) {
    const listed = [...(await condaFormats(from)).json, ...(await simpleFormats(from))['pages json']];
    const missing = files.filter(({ basename }) => !listed.includes(basename.replace('noarch/', '')));
    if (missing.length === 0) return;
    if (performance.now() > end) throw new Error(`not listed: ${missing.map(({ basename }) => basename)}`);
    await sleep(200);
  }
}

async function expectSound(product: Product): Promise<void> {
  const { code, stdout } = await product.command(['fsck', '--bytes']);
  expect([code, stdout]).toEqual([0, expect.stringMatching(/: 0 differences\n$/)]);
}

/** Paths of the files below a folder; none if there is no such folder. */
async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name, parentPath }) => join(parentPath, name));
}
