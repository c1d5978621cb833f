import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

const secrets = new Secrets();
let product: Product;
let alice: Publisher;
let token: string;

beforeAll(async () => {
  product = await startProduct({});
  const admin = await Publisher.admin(product, secrets);
  alice = await admin.makeUser('alice');
  await alice.expectCall(201, 'POST', '/organizations', { login: 'acme' });
  token = await alice.makeToken({ name: 'reads', scopes: ['conda:download'] });
});

afterAll(async () => {
  await product?.stop();
});

interface ChannelData {
  readonly channeldata_version: number;
  readonly subdirs: readonly string[];
  readonly packages: Readonly<Record<string, { readonly version: string; readonly subdirs: readonly string[] }>>;
}

const at = (file: string, from: { readonly token?: string; readonly label?: string; readonly channel?: string } = {}) =>
  `${condaBase({ product, channel: 'alice', ...from })}/${file}`;

async function channelData(from: Parameters<typeof at>[1] = {}): Promise<ChannelData> {
  const answered = await ask(at('channeldata.json', from));
  expect(answered.status).toBe(200);
  return answered.json<ChannelData>();
}
const namesFor = async (from: Parameters<typeof at>[1] = {}) => Object.keys((await channelData(from)).packages);

describe('channeldata.json', () => {
  it('is there before anything was published', async () => {
    expect(await channelData()).toEqual({ channeldata_version: 1, packages: {}, subdirs: [] });
    expect((await ask(at('noarch/run_exports.json'))).json()).toEqual({
      info: { subdir: 'noarch', version: 1 },
      packages: {},
      'packages.conda': {},
    });
  });

  it('shows each upload as soon as it is answered, with what its newest artifact says', async () => {
    await alice.upload(
      condaPackage({
        name: 'lamp',
        version: '1.9',
        subdir: 'linux-64',
        runExports: { weak: ['lamp >=1.9'] },
        about: { home: 'https://lamp.example.org' },
      }),
    );
    expect((await channelData()).packages.lamp?.version).toBe('1.9');
    await alice.upload(
      condaPackage({ name: 'lamp', version: '1.10', about: { home: 'https://lamp.example.org', summary: 'A lamp.' } }),
    );
    await alice.upload(condaPackage({ name: 'bulb', version: '0.1' }), { labels: ['dev'] });
    await alice.upload(wheel({ name: 'snake', version: '1.0' }));
    expect(await channelData()).toEqual({
      channeldata_version: 1,
      packages: {
        lamp: {
          home: 'https://lamp.example.org',
          license: 'Apache-2.0',
          reference_package: 'noarch/lamp-1.10-0.conda',
          run_exports: { '1.9': { weak: ['lamp >=1.9'] } },
          subdirs: ['linux-64', 'noarch'],
          summary: 'A lamp.',
          timestamp: expect.any(Number),
          version: '1.10',
        },
      },
      subdirs: ['linux-64', 'noarch'],
    });
    expect(await namesFor({ label: 'dev' })).toEqual(['bulb']);
    expect(await namesFor({ label: 'nothing' })).toEqual([]);
  });

  it('is the same for a stranger, bytes, length and ETag, whatever private things come, change and go', async () => {
    const told = async () => {
      const { status, told: headers, bytes } = await ask(at('channeldata.json'));
      return [status, headers.filter((line) => !/^(traceparent|x-request-id)/i.test(line)), bytes.toString()];
    };
    const before = await told();
    await alice.upload(
      condaPackage({ name: 'secret', version: '1.0', subdir: 'osx-64', runExports: { strong: ['x'] } }),
      {
        isPrivate: true,
      },
    );
    expect(await told()).toEqual(before);
    expect(await namesFor({ token })).toEqual(['lamp', 'secret']);
    expect((await channelData({ token })).subdirs).toEqual(['linux-64', 'noarch', 'osx-64']);
    expect((await ask(at('osx-64/run_exports.json'))).text()).not.toContain('secret');
    expect((await ask(at('osx-64/run_exports.json', { token }))).text()).toContain('secret-1.0-0.conda');
    await alice.upload(condaPackage({ name: 'secret', version: '2.0' }));
    expect(await told()).toEqual(before);
    expect((await alice.call('DELETE', '/package/alice/secret')).status).toBeLessThan(300);
    expect(await told()).toEqual(before);
    expect(await namesFor({ token })).toEqual(['lamp']);
  });

  it('takes away from a stranger what is made private, and what is moved to another channel', async () => {
    await alice.upload(condaPackage({ name: 'fleeting', version: '1.0' }));
    expect(await namesFor()).toEqual(['fleeting', 'lamp']);
    await alice.setVisibility('fleeting', 'private');
    expect(await namesFor()).toEqual(['lamp']);
    expect(await namesFor({ token })).toEqual(['fleeting', 'lamp']);
    await alice.setVisibility('fleeting', 'public');
    expect(await namesFor()).toEqual(['fleeting', 'lamp']);
    await alice.expectCall(200, 'POST', '/package/alice/fleeting/transfer', { to: 'acme' });
    expect(await namesFor()).toEqual(['lamp']);
    expect(await namesFor({ channel: 'acme' })).toEqual(['fleeting']);
  });

  it('answers 304 to its own ETag, another ETag for each packing, HEAD, and a bad token as everything does', async () => {
    const url = at('channeldata.json');
    const plain = await ask(url);
    const gzipped = await ask(url, { headers: { 'Accept-Encoding': 'gzip' } });
    expect(gunzipSync(gzipped.bytes)).toEqual(plain.bytes);
    expect(gzipped.headers.etag).not.toBe(plain.headers.etag);
    expect((await ask(url, { headers: { 'If-None-Match': String(plain.headers.etag) } })).status).toBe(304);
    expect((await ask(url, { headers: { 'If-None-Match': String(gzipped.headers.etag) } })).status).toBe(200);
    const head = await ask(url, { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.bytes.length]).toEqual([
      200,
      String(plain.bytes.length),
      0,
    ]);
    expect((await ask(at('channeldata.json', { token: 'xx-no-such-token' }))).status).toBe(401);
    expect((await ask(at('channeldata.json', { channel: 'nobody-here' }))).status).toBe(401);
  });
});

