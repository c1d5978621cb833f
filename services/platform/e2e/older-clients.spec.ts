import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { runClient } from '@vivarium/testkit/clients';
import { skipUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { venvBin } from '@vivarium/testkit/programs';
import { Anaconda } from './anaconda.js';
import { ask } from './ask.js';
import { condaFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

const older = venvBin('python', 'venv-older');
const step = skipUnless(
  older !== undefined,
  'the anaconda client 1.13',
  'the older client is not installed (.ci/install.sh does)',
);

const secrets = new Secrets();
let product: Product;
let alice: Anaconda;
let password: string;

const tool = aCondaPackage({ name: 'tool', version: '1.0', subdir: 'linux-64' });
const wheel = aWheel({ name: 'My.Wheel', version: '2.0' });

beforeAll(async () => {
  if (older === undefined) return;
  product = await startProduct();
  const root = await Publisher.admin(product, secrets);
  password = secrets.keep('password of alice', randomBytes(12).toString('hex'));
  const body = { login: 'alice', email: 'alice@example.org', password, superuser: false };
  await root.expectCall(201, 'POST', '/users', body);
  alice = await Anaconda.at(product.api, {}, 'venv-older');
});

afterAll(async () => {
  await alice?.stop();
  await product?.stop();
});

function put(filename: string, bytes: Uint8Array | string): string {
  const path = join(alice.folder('files'), filename);
  writeFileSync(path, bytes);
  return path;
}

const names = async (label?: string) =>
  (
    await condaFormats(
      { product, channel: 'alice', token: undefined, ...(label === undefined ? {} : { label }) },
      'linux-64',
    )
  ).json;

describe('anaconda 1.13', () => {
  step('is the version that it is taken for, and hears of no newer one', async () => {
    expect(await alice.said(['--version'])).toMatch(/1\.13\.0/);
    const said = await alice.said(['login', '--username', 'alice', '--password', password]);
    expect(said).toMatch(/^exit 0\n[\s\S]*login successful/i);
    expect(said).not.toMatch(/newer|upgrade|version/i);
    expect(await alice.said(['whoami'])).toMatch(/^exit 0\n[\s\S]*alice/);
  });

  step('uploads conda packages, skips and replaces them', async () => {
    const path = put(tool.filename, tool.bytes);
    expect(await alice.said(['upload', path])).toMatch(/^exit 0\n[\s\S]*Upload complete/);
    expect(await names()).toEqual([tool.filename]);
    expect(await alice.said(['upload', path])).toMatch(/^exit 1\n[\s\S]*already exists/i);
    expect(await alice.said(['upload', '--skip-existing', path])).toMatch(/^exit 0\n[\s\S]*skipp?ing/i);
    expect(await alice.said(['upload', '--force', path])).toMatch(/^exit 0\n[\s\S]*Upload complete/);
    expect(await names()).toEqual([tool.filename]);
  });

  step('means a label when it says channel', async () => {
    const next = aCondaPackage({ name: 'tool', version: '1.1', subdir: 'linux-64' });
    await alice.ok(['upload', '-c', 'dev', put(next.filename, next.bytes)]);
    expect(await names()).toEqual([tool.filename]);
    expect(await names('dev')).toEqual([next.filename]);
    expect(await alice.said(['label', '--list'])).toMatch(/\bdev\b/);
    await alice.ok(['channel', '--copy', 'dev', 'rc']);
    expect(await names('rc')).toEqual([next.filename]);
  });

  step('uploads a wheel', async () => {
    await alice.ok(['upload', put(wheel.filename, wheel.bytes)]);
    expect((await ask(`${product.pypi}/alice/simple/my-wheel/`)).text()).toContain(wheel.filename);
  });

  step('uploads an environment, and brings it back as it was', async () => {
    const text = 'name: stack\nchannels: [defaults]\ndependencies: [python]\n';
    expect(await alice.said(['upload', put('environment.yml', text)])).toMatch(/^exit 0\n[\s\S]*Upload complete/);
    expect(await alice.said(['show', 'alice/stack'])).toMatch(/^exit 0\n[\s\S]*Versions/);
    mkdirSync(join(alice.home, 'environments'));
    await alice.ok(['download', 'alice/stack', '-o', 'environments']);
    expect(readFileSync(join(alice.home, 'environments', 'environment.yml'), 'utf8')).toBe(text);
  });

  // Its command line refuses notebooks already; the calls below it, which older ones make, are still there.
  step('uploads a notebook by its library, and brings it back as it was', async () => {
    const cells = '{"cells":[],"metadata":{},"nbformat":4,"nbformat_minor":5}';
    const path = put('study.ipynb', cells);
    const script = [
      'import sys, hashlib',
      'from binstar_client.utils import get_server_api',
      'from binstar_client.utils.config import PackageType',
      'api = get_server_api()',
      'path = sys.argv[1]',
      'digest = hashlib.sha256(open(path, "rb").read()).hexdigest()',
      'api.add_package("alice", "study", summary="Jupyter Notebook", package_type=PackageType.NOTEBOOK)',
      'api.add_release("alice", "study", "2026.11.24", {}, None, {"description": "d"})',
      'with open(path, "rb") as file:',
      '    print(api.upload("alice", "study", "2026.11.24", "study.ipynb", file, PackageType.NOTEBOOK, sha256=digest)["basename"])',
    ].join('\n');
    const ran = await runClient(older ?? '', ['-c', script, path], { home: alice.home });
    expect(`${ran.stdout}${ran.stderr}`).toContain('study.ipynb');
    expect(ran.code).toBe(0);
    expect(await alice.said(['show', 'alice/study/2026.11.24'])).toMatch(/study\.ipynb/);
    mkdirSync(join(alice.home, 'notebooks'));
    await alice.ok(['download', 'alice/study', '-t', 'ipynb', '-o', 'notebooks']);
    expect(readdirSync(join(alice.home, 'notebooks'))).toEqual(['study.ipynb']);
    expect(readFileSync(join(alice.home, 'notebooks', 'study.ipynb'), 'utf8')).toBe(cells);
  });

  step('shows and downloads', async () => {
    const all = await alice.said(['show', 'alice']);
    expect(all).toMatch(/^exit 0/);
    expect(all).not.toContain('Logging error');
    for (const name of ['tool', 'my.wheel', 'stack', 'study']) expect(all).toContain(name);
    expect(await alice.said(['show', `alice/tool/1.0/linux-64/${tool.filename}`])).toMatch(/^exit 0\n[\s\S]*sha256/);
    expect(await alice.said(['show', 'alice/none'])).toMatch(/^exit 1/);
    mkdirSync(join(alice.home, 'packages', 'linux-64'), { recursive: true });
    await alice.ok(['download', 'alice/tool', '-o', 'packages']);
    expect(readFileSync(join(alice.home, 'packages', 'linux-64', tool.filename)).equals(tool.bytes)).toBe(true);
  });

  step('makes, lists and removes tokens', async () => {
    const input = `${password}\n`;
    const { stdout } = await alice.ok(['auth', '-c', '-n', 'ci', '--scopes', 'repos conda:download'], { input });
    const token = secrets.keep('ci', stdout.trim());
    expect(token).toMatch(/^[A-Za-z0-9-]+$/);
    expect(await alice.said(['auth', '--list'])).toMatch(/^exit 0\n[\s\S]*\bci\b/);
    expect(await alice.said(['-t', token, 'auth', '--info'])).toMatch(/^exit 0\n[\s\S]*\bci\b/);
    await alice.ok(['auth', '--remove', 'ci']);
    expect((await ask(`${product.conda}/t/${token}/alice/noarch/repodata.json`)).status).toBe(401);
  });

  step('removes a file, a release, a package, and itself', async () => {
    await alice.ok(['remove', '-f', `alice/tool/1.0/linux-64/${tool.filename}`]);
    expect(await names()).toEqual([]);
    await alice.ok(['remove', '-f', 'alice/tool/1.1']);
    expect(await names('dev')).toEqual([]);
    await alice.ok(['remove', '-f', 'alice/tool']);
    expect(await alice.said(['show', 'alice/tool'])).toMatch(/^exit 1/);
    expect(await alice.said(['logout'])).toMatch(/logout successful/);
    expect(await alice.said(['whoami'])).toMatch(/Anonymous User/);
  });

  step('leaves no secret in what the product wrote', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
