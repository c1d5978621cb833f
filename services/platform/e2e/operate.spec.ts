import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { type ClientResult, runClient } from '@vivarium/testkit/clients';
import { noteMissing } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { productCommand } from '@vivarium/testkit/product-process';
import { mintToken } from '@vivarium/token/format';
import { ask } from './ask.js';
import { condaPackage } from './distributions.js';
import { condaBase, condaFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const secrets = new Secrets();
let product: Product;
let admin: Publisher;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vivarium-operate-'));
  product = await startProduct({ metrics: true });
  admin = await Publisher.admin(product, secrets);
});

afterAll(async () => {
  await product?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the product's program on its own, with nothing configured but what is given. */
function vivarium(parameters: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ClientResult> {
  const quiet = { METRICS_PORT: '0', DATA_DIR: join(folder, 'unused'), ...env };
  return runClient(process.execPath, productCommand(parameters), { env: quiet, timeoutMs: 60_000 });
}

/** The end of a program that could not start: code 1, and lines for a person without a stack. */
function expectComplaint({ code, stderr }: ClientResult, says: RegExp): void {
  expect([code, stderr]).toEqual([1, expect.stringMatching(says)]);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(3);
}

describe('a start that cannot be', () => {
  it('says that the port is taken, and how to choose another', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    try {
      const result = await vivarium(['all'], { PORT: String(port), DATA_DIR: join(folder, 'busy') });
      expectComplaint(result, new RegExp(`Port ${port} .*taken.*PORT=${port + 1}`));
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  });

  it('says that the folder cannot be written', async () => {
    // A file where the folder should be stops root too, whom no mode bit does.
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    const within = { PORT: '0', DATA_DIR: join(file, 'data') };
    expectComplaint(await vivarium(['all'], within), /DATA_DIR/);
    if (process.getuid?.() === 0)
      return noteMissing('start in a folder that may not be written', 'the tests run as root');
    const locked = join(folder, 'locked');
    await mkdir(locked, { mode: 0o500 });
    expectComplaint(await vivarium(['all'], { PORT: '0', DATA_DIR: join(locked, 'data') }), /DATA_DIR/);
    await chmod(locked, 0o700);
  });

  it('says that the folder of the database is broken', async () => {
    const data = join(folder, 'broken');
    await mkdir(join(data, 'postgres', 'data'), { recursive: true });
    await writeFile(join(data, 'postgres', 'data', 'PG_VERSION'), 'nonsense\n');
    await writeFile(join(data, 'postgres', 'password'), 'x\n');
    expectComplaint(await vivarium(['all'], { PORT: '0', DATA_DIR: data }), /postgres/i);
  });

  it.each([
    ['gateway', ['NATS_URL', 'VIVARIUM_SECRET', 'S3_ENDPOINT', 'S3_BUCKET', 'REDIS_URL', 'PUBLIC_URL']],
    ['identity', ['NATS_URL', 'VIVARIUM_SECRET', 'DATABASE_URL']],
    ['authz', ['NATS_URL', 'VIVARIUM_SECRET', 'DATABASE_URL']],
    [
      'packages',
      ['NATS_URL', 'VIVARIUM_SECRET', 'DATABASE_URL', 'S3_ENDPOINT', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'],
    ],
    ['conda-index', ['NATS_URL', 'VIVARIUM_SECRET', 'DATABASE_URL', 'S3_ENDPOINT']],
    ['pypi-index', ['NATS_URL', 'VIVARIUM_SECRET', 'DATABASE_URL', 'S3_ENDPOINT']],
  ])('of the role %s alone names every variable that is missing', async (role, names) => {
    const result = await vivarium([role]);
    expectComplaint(result, /needs/);
    for (const name of names) expect(result.stderr).toContain(name);
  });

  it('says what is wrong with a value', async () => {
    expectComplaint(await vivarium(['all'], { PORT: 'eighty' }), /PORT/);
    expectComplaint(await vivarium(['all'], { PORT: '0', DATABASE_URL: 'mysql://x' }), /DATABASE_URL/);
    expectComplaint(
      await vivarium(['all'], { PORT: '0', VIVARIUM_ADMIN_PASSWORD: 'short' }),
      /VIVARIUM_ADMIN_PASSWORD/,
    );
  });

  it('does not repeat a secret that it cannot use', async () => {
    const { stderr, stdout } = await vivarium(['all'], { PORT: '0', VIVARIUM_SECRET: 'too-short-a-secret' });
    expect(stderr + stdout).not.toContain('too-short-a-secret');
  });
});

describe('the command line', () => {
  it.each([
    ['all'],
    ['gateway'],
    ['identity'],
    ['authz'],
    ['packages'],
    ['conda-index'],
    ['pypi-index'],
    ['migrate'],
    ['user'],
    ['user', 'create'],
    ['user', 'reset-password'],
    ['user', 'disable'],
    ['user', 'enable'],
    ['revoke-tokens'],
    ['rebuild'],
    ['fsck'],
    ['sweep'],
    [],
  ])('explains itself: %s %s', async (...command) => {
    const { code, stdout, stderr } = await vivarium([...command, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Usage: vivarium/);
  });

  it('refuses what it does not know, with a way on', async () => {
    for (const parameters of [['gatway'], ['user', 'create'], ['rebuild'], ['all', '--fast']]) {
      const { code, stderr } = await vivarium(parameters);
      expect([parameters, code, stderr]).toEqual([parameters, 1, expect.stringContaining('--help')]);
    }
  });
});

describe('beside a running product', () => {
  it('makes a user with a password of its own, who can sign in at once', async () => {
    const { code, stdout } = await product.command(['user', 'create', 'dora', '--email', 'dora@example.org']);
    expect(code).toBe(0);
    const password = /^password: (\S+)$/m.exec(stdout)?.[1] ?? '';
    await expect(Publisher.signIn(product, secrets, 'dora', password)).resolves.toBeDefined();
  });

  it('makes a superuser with a given password, who may make users', async () => {
    const password = secrets.keep('password of erin', 'erins-long-password');
    const flags = ['--email', 'erin@example.org', '--superuser', '--password-stdin'];
    const { code, stdout } = await product.command(['user', 'create', 'erin', ...flags], { input: `${password}\n` });
    expect([code, stdout]).toEqual([0, expect.not.stringContaining(password)]);
    const erin = await Publisher.signIn(product, secrets, 'erin', password);
    await expect(erin.makeUser('frank')).resolves.toBeDefined();
  });

  it('lets nobody but a superuser make users', async () => {
    const frank = await admin.makeUser('frances');
    const { status } = await frank.call('POST', '/users', {
      login: 'x-user',
      email: 'x@example.org',
      password: 'long enough',
    });
    expect(status).toBe(403);
  });

  it('refuses a login that is taken or reserved', async () => {
    for (const login of ['admin', 'conda', 'x', 'Not A Login']) {
      const { code, stderr } = await product.command(['user', 'create', login, '--email', 'x@example.org']);
      expect([login, code, stderr]).toEqual([login, 1, expect.stringContaining(login.toLowerCase().slice(0, 3))]);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
  });

  it('sets a new password, after which the old one is refused', async () => {
    const old = secrets.keep('old password of gina', 'ginas-old-password');
    const next = secrets.keep('new password of gina', 'ginas-new-password');
    const flags = ['--email', 'gina@example.org', '--password-stdin'];
    await product.command(['user', 'create', 'gina', ...flags], { input: old });
    const { code } = await product.command(['user', 'reset-password', 'gina', '--password-stdin'], { input: next });
    expect(code).toBe(0);
    await expect(Publisher.signIn(product, secrets, 'gina', old)).rejects.toMatchObject({ status: 401 });
    await expect(Publisher.signIn(product, secrets, 'gina', next)).resolves.toBeDefined();
    expect((await product.command(['user', 'reset-password', 'nobody-here'])).code).toBe(1);
  });

  it('disables a user, whose token is refused at once, and enables it again', async () => {
    const hank = await admin.makeUser('hank');
    const token = await hank.makeToken({ name: 'builds' });
    const asHank = async () =>
      (await ask(`${product.api}/user`, { headers: { Authorization: `token ${token}` } })).status;
    expect(await asHank()).toBe(200);
    expect((await product.command(['user', 'disable', 'hank'])).code).toBe(0);
    const end = performance.now() + 10_000;
    while ((await asHank()) !== 401 && performance.now() < end);
    expect(await asHank()).toBe(401);
    await expect(Publisher.signIn(product, secrets, 'hank', hank.password)).rejects.toMatchObject({ status: 401 });
    expect((await product.command(['user', 'enable', 'HANK'])).stdout).toMatch(/^enabled hank;/);
    while ((await asHank()) !== 200 && performance.now() < end);
    expect(await asHank()).toBe(200);
    const { code, stderr } = await product.command(['user', 'disable', 'nobody-here']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('nobody-here')]);
  });

  it('revokes the tokens in a text that it is given, tells whose they are, and repeats none', async () => {
    const ivy = await admin.makeUser('ivy');
    await ivy.expectCall(201, 'POST', '/organizations', { login: 'ivyworks', name: 'Works' });
    const tokens = [
      await ivy.makeToken({ name: 'in a log' }),
      await ivy.makeToken({ name: 'beside it', organization: 'ivyworks' }),
    ];
    const unknown = secrets.keep('a token that never was', mintToken(randomBytes));
    const input = tokens.map((token) => `GET /t/${token}/ivy/noarch/repodata.json 200\n`).join('') + unknown;
    const done = await product.command(['revoke-tokens'], { input });
    expect([done.code, done.stdout]).toEqual([0, 'revoked 2 of 3 tokens; the others counted for nothing here\n']);
    const statuses = () =>
      Promise.all(
        tokens.map(
          async (token) =>
            (await ask(`${product.api}/authentication`, { headers: { Authorization: `token ${token}` } })).status,
        ),
      );
    expect(await statuses()).toEqual([401, 401]);
    const { items } = (await ivy.expectCall(200, 'GET', '/inbox')).json<{ items: readonly { text: string }[] }>();
    expect(items.map(({ text }) => text.split('.')[0]).sort()).toEqual([
      'The token "beside it" of ivyworks was reported as leaked and is revoked',
      'Your token "in a log" was reported as leaked and is revoked',
    ]);
    const trail = (await ivy.expectCall(200, 'GET', '/audit?owner=ivyworks')).json<{ items: readonly object[] }>();
    expect(trail.items).toContainEqual(expect.objectContaining({ action: 'token.leaked', actor: 'service:platform' }));
    const none = await product.command(['revoke-tokens'], { input: `${unknown.slice(0, -1)}\n` });
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining('no whole token')]);
    expect(secrets.foundIn(`${done.stderr}${none.stderr}${none.stdout}`)).toEqual([]);
  });

  it('finds the database up to date', async () => {
    expect(await product.command(['migrate'])).toMatchObject({ code: 0, stdout: 'the database is up to date\n' });
  });

  it('makes the indexes of a channel anew, and finds none of them different', async () => {
    await admin.upload(condaPackage({ name: 'rebuilt', version: '1.0' }));
    await admin.upload(condaPackage({ name: 'rebuilt', version: '2.0' }), { labels: ['dev'] });
    const url = `${condaBase({ product, channel: 'admin' })}/noarch/repodata_shards.msgpack.zst`;
    const before = await ask(url);
    const { code, stdout, stderr } = await product.command(['rebuild', 'admin']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^conda: .*; 0 indexes were different$/m);
    expect(stdout).toMatch(/^pypi: .*; 0 indexes were different$/m);
    expect((await ask(url)).bytes.equals(before.bytes)).toBe(true);
    expect((await product.command(['rebuild', 'nobody-here'])).code).toBe(1);
  });
});

describe('a running product', () => {
  it('says that it lives and that it is ready, to whatever Host a probe sends', async () => {
    for (const path of ['/health/live', '/health/ready']) {
      for (const host of [new URL(product.url).host, '10.1.2.3:8080']) {
        const { status, headers } = await ask(product.url + path, { headers: { Host: host } });
        expect([path, host, status, headers['cache-control']]).toEqual([path, host, 200, 'no-store']);
      }
    }
  });

  it('counts requests on a port of its own, and shows no token there', async () => {
    const token = await admin.makeToken({ name: 'counted', scopes: ['repos'] });
    for (const path of [`/t/${token}/admin/noarch/repodata.json`, `/t/${token}/admin/noarch/none-1-0.conda`]) {
      await ask(product.url + path);
    }
    const texts = await Promise.all(product.metrics.map(async (url) => (await ask(url)).text()));
    expect(texts.join()).toMatch(/^# TYPE .*request.* /m);
    expect(secrets.foundIn(texts.join())).toEqual([]);
    const atGateway = await ask(`${product.url}/metrics`);
    expect([atGateway.status >= 400, atGateway.text()]).toEqual([true, expect.not.stringContaining('# TYPE')]);
  });

  it('takes 300 MB in a memory that stays flat', async () => {
    if (process.platform !== 'linux') return noteMissing('memory of a large upload', 'it is read from /proc');
    const large = condaPackage({ name: 'large', version: '1.0', sizeBytes: 300_000_000 });
    const names = product.target === 'all' ? ['all'] : ['gateway', 'packages'];
    const before = new Map(names.map((name) => [name, residentBytes(product.pidOf(name))]));
    const growth = new Map<string, number>();
    let isDone = false;
    const watching = (async () => {
      while (!isDone) {
        for (const name of names) {
          const grown = residentBytes(product.pidOf(name)) - (before.get(name) ?? 0);
          growth.set(name, Math.max(grown, growth.get(name) ?? 0));
        }
        await sleep(20);
      }
    })();
    try {
      await admin.upload(large);
    } finally {
      isDone = true;
      await watching;
    }
    expect((await condaFormats({ product, channel: 'admin' })).shards).toContain('large-1.0-0.conda');
    for (const [name, bytes] of growth) expect([name, bytes < 150_000_000, bytes]).toEqual([name, true, bytes]);
    const { status, headers } = await ask(`${condaBase({ product, channel: 'admin' })}/noarch/large-1.0-0.conda`, {
      method: 'HEAD',
    });
    expect([status, headers['content-length']]).toEqual([200, String(large.bytes.length)]);
  });
});

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) * 1024;
}

it('tells none of the secrets in its output', () => {
  expect(secrets.toldBy(product)).toEqual([]);
});
