import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { aCondaPackage, type BuiltFile } from '@vivarium/testkit/builders';
import { newHome, removeHome } from '@vivarium/testkit/clients';
import { skipUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { Anaconda } from './anaconda.js';
import { ask } from './ask.js';
import { condaFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { PYTHON_IS_HERE, PYTHON_IS_MISSING, python } from './python.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

const step = skipUnless(PYTHON_IS_HERE, 'uploads by rattler-build', PYTHON_IS_MISSING);

const secrets = new Secrets();
let product: Product;
let alice: Publisher;
let token: string;
let home: string;

beforeAll(async () => {
  product = await startProduct();
  alice = await (await Publisher.admin(product, secrets)).makeUser('alice');
  token = await alice.makeToken({ name: 'ci', scopes: ['conda:upload'] });
  home = await newHome();
});

afterAll(async () => {
  await product?.stop();
  if (home !== undefined) await removeHome(home);
});

const build = (version: string, text = version) =>
  aCondaPackage({ name: 'swift', version, subdir: 'linux-64', files: { 'share/swift.txt': text } });

function put({ filename, bytes }: BuiltFile): string {
  const path = join(home, filename);
  writeFileSync(path, bytes);
  return path;
}

/**
 * Calls one of the upload functions of rattler-build, which has no command of its own as a Python package. Gives what it said,
 * after the word `done` or `failed`.
 */
async function upload(kind: 'anaconda' | 'prefix', file: BuiltFile, options: Record<string, unknown> = {}) {
  const script = [
    'import json, sys, rattler_build',
    'name, path, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])',
    'try:',
    '    getattr(rattler_build, name)([path], **options)',
    '    print("done")',
    'except Exception as error:',
    '    print("failed", error)',
  ].join('\n');
  const where = kind === 'anaconda' ? { owner: 'alice', url: product.api } : { channels: 'alice', url: product.url };
  const given = JSON.stringify({ ...where, api_key: token, ...options });
  const { stdout, stderr } = await python('python', ['-c', script, `upload_package_to_${kind}`, put(file), given], {
    home,
  });
  return `${stdout}${stderr}`;
}

const names = async (label?: string) =>
  (
    await condaFormats(
      { product, channel: 'alice', token: undefined, ...(label === undefined ? {} : { label }) },
      'linux-64',
    )
  ).json;
const sha256Of = async (version: string) =>
  (await alice.expectCall(200, 'GET', `/dist/alice/swift/${version}/linux-64/swift-${version}-0.conda`)).json<{
    sha256: string;
  }>().sha256;

describe('rattler-build upload anaconda', () => {
  step('uploads to a label, and is in the index when it ends', async () => {
    expect(await upload('anaconda', build('1.0'), { channel: ['main', 'dev'] })).toMatch(/^done/);
    expect(await names()).toEqual(['swift-1.0-0.conda']);
    expect(await names('dev')).toEqual(['swift-1.0-0.conda']);
  });

  step('is told of a file that is there, and replaces it when it must', async () => {
    const other = build('1.0', 'other');
    expect(await upload('anaconda', other)).toMatch(/^failed/);
    expect(await sha256Of('1.0')).toBe(build('1.0').sha256);
    expect(await upload('anaconda', other, { force: true })).toMatch(/^done/);
    expect(await sha256Of('1.0')).toBe(other.sha256);
  });

  step('leaves a private package private', async () => {
    await alice.setVisibility('swift', 'private');
    expect(await upload('anaconda', build('1.1'))).toMatch(/^done/);
    expect(await names()).toEqual([]);
    await alice.setVisibility('swift', 'public');
  });
});

describe('rattler-build upload prefix', () => {
  step('uploads in one request, into the directory that the archive says', async () => {
    expect(await upload('prefix', build('2.0'))).toMatch(/^done/);
    expect(await names()).toContain('swift-2.0-0.conda');
    const served = await ask(`${product.conda}/alice/linux-64/swift-2.0-0.conda`);
    expect(served.bytes.equals(readFileSync(join(home, 'swift-2.0-0.conda')))).toBe(true);
  });

  step('does not mind the same bytes, and other bytes only when it is told to replace', async () => {
    expect(await upload('prefix', build('2.0'))).toMatch(/^done/);
    const other = build('2.0', 'other');
    expect(await upload('prefix', other)).toMatch(/^failed[\s\S]*already exists/);
    expect(await upload('prefix', other, { skip_existing: true })).toMatch(/^done/);
    expect(await sha256Of('2.0')).toBe(build('2.0').sha256);
    expect(await upload('prefix', other, { force: true })).toMatch(/^done/);
    expect(await sha256Of('2.0')).toBe(other.sha256);
    expect((await names()).filter((name) => name.startsWith('swift-2.0'))).toEqual(['swift-2.0-0.conda']);
  });

  step('says what is wrong: with the token, with the rights, with the archive', async () => {
    const reads = await alice.makeToken({ name: 'reads', scopes: ['conda:download'] });
    expect(await upload('prefix', build('3.0'), { api_key: reads })).toMatch(/^failed[\s\S]*conda:upload/);
    expect(await upload('prefix', build('3.0'), { api_key: `${token.slice(0, -1)}x` })).toMatch(/^failed[\s\S]*401/);
    expect(await upload('prefix', build('3.0'), { channels: 'nobody' })).toMatch(/^failed[\s\S]*does not exist/);
    const lies = aCondaPackage({ name: 'swift', version: '3.0', indexOverrides: { version: '4.0' } });
    expect(await upload('prefix', lies)).toMatch(/^failed[\s\S]*4\.0/);
    expect(await names()).not.toContain('swift-3.0-0.conda');
  });

  step('leaves no secret in what the product wrote', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});

describe('notices of a channel', () => {
  const told = async (path = '/alice') =>
    (await ask(`${product.conda}${path}/notices.json`)).json<{ notices: object[] }>();
  let client: Anaconda;
  let id = '';
  const notice = (...argv: readonly string[]) => client.said(['channel', 'notice', ...argv], { input: 'y\n' });

  step('are drafts first, which their readers do not see', async () => {
    client = await Anaconda.at(product.api, { ANACONDA_API_TOKEN: await alice.makeToken({ name: 'notices' }) });
    const said = await notice('create', 'alice', '--message', 'Closed on Sunday.', '--expires-after', '3');
    expect(said).toMatch(/^exit 0/);
    id = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(said)?.[0] ?? '';
    expect(id).not.toBe('');
    expect(await notice('list', 'alice')).toMatch(/^exit 0\n[\s\S]*draft/);
    expect(await told()).toEqual({ notices: [] });
  });

  step('are told to conda once they are published, and no longer when they are archived', async () => {
    expect(await notice('publish', 'alice', id, '-f')).toMatch(/^exit 0/);
    const now = await told();
    expect(now).toEqual({
      notices: [
        {
          id,
          message: 'Closed on Sunday.',
          level: 'info',
          created_at: expect.stringMatching(/Z$/),
          expired_at: expect.stringMatching(/Z$/),
        },
      ],
    });
    expect(await told('/alice/label/dev')).toEqual(now);
    expect(await told(`/t/${token}/alice`)).toEqual(now);
    expect(await notice('get', 'alice', id)).toMatch(/^exit 0\n[\s\S]*published/);
    expect(await notice('update', 'alice', id, '--message', 'Closed on Monday.')).toMatch(/^exit 0/);
    expect(JSON.stringify(await told())).toContain('Monday');
    expect(await notice('archive', 'alice', id, '-f')).toMatch(/^exit 0/);
    expect(await told()).toEqual({ notices: [] });
    expect(await notice('delete', 'alice', id, '-f')).toMatch(/^exit 0/);
    expect(await notice('get', 'alice', id)).toMatch(/deleted/);
    await client.stop();
  });

  it('are as hidden as their channel', async () => {
    await alice.createPackage('swift', { isPrivate: true });
    await alice.expectCall(200, 'PUT', '/packages/alice/default-visibility', { visibility: 'private' });
    await alice.setVisibility('swift', 'private');
    const [hidden, missing] = await Promise.all(
      ['alice', 'nosuch'].map((channel) => ask(`${product.conda}/${channel}/notices.json`)),
    );
    expect([hidden?.status, missing?.status]).toEqual([401, 401]);
    expect((await ask(`${product.conda}/t/${token}/alice/notices.json`)).status).not.toBe(404);
    await alice.setVisibility('swift', 'public');
    await alice.expectCall(200, 'PUT', '/packages/alice/default-visibility', { visibility: 'public' });
  });
});

describe('the address of prefix uploads', () => {
  const sent = build('5.0');
  const post = (
    headers: Record<string, string>,
    options: { readonly extra?: string; readonly query?: string } = {},
  ) => {
    const boundary = 'c'.repeat(32);
    const part = Object.entries({
      'Content-Disposition': `form-data; name="file"; filename="${sent.filename}"`,
      'Content-Type': 'application/octet-stream',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    const before =
      options.extra === undefined
        ? ''
        : `--${boundary}\r\nContent-Disposition: form-data; name="${options.extra}"\r\n\r\n{}\r\n`;
    const head = `${before}--${boundary}\r\n${part.join('')}\r\n`;
    return ask(`${product.url}/api/v1/upload/alice${options.query ?? ''}`, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': `multipart/form-data; boundary=${boundary}`,
      },
      body: Buffer.concat([Buffer.from(head), sent.bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
    });
  };

  it('holds the bytes against the digest in the header of the part', async () => {
    const damaged = await post({ 'X-File-SHA256': '0'.repeat(64) });
    expect([damaged.status, damaged.json<{ error: string }>().error]).toEqual([
      400,
      expect.stringMatching(/sha256 of the file is/),
    ]);
    expect((await post({ 'X-File-SHA256': 'short' })).status).toBe(400);
    expect((await post({ 'X-File-Name': '../swift-5.0-0.conda' })).status).toBe(400);
  });

  it('refuses an attestation, which it would not keep', async () => {
    const answered = await post({}, { extra: 'attestation' });
    expect([answered.status, answered.json<{ error: string }>().error]).toEqual([
      400,
      expect.stringMatching(/[Aa]ttestations are not kept/),
    ]);
  });

  it('takes the package when all agrees', async () => {
    expect((await post({ 'X-File-SHA256': sent.sha256 }, { extra: 'ignored' })).status).toBe(200);
    expect(await names()).toContain(sent.filename);
  });
});
