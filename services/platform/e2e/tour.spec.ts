import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import { aCondaPackage, anSdist, aWheel, canBzip2 } from '@vivarium/testkit/builders';
import { newHome, removeHome } from '@vivarium/testkit/clients';
import { noteMissing, skipUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { findProgram, venvBin } from '@vivarium/testkit/programs';
import { ask, basic } from './ask.js';
import { condaPackage, sdist, wheel } from './distributions.js';
import { formUpload } from './form-upload.js';
import { condaBase, condaFormats, simpleBase, simpleFiles, simpleFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { type Format, PYTHON_IS_HERE, PYTHON_IS_MISSING, python, pythonOk, rattlerInstall } from './python.js';
import { install, solve } from './rattler.js';
import { filesIn, readmeTour, TourShell, tourIn } from './readme-tour.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const withPython = skipUnless(
  PYTHON_IS_HERE,
  'the tour with anaconda, py-rattler, pip, uv and twine',
  PYTHON_IS_MISSING,
);
const SAMPLES = fileURLToPath(new URL('../../../../shared/data/conda', import.meta.url));

const secrets = new Secrets();
let product: Product;
let admin: Publisher;
let home: string;

beforeAll(async () => {
  product = await startProduct();
  home = await newHome();
  admin = await Publisher.admin(product, secrets);
});

afterAll(async () => {
  await product?.stop();
  await removeHome(home);
});

describe('the tour of the README', () => {
  it('is read from the block behind its mark, command by command', () => {
    const readme =
      'x\n<!-- tour -->\n```sh\n# one\nexport A=1    # said\nanaconda upload \\\n  b.conda\n\n```\n```\nno\n```\n';
    expect(tourIn(readme)).toEqual(['export A=1    # said', 'anaconda upload    b.conda']);
    expect(tourIn('no tour')).toBeUndefined();
    expect(filesIn('anaconda upload --label dev a-1-0.conda')).toEqual(['a-1-0.conda']);
  });

  withPython('runs as it is written, to the last line', async () => {
    const commands = readmeTour() ?? [];
    expect(commands.length).toBeGreaterThan(5);
    const folder = await newHome();
    try {
      makeFilesOf(commands, folder);
      const path = [dirname(venvBin('anaconda') ?? ''), process.env.PATH ?? ''].join(delimiter);
      const shell = new TourShell(folder, { PATH: path, UV_CACHE_DIR: join(folder, 'uv') });
      for (const command of commands) {
        const here = command.replaceAll('http://127.0.0.1:8080', product.url);
        const asksForPassword = /anaconda (login|auth --create)/.test(here);
        const { code, stdout, stderr } = await shell.run(here, {
          ...(asksForPassword ? { input: `${product.admin.password}\n` } : {}),
        });
        expect({ command, code, output: code === 0 ? '' : stdout + stderr }).toEqual({ command, code: 0, output: '' });
      }
      const token = secrets.keep('TOKEN of the tour', await shell.valueOf('TOKEN'));
      secrets.keep('TOKEN2 of the tour', await shell.valueOf('TOKEN2'));
      expect(token).toMatch(/^viv-[a-z0-9-]+$/);
      expect(existsSync(join(folder, 'tour-site', 'my_demo', '__init__.py'))).toBe(true);
      // Its last line revokes the token: the same addresses are refused from now on.
      for (const address of [`/t/${token}/admin/noarch/repodata.json`, `/pypi/t/${token}/admin/simple/my-demo/`]) {
        expect((await ask(product.url + address)).status).toBe(401);
      }
    } finally {
      await removeHome(folder);
    }
  });
});

/** The files that the tour takes: real ones where they are, else made under the same name. */
function makeFilesOf(commands: readonly string[], folder: string): void {
  mkdirSync(join(folder, 'dist'));
  for (const { filename, bytes } of [
    aWheel({ name: 'tour-dist', version: '1.0' }),
    anSdist({ name: 'tour-dist', version: '1.0' }),
  ]) {
    writeFileSync(join(folder, 'dist', filename), bytes);
  }
  for (const name of commands.flatMap(filesIn)) {
    const sample = join(SAMPLES, 'linux-64', name);
    if (existsSync(sample)) copyFileSync(sample, join(folder, name));
    else writeFileSync(join(folder, name), bytesFor(name));
  }
}

function bytesFor(filename: string): Uint8Array {
  const stem = filename.replace(/\.(conda|tar\.bz2|whl|tar\.gz)$/, '');
  if (filename.endsWith('.whl') || filename.endsWith('.tar.gz')) {
    const [name = '', version = ''] = stem.split('-');
    return (filename.endsWith('.whl') ? aWheel({ name, version }) : anSdist({ name, version })).bytes;
  }
  const [, name = '', version = '', build = ''] = /^(.*)-([^-]+)-([^-]+)$/.exec(stem) ?? [];
  const format = filename.endsWith('.conda') ? 'conda' : 'tar.bz2';
  return aCondaPackage({ name, version, build, format, subdir: build === '0' ? 'noarch' : 'linux-64' }).bytes;
}

describe('what the clients of conda packages do', () => {
  const PASSWORD_SCOPES = ['repos', 'conda:download', 'pypi:download'];
  let token: string;

  beforeAll(async () => {
    await admin.upload(condaPackage({ name: 'open-lib', version: '1.0' }));
    await admin.upload(
      condaPackage({ name: 'open-app', version: '1.0', subdir: 'linux-64', depends: ['open-lib >=1'] }),
    );
    await admin.upload(condaPackage({ name: 'open-app', version: '2.0', subdir: 'linux-64', depends: ['open-lib'] }), {
      labels: ['dev'],
    });
    await admin.createPackage('closed-lib', { isPrivate: true });
    await admin.upload(condaPackage({ name: 'closed-lib', version: '1.0', depends: ['open-lib'] }));
    token = await admin.makeToken({ name: 'readers', scopes: PASSWORD_SCOPES });
  });

  it('solves and downloads a public package without any token', async () => {
    expect(await install(['open-app'], `${product.url}/conda/admin`)).toEqual([
      'open-app-1.0-0.conda',
      'open-lib-1.0-0.conda',
    ]);
  });

  it('solves and downloads a private package through /t/TOKEN, with the prefix in front of it and behind it', async () => {
    for (const base of [`/t/${token}/admin`, `/conda/t/${token}/admin`, `/t/${token}/conda/admin`]) {
      expect(await install(['closed-lib'], product.url + base)).toEqual([
        'closed-lib-1.0-0.conda',
        'open-lib-1.0-0.conda',
      ]);
    }
  });

  it('does not find the private package without a token', async () => {
    await expect(solve(['closed-lib'], `${product.url}/conda/admin`)).rejects.toThrow(/closed-lib/);
  });

  it('finds under a label what carries it, and elsewhere not', async () => {
    const [app] = await solve(['open-app'], `${product.url}/t/${token}/admin`);
    expect(app?.version).toBe('1.0');
    const labelled = { product, channel: 'admin', token, label: 'dev' };
    expect(await condaFormats(labelled, 'linux-64')).toEqual(inEveryFormat(['open-app-2.0-0.conda']));
    expect(await condaFormats({ ...labelled, label: 'unheard-of' }, 'linux-64')).toEqual(inEveryFormat([]));
  });

  it('takes a .tar.bz2 beside the .conda of the same build', async () => {
    if (!canBzip2()) return noteMissing('upload of a .tar.bz2', 'neither bzip2 nor python3 is installed');
    await admin.upload(condaPackage({ name: 'old-style', version: '1.0', format: 'tar.bz2' }));
    await admin.upload(condaPackage({ name: 'old-style', version: '1.0' }));
    const names = await condaFormats({ product, channel: 'admin' });
    for (const format of Object.values(names)) {
      expect(format).toEqual(expect.arrayContaining(['old-style-1.0-0.conda', 'old-style-1.0-0.tar.bz2']));
    }
  });

  it.each<[string, (known: string) => Readonly<Record<string, string>>]>([
    ['Authorization: token', (known) => ({ Authorization: `token ${known}` })],
    ['Authorization: Bearer', (known) => ({ Authorization: `Bearer ${known}` })],
    ['Basic with the user __token__', (known) => ({ Authorization: basic('__token__', known) })],
    ['Basic with any user', (known) => ({ Authorization: basic('anybody', known) })],
    ['Basic with the token as user', (known) => ({ Authorization: basic(known, '') })],
  ])('takes the token as %s', async (_, headersFor) => {
    const url = `${product.url}/conda/admin/noarch/closed-lib-1.0-0.conda`;
    expect((await ask(url, { headers: headersFor(token) })).status).toBe(200);
    expect((await ask(url)).status).toBe(404);
  });

  it('lets the token of the path win over what a .netrc adds', async () => {
    const url = `${product.url}/t/${token}/admin/noarch/closed-lib-1.0-0.conda`;
    expect((await ask(url, { headers: { Authorization: basic('somebody', 'else') } })).status).toBe(200);
  });

  it('answers on hosts of their own as below the paths of the main one', async () => {
    const host = (name: string) => ({ headers: { Host: `${name}.${new URL(product.url).host}` } });
    const { url } = product;
    expect((await ask(`${url}/t/${token}/admin/noarch/closed-lib-1.0-0.conda`, host('conda'))).status).toBe(200);
    expect((await ask(`${url}/admin/noarch/repodata.json`, host('conda'))).status).toBe(200);
    expect((await ask(`${url}/t/${token}/admin/simple/`, host('pypi'))).status).toBe(200);
    expect((await ask(`${url}/authentication-type`, host('api'))).json()).toEqual({ authentication_type: 'password' });
    expect((await ask(url, { ...host('api'), method: 'HEAD' })).status).toBe(200);
    expect((await ask(`${url}/admin/noarch/repodata.json`, host('other'))).status).toBe(421);
  });

  it('serves a channel at the root of the host, as conda rewrites addresses with a stored token', async () => {
    // For an API at http://HOST/api conda puts /t/TOKEN into every address below http://HOST/conda, and elsewhere at the root.
    for (const path of [`/conda/t/${token}/admin/noarch/repodata.json`, `/t/${token}/admin/noarch/repodata.json`]) {
      expect((await ask(product.url + path)).text()).toContain('closed-lib-1.0-0.conda');
    }
    expect((await ask(`${product.url}/admin/noarch/repodata.json`)).text()).toContain('open-lib-1.0-0.conda');
    const root = (await ask(product.api)).json<{ conda_url: string }>();
    expect(root.conda_url).toBe(product.conda);
  });

  it('answers the requests of conda itself, replayed: index, one shard, package, validators, resumed download', async () => {
    const headers = {
      'User-Agent':
        'conda/26.7.1 requests/2.32.5 CPython/3.12.11 Linux/6.12 debian/12 glibc/2.36 solver/libmamba conda-libmamba-solver/26.6.0 libmambapy/2.8.0',
      'Accept-Encoding': 'gzip, deflate, br, zstd',
      Accept: '*/*',
      Connection: 'keep-alive',
    };
    const base = `${product.url}/conda/t/${token}/admin`;
    for (const subdir of ['linux-64', 'noarch']) {
      const index = await ask(`${base}/${subdir}/repodata_shards.msgpack.zst`, { headers });
      expect([index.status, index.headers['content-encoding']]).toEqual([200, undefined]);
      const { etag = '', 'last-modified': modified } = index.headers;
      const validators = {
        'If-None-Match': etag,
        ...(modified === undefined ? {} : { 'If-Modified-Since': modified }),
      };
      const again = await ask(`${base}/${subdir}/repodata_shards.msgpack.zst`, {
        headers: { ...headers, ...validators },
      });
      expect([again.status, again.bytes.length]).toEqual([304, 0]);
      // conda keeps one tag for all files of a subdir: with that of another file it must get the whole.
      const other = await ask(`${base}/${subdir}/repodata.json.zst`, {
        headers: { ...headers, 'If-None-Match': etag },
      });
      expect(other.status).toBe(200);
      const classic = await ask(`${base}/${subdir}/current_repodata.json.zst`, { headers });
      expect(classic.status).toBe(404);
    }
    const url = `${base}/noarch/closed-lib-1.0-0.conda`;
    const whole = await ask(url, { headers });
    expect([whole.status, whole.headers['content-encoding']]).toEqual([200, undefined]);
    const half = whole.bytes.length >> 1;
    const rest = await ask(url, { headers: { ...headers, Range: `bytes=${half}-` } });
    expect(rest.status).toBe(206);
    expect(rest.headers['content-range']).toBe(`bytes ${half}-${whole.bytes.length - 1}/${whole.bytes.length}`);
    expect(Buffer.concat([whole.bytes.subarray(0, half), rest.bytes]).equals(whole.bytes)).toBe(true);
  });

  withPython.each<Format>(['shards', 'zst', 'json'])('installs with py-rattler from %s', async (format) => {
    const prefix = join(home, `prefix-${format}`);
    const names = await rattlerInstall(['closed-lib'], `${product.url}/t/${token}/admin`, format, prefix);
    expect(names).toEqual(['closed-lib-1.0-0.conda', 'open-lib-1.0-0.conda']);
    expect(readFileSync(join(prefix, 'share', 'closed-lib', 'version.txt'), 'utf8')).toBe('1.0\n');
  });

  withPython('installs with py-rattler from a label', async () => {
    const channel = `${product.url}/t/${token}/admin/label/dev`;
    const prefix = join(home, 'prefix-label');
    await admin.upload(condaPackage({ name: 'dev-only', version: '0.1' }), { labels: ['dev'] });
    expect(await rattlerInstall(['dev-only'], channel, 'shards', prefix)).toEqual(['dev-only-0.1-0.conda']);
  });
});

function inEveryFormat(names: readonly string[]) {
  return { json: names, 'json, gzipped': names, zst: names, shards: names };
}

describe('what the clients of Python packages do', () => {
  let token: string;
  let uploadToken: string;

  beforeAll(async () => {
    await admin.upload(wheel({ name: 'py-open', version: '1.0' }));
    await admin.upload(sdist({ name: 'py-open', version: '1.0' }));
    await admin.createPackage('py-closed', { isPrivate: true, type: 'pypi' });
    await admin.upload(wheel({ name: 'py-closed', version: '1.0', requiresDist: ['py-open'] }));
    token = await admin.makeToken({ name: 'py readers', scopes: ['repos', 'pypi:download'] });
    uploadToken = await admin.makeToken({ name: 'py writers', scopes: ['pypi:upload'] });
  });

  it('lists a wheel with its digest and its metadata, and both can be fetched', async () => {
    const from = { product, channel: 'admin', token };
    const [file] = await simpleFiles(from, 'py-closed');
    const url = new URL(file?.url ?? '', `${simpleBase(from)}/py-closed/`).href;
    expect(url).toContain(`/t/${token}/`);
    const metadata = await ask(`${url}.metadata`);
    expect([(await ask(url)).status, metadata.status]).toEqual([200, 200]);
    expect(metadata.text()).toContain('Requires-Dist: py-open');
  });

  it('lists a source distribution beside the wheel', async () => {
    const names = (await simpleFiles({ product, channel: 'admin' }, 'py-open')).map(({ filename }) => filename);
    expect([...names].sort()).toEqual(['py_open-1.0-py3-none-any.whl', 'py_open-1.0.tar.gz']);
  });

  it('takes an upload by form, as twine sends it, and the same again', async () => {
    const { filename, bytes, sha256 } = aWheel({ name: 'by-form', version: '1.0' });
    for (const slash of ['', '/']) {
      const answered = await ask(`${product.pypi}/admin/legacy${slash}`, {
        method: 'POST',
        ...formUpload({ name: 'by-form', version: '1.0', filename, bytes, sha256 }, uploadToken),
      });
      expect([answered.status, answered.text()]).toEqual([200, expect.any(String)]);
    }
    expect((await simpleFormats({ product, channel: 'admin' }))['pages json']).toContain(filename);
  });

  withPython.each([
    ['a token in the path', () => ({ index: `${product.pypi}/t/${token}/admin/simple`, netrc: false })],
    ['a token in the path, without simple', () => ({ index: `${product.pypi}/t/${token}/admin`, netrc: false })],
    ['a user and password in the URL', () => ({ index: withUser(`${product.pypi}/admin/simple`), netrc: false })],
    ['a .netrc', () => ({ index: `${product.pypi}/admin/simple`, netrc: true })],
  ] as const)('installs a private package with pip, with %s', async (name, how) => {
    const { index, netrc } = how();
    const target = join(home, `pip ${name}`);
    const own = await newHome();
    try {
      if (netrc) writeNetrc(own);
      const flags = ['--disable-pip-version-check', '--no-cache-dir', '--target', target];
      await pythonOk('pip', ['install', ...flags, '--index-url', index, 'py-closed'], { home: own });
      expect(existsSync(join(target, 'py_closed', '__init__.py'))).toBe(true);
      expect(existsSync(join(target, 'py_open', '__init__.py'))).toBe(true);
    } finally {
      await removeHome(own);
    }
  });

  withPython('installs from the address of one package with pip', async () => {
    const target = join(home, 'pip package');
    const index = `${product.pypi}/t/${token}/admin/py-open`;
    await pythonOk('pip', ['install', '--no-cache-dir', '--target', target, '--index-url', index, 'py-open']);
    expect(existsSync(join(target, 'py_open', '__init__.py'))).toBe(true);
  });

  withPython('builds and installs a source distribution with pip', async () => {
    const target = join(home, 'pip sdist');
    const flags = ['--no-cache-dir', '--no-binary', ':all:', '--no-build-isolation', '--target', target];
    await pythonOk('pip', ['install', ...flags, '--index-url', `${product.pypi}/admin/simple`, 'py-open']);
    expect(existsSync(join(target, 'py_open', '__init__.py'))).toBe(true);
  });

  withPython.each([
    ['a token in the path', () => ({ index: `${product.pypi}/t/${token}/admin/simple`, netrc: false })],
    ['a user and password in the URL', () => ({ index: withUser(`${product.pypi}/admin/simple`), netrc: false })],
    ['a .netrc', () => ({ index: `${product.pypi}/admin/simple`, netrc: true })],
  ] as const)('installs a private package with uv, with %s', async (name, how) => {
    const { index, netrc } = how();
    const target = join(home, `uv ${name}`);
    const own = await newHome();
    try {
      if (netrc) writeNetrc(own);
      const interpreter = venvBin('python') ?? '';
      const flags = ['--no-cache', '--python', interpreter, '--target', target];
      await pythonOk('uv', ['pip', 'install', ...flags, '--default-index', index, 'py-closed'], { home: own });
      expect(existsSync(join(target, 'py_closed', '__init__.py'))).toBe(true);
    } finally {
      await removeHome(own);
    }
  });

  withPython('uploads with twine, the same file a second time, and is refused other bytes', async () => {
    const dist = join(home, 'twine');
    mkdirSync(dist);
    const upload = [
      'upload',
      '--non-interactive',
      '--disable-progress-bar',
      '--repository-url',
      `${product.pypi}/admin/legacy/`,
    ];
    const twine = (file: string) =>
      python('twine', [...upload, '-u', '__token__', '-p', uploadToken, join(dist, file)]);
    const first = aWheel({ name: 'by-twine', version: '1.0' });
    writeFileSync(join(dist, first.filename), first.bytes);
    expect(await twine(first.filename)).toMatchObject({ code: 0 });
    expect(await twine(first.filename)).toMatchObject({ code: 0 });
    writeFileSync(join(dist, first.filename), aWheel({ name: 'by-twine', version: '1.0', description: 'other' }).bytes);
    const refused = await twine(first.filename);
    expect(refused.code).not.toBe(0);
    expect(refused.stdout + refused.stderr).toMatch(/409 Conflict[\s\S]*File already exists/);
    const [file] = await simpleFiles({ product, channel: 'admin' }, 'by-twine');
    expect(file?.hashes.sha256).toBe(first.sha256);
  });

  withPython('uploads with uv', async () => {
    const { filename, bytes } = aWheel({ name: 'by-uv', version: '1.0' });
    const path = join(home, filename);
    writeFileSync(path, bytes);
    const flags = [
      '--publish-url',
      `${product.pypi}/admin/legacy/`,
      '--token',
      uploadToken,
      '--trusted-publishing',
      'never',
    ];
    await pythonOk('uv', ['publish', ...flags, path]);
    expect((await simpleFiles({ product, channel: 'admin' }, 'by-uv')).map((file) => file.filename)).toEqual([
      filename,
    ]);
  });

  function withUser(url: string): string {
    return url.replace('://', `://__token__:${token}@`);
  }

  function writeNetrc(folder: string): void {
    writeFileSync(join(folder, '.netrc'), `machine 127.0.0.1\nlogin __token__\npassword ${token}\n`, { mode: 0o600 });
  }
});

describe('the real anaconda client', () => {
  const anaconda = (parameters: readonly string[], input?: string) =>
    python('anaconda', parameters, { home, ...(input === undefined ? {} : { input }) });
  let password: string;

  beforeAll(async () => {
    password = (await admin.makeUser('alice')).password;
  });

  const said = ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr;

  withPython('signs in, uploads real packages of both formats, and says where they are', async () => {
    expect(await anaconda(['config', '--set', 'url', product.api])).toMatchObject({ code: 0 });
    const wrong = await anaconda(['login', '--username', 'alice'], `wrong\n${password}\n`);
    expect([wrong.code, said(wrong)]).toEqual([0, expect.stringContaining('Invalid Username password combination')]);
    expect(said(await anaconda(['whoami']))).toContain('alice');
    for (const path of realPackages()) {
      const uploaded = await anaconda(['upload', path]);
      expect([uploaded.code, said(uploaded)]).toEqual([0, expect.stringContaining(product.url)]);
    }
    const again = await anaconda(['upload', ...realPackages().slice(0, 1)]);
    expect([again.code, said(again)]).toEqual([1, expect.stringContaining('already exist')]);
    expect(await anaconda(['upload', '--skip-existing', ...realPackages().slice(0, 1)])).toMatchObject({ code: 0 });
    expect((await condaFormats({ product, channel: 'alice' }, 'linux-64')).shards).toEqual(
      expect.arrayContaining(['zlib-1.2.11-h7b6447c_3.conda', 'zlib-1.2.11-h7b6447c_3.tar.bz2']),
    );
  });

  withPython('publishes privately from the start, and revokes a token by its name', async () => {
    expect(await anaconda(['package', 'alice/hush', '--create', '--private', '--summary', 's'])).toMatchObject({
      code: 0,
    });
    const path = join(home, 'hush-1.0-0.conda');
    writeFileSync(path, aCondaPackage({ name: 'hush', version: '1.0' }).bytes);
    expect(await anaconda(['upload', path])).toMatchObject({ code: 0 });
    const created = await anaconda(
      ['auth', '--create', '--name', 'hush readers', '--scopes', 'repos conda:download'],
      `${password}\n`,
    );
    const token = secrets.keep('token of hush readers', created.stdout.trim());
    expect(await install(['hush'], `${product.url}/t/${token}/alice`)).toEqual(['hush-1.0-0.conda']);
    expect((await ask(`${condaBase({ product, channel: 'alice' })}/noarch/hush-1.0-0.conda`)).status).toBe(404);
    const listed = said(await anaconda(['auth', '--list']));
    expect(listed).toContain('hush readers');
    expect(await anaconda(['auth', '--remove', 'hush readers'])).toMatchObject({ code: 0 });
    for (const file of [
      'repodata.json',
      'repodata_shards.msgpack.zst',
      'hush-1.0-0.conda',
      'zlib-1.2.11-h7b6447c_3.conda',
    ]) {
      const answered = await ask(`${product.url}/t/${token}/alice/noarch/${file}`);
      expect([file, answered.status, answered.text()]).toEqual([file, 401, expect.stringContaining('revoked')]);
    }
    await expect(solve(['zlib'], `${product.url}/t/${token}/alice`)).rejects.toThrow(/401/);
  });

  function realPackages(): readonly string[] {
    return ['zlib-1.2.11-h7b6447c_3.conda', 'zlib-1.2.11-h7b6447c_3.tar.bz2'].map((name) => {
      const sample = join(SAMPLES, 'linux-64', name);
      if (existsSync(sample)) return sample;
      const path = join(home, name);
      writeFileSync(path, bytesFor(name));
      return path;
    });
  }
});

it('tells none of the secrets of the tour in its output', () => {
  expect(secrets.size).toBeGreaterThan(3);
  expect(secrets.toldBy(product)).toEqual([]);
});

it('would have found one that was planted', () => {
  const token = secrets.keep('planted', 'viv-abcdefghijklmnopqrstuvwxyz012345-abcdef');
  for (const line of [token, basic('__token__', token), `GET /t/${token.slice(0, 20)}`, encodeURIComponent(token)]) {
    expect(secrets.foundIn(`a line with ${line} in it`)).toEqual(['planted']);
  }
  expect(secrets.foundIn('a line without')).toEqual([]);
});

if (findProgram('conda') === undefined)
  noteMissing('the tour with conda itself', 'conda is not installed; its requests are replayed instead');