describe('run_exports.json', () => {
  it('is of every artifact of the subdir and label, and the same in zst', async () => {
    const plain = await ask(at('linux-64/run_exports.json'));
    expect(plain.json()).toEqual({
      info: { subdir: 'linux-64', version: 1 },
      packages: {},
      'packages.conda': { 'lamp-1.9-0.conda': { run_exports: { weak: ['lamp >=1.9'] } } },
    });
    const packed = await ask(at('linux-64/run_exports.json.zst'));
    expect(packed.headers['content-type']).toBe('application/zstd');
    expect(packed.headers.etag).not.toBe(plain.headers.etag);
    expect(zstdDecompressSync(packed.bytes)).toEqual(plain.bytes);
    expect((await ask(at('noarch/run_exports.json', { label: 'dev' }))).json()).toMatchObject({
      'packages.conda': { 'bulb-0.1-0.conda': { run_exports: {} } },
    });
  });
});

describe('downloads', () => {
  const countOf = async (channel: string, name: string) => {
    const { files } = (await alice.expectCall(200, 'GET', `/package/${channel}/${name}`)).json<{
      files: { ndownloads: number }[];
    }>();
    return files.map(({ ndownloads }) => ndownloads);
  };
  const becomes = async (channel: string, name: string, counts: readonly number[]) => {
    for (let tries = 0; tries < 120; tries++) {
      if (JSON.stringify(await countOf(channel, name)) === JSON.stringify(counts)) return;
      await sleep(500);
    }
    expect(await countOf(channel, name)).toEqual(counts);
  };

  it('are counted, stay when the product is stopped in order, and move with a transfer', async () => {
    await alice.upload(condaPackage({ name: 'counted', version: '1.0' }));
    const url = at('noarch/counted-1.0-0.conda');
    for (let n = 0; n < 3; n++) expect((await ask(url)).status).toBe(200);
    expect((await ask(url, { method: 'HEAD' })).status).toBe(200);
    expect((await ask(url, { headers: { Range: 'bytes=5-9' } })).status).toBe(206);
    expect((await ask(`${product.api}/download/alice/counted/1.0/noarch/counted-1.0-0.conda`)).status).toBe(200);
    await becomes('alice', 'counted', [4]);
    expect((await ask(url)).status).toBe(200);
    await product.restart(undefined, 'SIGTERM');
    await becomes('alice', 'counted', [5]);
    await alice.expectCall(200, 'POST', '/package/alice/counted/transfer', { to: 'acme' });
    await becomes('acme', 'counted', [5]);
  });
});
