import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { jest } from '@jest/globals';
import { aCondaPackage, anSdist, aWheel } from '@vivarium/testkit/builders';
import { skipUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { tarOf } from '@vivarium/testkit/tar-writer';
import { Anaconda } from './anaconda.js';
import { ask } from './ask.js';
import { condaFormats } from './formats.js';
import { Publisher } from './publisher.js';
import { PYTHON_IS_HERE, PYTHON_IS_MISSING, pythonOk } from './python.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

const step = skipUnless(PYTHON_IS_HERE, 'every command of the anaconda client', PYTHON_IS_MISSING);

const secrets = new Secrets();
let product: Product;
let alice: Anaconda;
let bob: Anaconda;
let nobody: Anaconda;
/** What the client's user may not do, or what it has not got: by the API. */
let root: Publisher;
let password: string;
let bobs: string;
const tokens = { first: '', second: '', readOnly: '', organization: '' };

const demo = aCondaPackage({ name: 'demo', version: '1.0', subdir: 'linux-64' });
const demoFile = `linux-64/${demo.filename}`;

beforeAll(async () => {
  if (!PYTHON_IS_HERE) return;
  product = await startProduct();
  root = await Publisher.admin(product, secrets);
  [password, bobs] = [await makeUser('alice'), await makeUser('bob')];
  [alice, bob, nobody] = await Promise.all([
    Anaconda.at(product.api),
    Anaconda.at(product.api),
    Anaconda.at(product.api),
  ]);
});

afterAll(async () => {
  await Promise.all([alice, bob, nobody].map((client) => client?.stop()));
  await product?.stop();
});

async function makeUser(login: string): Promise<string> {
  const chosen = secrets.keep(`password of ${login}`, randomBytes(12).toString('hex'));
  const body = { login, email: `${login}@example.org`, password: chosen, superuser: false };
  await root.expectCall(201, 'POST', '/users', body);
  return chosen;
}

/** Writes a file into somebody's home folder and gives its path. */
function put(client: Anaconda, filename: string, bytes: Uint8Array): string {
  const path = join(client.folder('files'), filename);
  writeFileSync(path, bytes);
  return path;
}

function tokenFileOf(client: Anaconda): string {
  const folder = join(client.home, 'binstar', 'data');
  return join(folder, readdirSync(folder).find((each) => each.endsWith('.token')) ?? 'no token');
}

function tokenOf(client: Anaconda): string {
  return secrets.keep('a stored token', readFileSync(tokenFileOf(client), 'utf8'));
}

const api = (token: string | undefined, path: string, method = 'GET', body?: object) =>
  ask(product.api + path, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token === undefined ? {} : { Authorization: `token ${token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const names = async (label?: string, token?: string, channel = 'alice', subdir = 'linux-64') =>
  (await condaFormats({ product, channel, token, ...(label === undefined ? {} : { label }) }, subdir)).json;

describe('accounts and tokens', () => {
  step('1–2: is configured, and is anonymous', async () => {
    expect(
      (await alice.ok(['config', '--get', 'url'])).stdout + (await alice.said(['config', '--get', 'url'])),
    ).toContain(product.api);
    expect(await alice.said(['whoami'])).toMatch(/^exit 0\n[\s\S]*Anonymous User/);
  });

  step('3: three wrong passwords end it, and it says where help is', async () => {
    const said = await alice.said(['login', '--username', 'alice', '--password', 'WRONG'], { input: 'no\nnever\n' });
    expect(said).toMatch(/^exit 1/);
    expect(said).toMatch(/Invalid Username password combination/i);
    expect(said).toContain('forgot_password');
  });

  step('4: signs in, and keeps the token where only its user reads it', async () => {
    expect(await alice.said(['login', '--username', 'alice', '--password', password])).toMatch(
      /^exit 0\n[\s\S]*login successful/i,
    );
    expect(statSync(tokenFileOf(alice)).mode & 0o777).toBe(0o600);
    tokens.first = tokenOf(alice);
    expect(tokens.first).toMatch(/^[A-Za-z0-9-]+$/);
  });

  step('5: asks before it replaces the token, whose end is the old one’s', async () => {
    const login = ['login', '--username', 'alice', '--password', password];
    expect(await alice.said(login, { input: 'n\n' })).toMatch(/^exit 1/);
    expect((await api(tokens.first, '/user')).status).toBe(200);
    expect(await alice.said(login, { input: 'y\n' })).toMatch(/^exit 0/);
    tokens.second = tokenOf(alice);
    expect(tokens.second).not.toBe(tokens.first);
    expect((await api(tokens.first, '/user')).status).toBe(401);
    expect((await api(tokens.second, '/user')).status).toBe(200);
  });

  step('6: knows who it is', async () => {
    const said = await alice.said(['whoami']);
    expect(said).toMatch(/^exit 0/);
    expect(said).toMatch(/alice/);
    expect(said).toMatch(/Member since/);
  });

  step('7: makes a token that may only read, alone on standard output', async () => {
    const command = ['auth', '-c', '-n', 'ro', '--scopes', 'repos conda:download', '--max-age', '3600'];
    const { stdout } = await alice.ok(command, { input: `${password}\n` });
    expect(stdout).toMatch(/^[A-Za-z0-9-]+$/);
    tokens.readOnly = secrets.keep('ro', stdout);
    const again = await alice.said(command, { input: `${password}\n` });
    expect(again).toMatch(/^exit 1\n[\s\S]*has a token named "ro" already/);
  });

  step('8: lists, describes, and knows the scopes', async () => {
    const list = await alice.said(['auth', '--list']);
    expect(list).toMatch(/^exit 0/);
    expect(list).toMatch(/\bro\b/);
    expect(list).toMatch(/conda:download/);
    expect(list).toMatch(/1\.0 hours|60 minutes|59 minutes/);
    const info = await alice.said(['-t', tokens.readOnly, 'auth', '--info']);
    expect(info).toMatch(/^exit 0\n[\s\S]*Name:?\s+ro\b/i);
    const scopes = await alice.said(['auth', '--list-scopes']);
    for (const scope of ['all', 'api:read', 'conda:upload', 'pypi:download', 'repos']) expect(scopes).toContain(scope);
  });

  step('refuses ages and scopes that cannot be, naming what can', async () => {
    const create = (...more: string[]) => alice.said(['auth', '-c', '-n', 'odd', ...more], { input: `${password}\n` });
    expect(await create('--scopes', 'conda:fly')).toMatch(/^exit 1\n[\s\S]*conda:fly[\s\S]*conda:download/);
    expect(await create('--max-age', '0')).toMatch(/^exit 1/);
    expect(await create('--max-age', '6311520000')).toMatch(/^exit 1/);
    expect((await alice.said(['auth', '--list'])).includes('odd')).toBe(false);
  });
});

describe('uploads', () => {
  step('9: a conda package is in the index when the client says it is done', async () => {
    const said = await alice.said(['upload', put(alice, demo.filename, demo.bytes)]);
    expect(said).toMatch(/^exit 0\n[\s\S]*Upload complete/);
    const url =
      /(http:\/\/\S+)/.exec(said.slice(said.indexOf('Upload complete')))?.[1] ?? said.match(/http:\S+/g)?.at(-1);
    expect(url).toContain(product.url);
    expect((await ask(url ?? '')).status).toBe(200);
    expect(await names()).toEqual([demo.filename]);
    const repodata = (await ask(`${product.conda}/alice/linux-64/repodata.json`)).json<{
      'packages.conda': Record<string, { sha256: string; md5: string; size: number }>;
    }>();
    expect(repodata['packages.conda'][demo.filename]).toMatchObject({
      sha256: demo.sha256,
      md5: demo.md5,
      size: demo.bytes.length,
    });
  });

  step('10: again it exists; it is skipped, or replaced, as told', async () => {
    const path = put(alice, demo.filename, demo.bytes);
    expect(await alice.said(['upload', path])).toMatch(/^exit 1\n[\s\S]*already exists/i);
    expect(await alice.said(['upload', '--skip-existing', path])).toMatch(/^exit 0\n[\s\S]*skipp?ing/i);
    const other = aCondaPackage({ name: 'demo', version: '1.0', subdir: 'linux-64', files: { 'a.txt': 'other' } });
    expect(await alice.said(['upload', '--force', put(alice, demo.filename, other.bytes)])).toMatch(/^exit 0/);
    expect((await api(tokens.second, `/dist/alice/demo/1.0/${demoFile}`)).json<{ sha256: string }>().sha256).toBe(
      other.sha256,
    );
    await alice.ok(['upload', '--force', put(alice, demo.filename, demo.bytes)]);
    expect((await api(tokens.second, '/release/alice/demo/1.0')).status).toBe(200);
  });

  step('11: a token that may only read is told which scope it lacks, and nothing is made', async () => {
    const fresh = aCondaPackage({ name: 'fresh', version: '1.0' });
    const said = await alice.said(['-t', tokens.readOnly, 'upload', put(alice, fresh.filename, fresh.bytes)]);
    expect(said).toMatch(/^exit 1\n[\s\S]*lacks the scope (conda:upload|api:read|api:write)/);
    expect((await api(tokens.second, '/package/alice/fresh')).status).toBe(404);
  });

  step('12: an epoch and a local version go round', async () => {
    const odd = aCondaPackage({ name: 'demo', version: '1!2.0+local.1', build: 'py_3' });
    const path = put(alice, odd.filename, odd.bytes);
    await alice.ok(['upload', path]);
    const spec = `alice/demo/1!2.0+local.1/noarch/${odd.filename}`;
    expect(await alice.said(['show', spec])).toMatch(/^exit 0/);
    for (const subdir of ['noarch', 'linux-64']) alice.folder('odd', subdir);
    for (const subdir of ['noarch', 'linux-64']) alice.folder(subdir);
    const said = await alice.said(['download', 'alice/demo', '-o', 'odd']);
    expect(said).toMatch(/^exit 0/);
    expect([said, readdirSync(join(alice.home, 'odd', 'noarch'))]).toEqual([said, [odd.filename]]);
    expect(readFileSync(join(alice.home, 'odd', 'noarch', odd.filename))).toEqual(odd.bytes);
    await alice.ok(['remove', '-f', spec]);
    expect(await names(undefined, undefined, 'alice', 'noarch')).not.toContain(odd.filename);
  });

  step('13: labels take it away from main', async () => {
    const labelled = aCondaPackage({ name: 'labelled', version: '1.0', subdir: 'linux-64' });
    await alice.ok(['upload', '-l', 'dev', '-l', 'rc', put(alice, labelled.filename, labelled.bytes)]);
    expect(await names()).not.toContain(labelled.filename);
    expect(await names('dev')).toEqual([labelled.filename]);
    expect(await names('rc')).toEqual([labelled.filename]);
  });

  step('14: wheels and an sdist become one project that pip installs', async () => {
    const files = [
      aWheel({ name: 'My.Demo_Pkg', version: '1.0', requiresPython: '>=3.8' }),
      aWheel({ name: 'My.Demo_Pkg', version: '1.0+cu118' }),
      anSdist({ name: 'My.Demo_Pkg', version: '0.9' }),
    ];
    for (const { filename, bytes } of files) await alice.ok(['upload', '--summary', 's', put(alice, filename, bytes)]);
    const page = (await ask(`${product.pypi}/alice/simple/my-demo-pkg/`, { headers: { Accept: 'text/html' } })).text();
    for (const { filename, sha256 } of files) {
      expect(page).toContain(encodeURI(filename).replaceAll('+', '%2B').slice(0, 10));
      expect(page).toContain(sha256);
    }
    expect(page).toContain('data-requires-python');
    const target = alice.folder('site');
    const index = ['--index-url', `${product.pypi}/alice/simple/`, '--no-deps', '--target', target];
    await pythonOk('pip', ['install', ...index, 'my-demo-pkg==1.0']);
    expect(readdirSync(target).some((name) => name.endsWith('.dist-info'))).toBe(true);
  });

  step('15: an R package and any file are stored as they are', async () => {
    const r = gzipSync(
      tarOf([
        {
          path: 'rpkg/DESCRIPTION',
          bytes: 'Package: rpkg\nVersion: 0.1\nTitle: An R package\nDescription: d\nLicense: MIT\n',
        },
        { path: 'rpkg/NAMESPACE', bytes: 'export(f)\n' },
      ]),
    );
    await alice.ok(['upload', put(alice, 'rpkg_0.1.tar.gz', r)]);
    const file = ['upload', '-t', 'file', '-p', 'blob', '-v', '1', '--summary', 's'];
    await alice.ok([...file, put(alice, 'any.bin', randomBytes(1_000))]);
    await alice.ok([...file, put(alice, 'empty.bin', new Uint8Array())]);
    const types = (await api(tokens.second, '/packages/alice')).json<{ name: string; package_types: string[] }[]>();
    expect(types.find(({ name }) => name === 'rpkg')?.package_types).toEqual(['r']);
    expect(types.find(({ name }) => name === 'blob')?.package_types).toEqual(['file']);
    expect((await api(tokens.second, '/download/alice/blob/1/empty.bin')).bytes.length).toBe(0);
  });
});

describe('what is private', () => {
  const priv = aCondaPackage({ name: 'priv', version: '1.0', subdir: 'linux-64' });

  step('16: is made private, and is missing to strangers', async () => {
    await alice.ok(['package', 'alice/priv', '--create', '--private', '--summary', 's']);
    await alice.ok(['upload', '--private', put(alice, priv.filename, priv.bytes)]);
    const hidden = aWheel({ name: 'priv-wheel', version: '1.0' });
    await alice.ok(['upload', '--private', '--summary', 's', put(alice, hidden.filename, hidden.bytes)]);
    for (const path of [
      '/package/alice/priv',
      '/package/alice/priv-wheel',
      `/dist/alice/priv/1.0/linux-64/${priv.filename}`,
    ]) {
      expect((await api(undefined, path)).status).toBe(404);
    }
    expect(await names()).not.toContain(priv.filename);
    expect(await alice.said(['show', 'alice/priv'])).toMatch(/Access:?\s+private/i);
  });

  step('17: is opened by a token in the URL, and a wrong token is loud', async () => {
    expect(await names(undefined, tokens.readOnly)).toContain(priv.filename);
    const bad = await ask(`${product.conda}/t/viv-wrong/alice/linux-64/repodata.json`);
    expect(bad.status).toBe(401);
  });

  step('18: is shared with a collaborator, who may upload to it and to nothing else', async () => {
    await bob.ok(['login', '--username', 'bob', '--password', bobs]);
    tokenOf(bob);
    await alice.ok(['package', 'alice/priv', '--add-collaborator', 'bob']);
    expect(await alice.said(['package', 'alice/priv', '--list-collaborators'])).toMatch(/^exit 0\n[\s\S]*bob/);
    const second = aCondaPackage({ name: 'priv', version: '2.0', subdir: 'linux-64' });
    await bob.ok(['upload', '-u', 'alice', put(bob, second.filename, second.bytes)]);
    const other = aCondaPackage({ name: 'demo', version: '9.0', subdir: 'linux-64' });
    expect(await bob.said(['upload', '-u', 'alice', put(bob, other.filename, other.bytes)])).toMatch(
      /^exit 1\n[\s\S]*bob may not/,
    );
    expect(await names(undefined, tokenOf(bob))).toEqual(expect.arrayContaining([priv.filename, second.filename]));
    expect(await names()).not.toContain(second.filename);
  });
});

describe('organizations', () => {
  const shared = aCondaPackage({ name: 'demo', version: '3.0', subdir: 'linux-64' });

  step('19: takes uploads of its owners, refuses others, and one that is not there is none', async () => {
    const made = await api(tokens.second, '/organizations', 'POST', {
      login: 'acme',
      name: 'Acme',
      email: 'a@example.org',
    });
    expect(made.status).toBe(201);
    await alice.ok(['upload', '-u', 'acme', put(alice, shared.filename, shared.bytes)]);
    expect(await names(undefined, undefined, 'acme')).toEqual([shared.filename]);
    const theirs = aCondaPackage({ name: 'demo', version: '4.0', subdir: 'linux-64' });
    expect(await bob.said(['upload', '-u', 'acme', put(bob, theirs.filename, theirs.bytes)])).toMatch(
      /^exit 1\n[\s\S]*bob may not/,
    );
    expect(await alice.said(['upload', '-u', 'nosuch', put(alice, shared.filename, shared.bytes)])).toMatch(
      /^exit 1\n[\s\S]*nosuch/,
    );
  });

  step('20: gives rights through groups, and takes them', async () => {
    await alice.ok(['groups', 'add', 'acme/devs', '--perms', 'write']);
    await alice.ok(['groups', 'add_member', 'acme/devs/bob']);
    await alice.ok(['groups', 'add_member', 'acme/devs/bob']);
    await alice.ok(['groups', 'add_package', 'acme/devs/demo']);
    expect(await alice.said(['groups', 'show', 'acme'])).toMatch(/devs[\s\S]*owners|owners[\s\S]*devs/);
    expect(await alice.said(['groups', 'show', 'acme/devs'])).toMatch(/write/);
    expect(await alice.said(['groups', 'members', 'acme/devs'])).toMatch(/bob/);
    expect(await alice.said(['groups', 'packages', 'acme/devs'])).toMatch(/acme\/demo/);
    const theirs = aCondaPackage({ name: 'demo', version: '4.0', subdir: 'linux-64' });
    await bob.ok(['upload', '-u', 'acme', put(bob, theirs.filename, theirs.bytes)]);
    const inbox = (await api(tokenOf(bob), '/inbox')).json<{ items: object[] }>();
    expect(JSON.stringify(inbox.items)).toMatch(/acme[\s\S]*devs|devs[\s\S]*acme/);
    await alice.ok(['groups', 'remove_package', 'acme/devs/demo']);
    await alice.ok(['groups', 'add_package', 'acme/devs/demo']);
    await alice.ok(['groups', 'remove_member', 'acme/devs/bob']);
    const more = aCondaPackage({ name: 'demo', version: '5.0', subdir: 'linux-64' });
    expect(await bob.said(['upload', '-u', 'acme', put(bob, more.filename, more.bytes)])).toMatch(
      /^exit 1\n[\s\S]*bob may not/,
    );
    expect(await alice.said(['groups', 'remove_member', 'acme/owners/alice'])).toMatch(/^exit 1\n[\s\S]*last owner/);
  });

  step('21: has a token of its own, for itself only', async () => {
    const create = ['auth', '-c', '-n', 'orgtok', '-o', 'acme', '--scopes', 'all'];
    const { stdout } = await alice.ok(create, { input: `${password}\n` });
    tokens.organization = secrets.keep('orgtok', stdout);
    const file = aCondaPackage({ name: 'by-token', version: '1.0', subdir: 'linux-64' });
    const path = put(alice, file.filename, file.bytes);
    await alice.ok(['-t', tokens.organization, 'upload', '-u', 'acme', path]);
    expect(await alice.said(['-t', tokens.organization, 'upload', '-u', 'alice', path])).toMatch(/^exit 1/);
    expect(await alice.said(['auth', '-r', 'orgtok', '-o', 'acme'])).toMatch(/^exit 0\n[\s\S]*Removed token orgtok/);
    expect((await api(tokens.organization, '/user')).status).toBe(401);
  });
});

describe('looking', () => {
  step('22: shows accounts, packages, releases and files, and says what is not there', async () => {
    const tables = [
      ['alice', /demo[\s\S]*priv|priv[\s\S]*demo/],
      ['alice/demo', /1\.0/],
      ['alice/demo/1.0', /demo-1\.0-0/],
      [`alice/demo/1.0/${demoFile}`, /demo-1\.0-0/],
    ] as const;
    for (const [spec, expected] of tables) {
      const said = await alice.said(['show', spec]);
      expect(said).toMatch(/^exit 0/);
      expect(said).toMatch(expected);
      expect(said).not.toMatch(/Logging error|Traceback/);
    }
    expect(await alice.said(['show', 'alice/none'])).toMatch(/^exit 1\n[\s\S]*does not exist/);
    expect(await alice.said(['show', 'alice'])).toMatch(/acme/);
  });

  step('23: finds what it may see', async () => {
    expect(await nobody.said(['search', 'demo'])).toMatch(/^exit 0\n[\s\S]*alice\/demo/);
    expect(await nobody.said(['search', 'priv'])).not.toMatch(/alice\/priv/);
    expect(await alice.said(['search', 'priv'])).toMatch(/alice\/priv/);
    expect(await nobody.said(['search', 'demo', '-t', 'conda', '-p', 'linux-64'])).toMatch(/alice\/demo/);
    expect(await nobody.said(['search', 'demo', '-t', 'conda', '-p', 'win-64'])).not.toMatch(/alice\/demo/);
  });
});

describe('labels, copies and moves', () => {
  step('24: labels are listed, shown, copied, locked, unlocked and removed', async () => {
    expect(await alice.said(['label', '--list'])).toMatch(/^exit 0\n[\s\S]*dev[\s\S]*main/);
    expect(await alice.said(['label', '--show', 'main'])).toMatch(/alice\/demo\/1\.0/);
    await alice.ok(['label', '--copy', 'dev', 'prod']);
    expect(await names('prod')).toEqual(await names('dev'));
    await alice.ok(['label', '--lock', 'dev']);
    expect(await alice.said(['label', '--list'])).toMatch(/dev\s*\[locked\]/);
    const file = aCondaPackage({ name: 'late', version: '1.0', subdir: 'linux-64' });
    expect(await alice.said(['upload', '-l', 'dev', put(alice, file.filename, file.bytes)])).toMatch(
      /^exit 1\n[\s\S]*label dev of alice is locked/,
    );
    await alice.ok(['label', '--unlock', 'dev']);
    await alice.ok(['label', '--remove', 'prod']);
    expect(await names('prod')).toEqual([]);
    expect(await alice.said(['label', '--list'])).not.toMatch(/prod/);
    expect(await alice.said(['label', '--copy', 'dev', 'lock'])).toMatch(/^exit 1/);
  });

  step('25: copies go to another owner, and collisions are said', async () => {
    const copy = ['copy', 'alice/demo/1.0', '--to-owner', 'acme'];
    expect(await alice.said(copy)).toMatch(/^exit 0\n[\s\S]*Copied 1 files?/);
    expect(await names(undefined, undefined, 'acme')).toContain(demo.filename);
    expect(await alice.said(copy)).toMatch(/^exit 1\n[\s\S]*conflict/i);
    await alice.ok([...copy, '--update']);
    await alice.ok([...copy, '--replace']);
    expect(await alice.said([...copy, '--from-label', 'nope'])).toMatch(/Label nope does not exist/);
    await alice.ok(['copy', 'alice/priv/1.0', '--to-owner', 'acme']);
    expect(await names(undefined, undefined, 'acme')).not.toContain('priv-1.0-0.conda');
    expect((await api(undefined, '/package/acme/priv')).status).toBe(404);
  });

  step('26: moves change the label', async () => {
    expect(await alice.said(['move', 'alice/demo/1.0', '--from-label', 'main', '--to-label', 'Dev'])).toMatch(
      /^exit 0/,
    );
    expect(await names()).not.toContain(demo.filename);
    expect(await names('dev')).toContain(demo.filename);
    await alice.ok(['move', 'alice/demo/1.0', '--from-label', 'dev', '--to-label', 'main']);
    expect(await names()).toContain(demo.filename);
  });
});

describe('downloads, updates and removals', () => {
  step('27: downloads the same bytes, and private ones by right only', async () => {
    alice.folder('out', 'linux-64');
    alice.folder('linux-64');
    await alice.ok(['download', 'alice/demo', '-o', 'out']);
    const bytes = readFileSync(join(alice.home, 'out', demoFile));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(demo.sha256);
    nobody.folder('linux-64');
    await nobody.run(['download', 'alice/priv', '-o', '.']);
    expect(readdirSync(join(nobody.home, 'linux-64'))).toEqual([]);
    bob.folder('linux-64');
    await bob.ok(['download', 'alice/priv', '-o', '.']);
    expect(readdirSync(join(bob.home, 'linux-64')).length).toBe(2);
  });

  step('28: updates what is said of a package and a release', async () => {
    const metadata = put(alice, 'meta.json', Buffer.from(JSON.stringify({ public_attrs: { summary: 'said anew' } })));
    await alice.ok(['update', 'alice/demo', metadata]);
    expect(await alice.said(['show', 'alice/demo'])).toMatch(/said anew/);
    await alice.ok(['update', 'alice/demo/1.0', put(alice, demo.filename, demo.bytes), '--release']);
    expect(await alice.said(['upload', '-m', '--force', put(alice, demo.filename, demo.bytes)])).toMatch(/^exit 2/);
  });

  step('29: removes a file, a release and a package, asking first', async () => {
    await alice.ok(['remove', '-f', `alice/demo/1.0/${demoFile}`]);
    expect(await names()).not.toContain(demo.filename);
    await alice.ok(['remove', '-f', 'alice/demo/1.0']);
    await alice.ok(['remove', '-f', 'alice/demo']);
    expect((await api(tokens.second, '/package/alice/demo')).status).toBe(404);
    expect(await alice.said(['remove', 'alice/My.Demo_Pkg'], { input: 'y\n' })).toMatch(/^exit 0/);
    expect((await ask(`${product.pypi}/alice/simple/my-demo-pkg/`)).status).toBe(404);
  });

  step('30: an upload whose bytes were spoilt leaves nothing behind', async () => {
    const file = aCondaPackage({ name: 'spoilt', version: '1.0' });
    const me = new Publisher(product, secrets, 'alice', tokens.second);
    const distribution = {
      type: 'conda',
      name: 'spoilt',
      version: '1.0',
      basename: `noarch/${file.filename}`,
      bytes: file.bytes,
      attrs: {},
    } as const;
    await me.register(distribution);
    const ticket = await me.stage(distribution);
    const answer = await me.post(ticket, distribution.basename, file.bytes, Buffer.alloc(16).toString('base64'));
    expect(answer.status).toBe(400);
    expect(answer.text()).toMatch(/<Code>(InvalidDigest|BadDigest)<\/Code>/);
    for (const path of ['/release/alice/spoilt/1.0', '/package/alice/spoilt']) {
      expect((await api(tokens.second, path, 'DELETE')).status).toBe(201);
    }
  });
});

describe('the end of tokens', () => {
  step('31: a removed token is nobody', async () => {
    expect(await alice.said(['auth', '-r', 'ro'])).toMatch(/^exit 0\n[\s\S]*Removed token ro/);
    expect(await alice.said(['-t', tokens.readOnly, 'whoami'])).toMatch(/Anonymous User/);
    const file = aCondaPackage({ name: 'late', version: '2.0' });
    const path = put(alice, file.filename, file.bytes);
    expect(await alice.said(['-t', tokens.readOnly, 'upload', path])).toMatch(/^exit 1\n[\s\S]*revoked/);
  });

  step('32: one that runs out warns before, and says so after', async () => {
    const create = ['auth', '-c', '-n', 'short', '--scopes', 'all', '--max-age', '2'];
    const short = secrets.keep('short', (await alice.ok(create, { input: `${password}\n` })).stdout);
    const fresh = await api(short, '/user');
    if (fresh.status === 200) expect(fresh.headers['conda-token-warning']).toMatch(/expires/);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const file = aCondaPackage({ name: 'late', version: '3.0' });
    const path = put(alice, file.filename, file.bytes);
    expect(await alice.said(['-t', short, 'upload', path])).toMatch(/^exit 1\n[\s\S]*expired/);
  });

  step('33: signs out, and the token is of no use any more', async () => {
    expect(await alice.said(['logout'])).toMatch(/^exit 0\n[\s\S]*logout successful/i);
    expect((await api(tokens.second, '/user')).status).toBe(401);
    expect(await alice.said(['whoami'])).toMatch(/Anonymous User/);
  });
});

describe('other ways in', () => {
  step('35: the address of the API may end in a slash', async () => {
    const slashed = await Anaconda.at(`${product.api}/`);
    try {
      expect((await ask(product.api, { method: 'HEAD' })).status).toBe(200);
      await slashed.ok(['login', '--username', 'alice', '--password', password]);
      tokenOf(slashed);
      const file = aCondaPackage({ name: 'slashed', version: '1.0', subdir: 'linux-64' });
      await slashed.ok(['upload', put(slashed, file.filename, file.bytes)]);
      expect(await names()).toContain(file.filename);
      await slashed.ok(['remove', '-f', 'alice/slashed']);
      await slashed.ok(['logout']);
    } finally {
      await slashed.stop();
    }
  });

  step('37: five at once, and a hundred in one command, are all in the index', async () => {
    await alice.ok(['login', '--username', 'alice', '--password', password]);
    const token = tokenOf(alice);
    const clients = await Promise.all(Array.from({ length: 5 }, () => Anaconda.at(product.api)));
    try {
      const builds = clients.map((_, build) =>
        aCondaPackage({ name: 'parallel', version: '1.0', subdir: 'linux-64', build: `${build}` }),
      );
      await Promise.all(
        clients.map((client, at) => {
          const { filename = '', bytes = new Uint8Array() } = builds[at] ?? {};
          return client.ok(['-t', token, 'upload', put(client, filename, bytes)]);
        }),
      );
      expect(await names()).toEqual(expect.arrayContaining(builds.map(({ filename }) => filename)));
      const many = Array.from({ length: 100 }, (_, at) =>
        aCondaPackage({ name: 'many', version: `1.${at}`, subdir: 'linux-64' }),
      );
      await alice.ok(['upload', ...many.map(({ filename, bytes }) => put(alice, filename, bytes))]);
      expect((await names()).filter((name) => name.startsWith('many-'))).toHaveLength(100);
    } finally {
      await Promise.all(clients.map((client) => client.stop()));
    }
  });

  step('says no secret in any log', () => {
    expect(secrets.toldBy(product)).toEqual([]);
    expect(secrets.size).toBeGreaterThan(8);
  });
});
