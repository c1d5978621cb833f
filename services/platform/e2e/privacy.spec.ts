import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { mintToken } from '@vivarium/token/format';
import { type Answered, ask, basic } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import {
  condaBase,
  condaFormats,
  HTML,
  HTML_V1,
  JSON_V1,
  shardsOf,
  simpleBase,
  simpleFiles,
  simpleFormats,
} from './formats.js';
import { type Distribution, Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const secrets = new Secrets();
let product: Product;
let admin: Publisher;
let alice: Publisher & { readonly password: string };
let bob: Publisher & { readonly password: string };
let aliceToken: string;
let bobToken: string;

const OPEN = condaPackage({ name: 'opened', version: '1.0' });
const MEMBERS = condaPackage({ name: 'member', version: '1.0' });
const HIDDEN = condaPackage({ name: 'hidden', version: '1.0' });
const PY_OPEN = wheel({ name: 'py-opened', version: '1.0' });
const PY_MEMBERS = wheel({ name: 'py-member', version: '1.0' });
const PY_HIDDEN = wheel({ name: 'py-hidden', version: '1.0' });

// A public, an authenticated and a private package of each kind, side by side in the channel of alice.
beforeAll(async () => {
  // Two gateways where each role is a process: what one was told must hold at the other.
  product = await startProduct({ gateways: 2 });
  admin = await Publisher.admin(product, secrets);
  alice = await admin.makeUser('alice');
  bob = await admin.makeUser('bob');
  for (const [conda, python] of [
    [OPEN, PY_OPEN],
    [MEMBERS, PY_MEMBERS],
    [HIDDEN, PY_HIDDEN],
  ] as const) {
    for (const each of [conda, python]) {
      if (each !== OPEN && each !== PY_OPEN) await alice.createPackage(each.name, { isPrivate: true, type: each.type });
      await alice.upload(each);
    }
  }
  for (const each of [MEMBERS, PY_MEMBERS]) await alice.setVisibility(each.name, 'authenticated');
  aliceToken = await alice.makeToken({ name: 'reader', scopes: ['repos'] });
  bobToken = await bob.makeToken({ name: 'reader', scopes: ['repos'] });
});

afterAll(async () => {
  await product?.stop();
});

const channel = (token?: string) => ({ product, channel: 'alice', token });
const filenames = (...packages: readonly { readonly basename: string }[]) =>
  packages.map(({ basename }) => basename.replace('noarch/', '')).sort();

function everyCondaFormat(names: readonly string[]) {
  return { json: names, 'json, gzipped': names, zst: names, shards: names };
}

function everySimpleFormat(packages: readonly { readonly name: string; readonly basename: string }[]) {
  const [projects, files] = [packages.map(({ name }) => name).sort(), filenames(...packages)];
  return { 'root html': projects, 'root json': projects, 'pages html': files, 'pages json': files };
}

/** How each gateway answers, the one that was told of the last change at the end. */
async function statusesAt(address: string): Promise<readonly number[]> {
  const headers = { Host: new URL(product.url).host };
  const statuses: number[] = [];
  for (const gateway of [...product.gateways].reverse()) {
    statuses.push((await ask(address.replace(product.url, gateway), { headers })).status);
  }
  return statuses;
}

/** The same from every gateway. */
function all(status: number): readonly number[] {
  return product.gateways.map(() => status);
}

describe('a private package next to public ones', () => {
  type Readers = readonly [string, () => string | undefined, readonly Distribution[], readonly Distribution[]];
  const readers: readonly Readers[] = [
    ['a stranger', () => undefined, [OPEN], [PY_OPEN]],
    ['another user', () => bobToken, [OPEN, MEMBERS], [PY_OPEN, PY_MEMBERS]],
    ['its owner', () => aliceToken, [OPEN, MEMBERS, HIDDEN], [PY_OPEN, PY_MEMBERS, PY_HIDDEN]],
  ];

  it.each(readers)('is in every index, or in none, for %s', async (_, token, conda, python) => {
    expect(await condaFormats(channel(token()))).toEqual(everyCondaFormat(filenames(...conda)));
    expect(await simpleFormats(channel(token()))).toEqual(everySimpleFormat(python));
  });

  it('leaves no trace of its name or digest in what a stranger gets', async () => {
    for (const path of await strangersAddresses()) {
      const { bytes, told } = await ask(path, { headers: { Accept: path.includes('/simple/') ? JSON_V1 : '*/*' } });
      const text = bytes.toString('latin1') + told.join();
      for (const trace of ['hidden', HIDDEN.sha256, PY_HIDDEN.sha256, 'member'])
        expect([path, text.includes(trace)]).toEqual([path, false]);
    }
  });

  async function strangersAddresses(): Promise<readonly string[]> {
    const base = condaBase(channel());
    const files = [
      'repodata.json',
      'repodata_shards.msgpack.zst',
      'channeldata.json',
      'notices.json',
      'run_exports.json',
    ];
    const subdirs = files.flatMap((file) => ['noarch', 'linux-64'].map((subdir) => `${base}/${subdir}/${file}`));
    return [...subdirs, `${base}/channeldata.json`, `${simpleBase(channel())}/`, `${simpleBase(channel())}/py-opened/`];
  }

  describe('answers byte for byte like one that does not exist', () => {
    // Pairs of addresses that differ in one word of the same length.
    const pairs = async (): Promise<readonly (readonly [what: string, hidden: string, missing: string])[]> => {
      const [conda, simple] = [condaBase(channel()), simpleBase(channel())];
      const owned = condaBase(channel(aliceToken));
      const shard = (await shardsOf(`${owned}/noarch`)).get('hidden')?.split('/').at(-1) ?? '';
      const [file] = await simpleFiles(channel(aliceToken), 'py-hidden');
      const wheelPath = file?.url.replace('../../', '') ?? '';
      const at = (path: string) => [path, path.replaceAll('hidden', 'absent')] as const;
      const noShard = `${'0'.repeat(64)}.msgpack.zst`;
      const noWheel = wheelPath.replace(PY_HIDDEN.sha256, '0'.repeat(64)).replace('hidden', 'absent');
      return [
        ['an artifact', ...at(`${conda}/noarch/hidden-1.0-0.conda`)],
        ['an artifact in another subdir', ...at(`${conda}/linux-64/hidden-1.0-0.conda`)],
        ['an artifact under a label', ...at(`${conda}/label/main/noarch/hidden-1.0-0.conda`)],
        ['a shard', `${conda}/noarch/shards/${shard}`, `${conda}/noarch/shards/${noShard}`],
        ['a project', ...at(`${simple}/py-hidden/`)],
        ['a project without its slash', ...at(`${simple}/py-hidden`)],
        ['a project in other letters', ...at(`${simple}/Py_Hidden/`)],
        ['a project below the channel', ...at(`${product.pypi}/alice/py-hidden/`)],
        ['a wheel', `${product.pypi}/alice/${wheelPath}`, `${product.pypi}/alice/${noWheel}`],
        ['metadata', `${product.pypi}/alice/${wheelPath}.metadata`, `${product.pypi}/alice/${noWheel}.metadata`],
      ];
    };

    it.each([
      ['GET', {}],
      ['HEAD', {}],
      ['GET', { Range: 'bytes=0-9' }],
      ['GET', { 'If-None-Match': '*' }],
      ['GET', { 'If-None-Match': `"${HIDDEN.sha256}"` }],
      ['GET', { Accept: JSON_V1 }],
      ['OPTIONS', {}],
    ])('to %s with %j', async (method, headers) => {
      for (const [what, hidden, missing] of await pairs()) {
        const [one, other] = [await ask(hidden, { method, headers }), await ask(missing, { method, headers })];
        expect([what, ...shapeOf(one, hidden)]).toEqual([what, ...shapeOf(other, missing)]);
        expect(one.status).not.toBe(200);
      }
    });

    it('on the API too, where both are 404', async () => {
      const stranger = new Publisher(product, secrets, 'nobody');
      for (const publisher of [stranger, bob]) {
        for (const path of [
          '/package/alice/hidden',
          '/release/alice/hidden/1.0',
          '/dist/alice/hidden/1.0/noarch/hidden-1.0-0.conda',
        ]) {
          const missing = path.replaceAll('hidden', 'absent');
          const [one, other] = [await publisher.call('GET', path), await publisher.call('GET', missing)];
          expect(shapeOf(one, path)).toEqual(shapeOf(other, missing));
          expect(one.status).toBe(404);
        }
      }
    });

    /** Everything of an answer, with the one word that was asked for taken out. */
    function shapeOf(answered: Answered, url: string): readonly unknown[] {
      const words = [/hidden|absent/gi, new RegExp(url.match(/[0-9a-f]{64}/)?.[0] ?? 'hidden', 'g')];
      const plain = (text: string) => words.reduce((rest, word) => rest.replace(word, '*'), text);
      return [answered.status, answered.reason, answered.told.map(plain), plain(answered.text())];
    }
  });
});

describe('a bad token', () => {
  const unknown = () => secrets.keep('unknown token', mintToken(randomBytes));

  it('is refused loudly, on a public channel too, in every place where it can stand', async () => {
    const token = unknown();
    const conda = '/alice/noarch/repodata.json';
    for (const path of [`/t/${token}${conda}`, `/conda/t/${token}${conda}`, `/pypi/t/${token}/alice/simple/`]) {
      const { status, text, headers } = await ask(product.url + path);
      expect([status, text()]).toEqual([401, expect.stringMatching(/unknown to this server.*anaconda auth --create/)]);
      expect(headers['www-authenticate']).toBeDefined();
      expect(headers['cache-control']).toBe('no-store');
    }
    for (const authorization of [`token ${token}`, `Bearer ${token}`, basic('__token__', token)]) {
      const { status } = await ask(`${product.url}/conda${conda}`, { headers: { Authorization: authorization } });
      expect(status).toBe(401);
    }
  });

  it.each([
    ['mistyped', () => `${aliceToken.slice(0, -1)}${aliceToken.endsWith('0') ? '1' : '0'}`],
    ['cut', () => aliceToken.slice(0, 30)],
    ['of another kind', () => 'xy-12345678-1234-1234-1234-123456789012'],
    ['in capitals', () => aliceToken.toUpperCase()],
  ])('that is %s is called malformed', async (_, make) => {
    const { status, text } = await ask(`${product.url}/t/${make()}/alice/noarch/repodata.json`);
    expect([status, text()]).toEqual([401, expect.stringContaining('malformed')]);
    expect(text()).not.toContain(make());
  });

  it('that has expired is told its day', async () => {
    const token = await alice.makeToken({ name: 'short', scopes: ['repos'], maxAgeSeconds: 1 });
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const { status, text } = await ask(`${condaBase(channel(token))}/noarch/repodata.json`);
    expect([status, text()]).toEqual([401, expect.stringMatching(/expired on \d{4}-\d\d-\d\d/)]);
  });

  it('that was revoked is refused from the answer of the revocation on, everywhere', async () => {
    const token = await alice.makeToken({ name: 'passing', scopes: ['repos'] });
    const addresses = [
      `${condaBase(channel(token))}/noarch/repodata.json`,
      `${condaBase(channel(token))}/noarch/hidden-1.0-0.conda`,
      `${condaBase(channel(token))}/noarch/opened-1.0-0.conda`,
      `${simpleBase(channel(token))}/`,
      `${simpleBase(channel(token))}/py-hidden/`,
    ];
    for (const address of addresses) expect(await statusesAt(address)).toEqual(all(200));
    await alice.removeToken('passing');
    for (const address of addresses) expect([address, ...(await statusesAt(address))]).toEqual([address, ...all(401)]);
    for (const address of addresses) {
      const { status, text } = await ask(address);
      expect([address, status, text()]).toEqual([address, 401, expect.stringContaining('revoked on')]);
    }
  });

  it('beside another one is refused: which of the two was meant?', async () => {
    const url = `${condaBase(channel(aliceToken))}/noarch/repodata.json`;
    for (const authorization of [`token ${bobToken}`, `Bearer ${bobToken}`, basic('__token__', bobToken)]) {
      const { status, text } = await ask(url, { headers: { Authorization: authorization } });
      expect([status, text()]).toEqual([400, expect.stringContaining('two different tokens')]);
    }
    expect((await ask(url, { headers: { Authorization: `token ${aliceToken}` } })).status).toBe(200);
  });
});

describe('a token without the scope', () => {
  it('is refused at the index with the name of what it lacks', async () => {
    const python = await alice.makeToken({ name: 'python only', scopes: ['pypi:download'] });
    const conda = await alice.makeToken({ name: 'conda only', scopes: ['conda:download'] });
    for (const [address, lacks] of [
      [`${condaBase(channel(python))}/noarch/repodata.json`, 'conda:download'],
      [`${condaBase(channel(python))}/noarch/repodata_shards.msgpack.zst`, 'conda:download'],
      [`${condaBase(channel(python))}/noarch/hidden-1.0-0.conda`, 'conda:download'],
      [`${simpleBase(channel(conda))}/`, 'pypi:download'],
      [`${simpleBase(channel(conda))}/py-hidden/`, 'pypi:download'],
    ] as const) {
      const { status, text } = await ask(address);
      expect([address, status, text()]).toEqual([address, 403, expect.stringContaining(lacks)]);
    }
    expect((await ask(`${simpleBase(channel(python))}/py-hidden/`)).status).toBe(200);
  });

  it('gets one answer for what is hidden and what is missing', async () => {
    const python = await alice.makeToken({ name: 'python again', scopes: ['pypi:download'] });
    const base = `${condaBase(channel(python))}/noarch`;
    const [hidden, missing] = [await ask(`${base}/hidden-1.0-0.conda`), await ask(`${base}/absent-1.0-0.conda`)];
    expect([hidden.status, hidden.told, hidden.text()]).toEqual([missing.status, missing.told, missing.text()]);
  });

  it('cannot upload', async () => {
    const reader = new Publisher(product, secrets, 'alice', aliceToken);
    await expect(reader.upload(condaPackage({ name: 'smuggled', version: '1.0' }))).rejects.toMatchObject({
      status: 403,
      text: expect.stringMatching(/api:(read|write)|conda:upload/),
    });
  });
});

describe('a channel that does not exist', () => {
  it('is 401 for a stranger, with a way to sign in, and 403 for others, in every family', async () => {
    const conda = (token?: string) => `${condaBase({ product, channel: 'nowhere', token })}/noarch/repodata.json`;
    const simple = (token?: string) => `${simpleBase({ product, channel: 'nowhere', token })}/some/`;
    for (const address of [conda, simple]) {
      const [stranger, signedIn] = [await ask(address()), await ask(address(bobToken))];
      expect([stranger.status, stranger.text()]).toEqual([401, expect.stringContaining('/t/<token>/nowhere')]);
      expect(stranger.headers['www-authenticate']).toContain('Basic');
      expect([signedIn.status, signedIn.text()]).toEqual([403, expect.stringContaining('nowhere')]);
    }
  });
});

describe('a package that turns private', () => {
  it('is gone from every format of every gateway at the answer to the change, and back at the next', async () => {
    const [conda, python] = [
      condaPackage({ name: 'turning', version: '1.0' }),
      wheel({ name: 'py-turning', version: '1.0' }),
    ];
    for (const each of [conda, python]) await alice.upload(each);
    const [file] = await simpleFiles(channel(), 'py-turning');
    const wheelUrl = new URL(file?.url ?? '', `${simpleBase(channel())}/py-turning/`).href;
    const shard = (await shardsOf(`${condaBase(channel())}/noarch`)).get('turning') ?? '';
    const addresses = [
      `${condaBase(channel())}/noarch/turning-1.0-0.conda`,
      shard,
      wheelUrl,
      `${wheelUrl}.metadata`,
      `${simpleBase(channel())}/py-turning/`,
    ];
    for (const address of addresses) expect([address, ...(await statusesAt(address))]).toEqual([address, ...all(200)]);
    for (const each of [conda, python]) await alice.setVisibility(each.name, 'private');
    expect(
      Object.values(await condaFormats(channel()))
        .flat()
        .join(),
    ).not.toContain('turning');
    expect(
      Object.values(await simpleFormats(channel()))
        .flat()
        .join(),
    ).not.toContain('turning');
    for (const address of addresses) expect([address, ...(await statusesAt(address))]).toEqual([address, ...all(404)]);
    expect(
      Object.values(await condaFormats(channel(aliceToken))).every((names) => names.includes('turning-1.0-0.conda')),
    ).toBe(true);
    for (const each of [conda, python]) await alice.setVisibility(each.name, 'public');
    for (const address of addresses) expect([address, ...(await statusesAt(address))]).toEqual([address, ...all(200)]);
  });

  it('can be read at every gateway from the answer to its upload on, also if it was asked for before', async () => {
    const next = condaPackage({ name: 'awaited', version: '1.0' });
    const address = `${condaBase(channel())}/noarch/awaited-1.0-0.conda`;
    expect(await statusesAt(address)).toEqual(all(404));
    await alice.upload(next);
    expect(await statusesAt(address)).toEqual(all(200));
  });

  it('stays private when a client that says "public" uploads to it', async () => {
    await alice.upload(condaPackage({ name: 'hidden', version: '2.0' }));
    expect((await condaFormats(channel())).json.join()).not.toContain('hidden');
  });
});

describe('a file', () => {
  interface Served {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
  }

  async function everyFile(): Promise<readonly Served[]> {
    const [conda, simple] = [`${condaBase(channel(aliceToken))}/noarch`, simpleBase(channel(aliceToken))];
    const [file] = await simpleFiles(channel(aliceToken), 'py-hidden');
    const wheelUrl = new URL(file?.url ?? '', `${simple}/py-hidden/`).href;
    const plain = [
      `${conda}/repodata.json`,
      `${conda}/repodata.json.zst`,
      `${conda}/repodata_shards.msgpack.zst`,
      ...(await shardsOf(conda)).values(),
      `${conda}/hidden-1.0-0.conda`,
      wheelUrl,
      `${wheelUrl}.metadata`,
    ].map((url) => ({ url, headers: {} }));
    const pages = [`${simple}/`, `${simple}/py-hidden/`].flatMap((url) =>
      [HTML, HTML_V1, JSON_V1].flatMap((Accept) => [
        { url, headers: { Accept } },
        { url, headers: { Accept, 'Accept-Encoding': 'gzip' } },
      ]),
    );
    return [...plain, { url: `${conda}/repodata.json`, headers: { 'Accept-Encoding': 'gzip' } }, ...pages];
  }

  it('has a strong ETag of its own, for each encoding and type', async () => {
    const tags = new Map<string, string>();
    for (const { url, headers } of await everyFile()) {
      const { headers: heard } = await ask(url, { headers });
      const what = `${url} ${JSON.stringify(headers)}`;
      expect([what, heard.etag]).toEqual([what, expect.stringMatching(/^"[^"]+"$/)]);
      expect([what, tags.get(heard.etag ?? '')]).toEqual([what, undefined]);
      tags.set(heard.etag ?? '', what);
    }
  });

  it('is not sent again to who has it, and HEAD tells what GET tells', async () => {
    for (const { url, headers } of await everyFile()) {
      const got = await ask(url, { headers });
      const headed = await ask(url, { method: 'HEAD', headers });
      expect([url, headed.status, headed.bytes.length, headed.told]).toEqual([url, 200, 0, got.told]);
      for (const tag of [got.headers.etag ?? '', `"other", W/${got.headers.etag}`, '*']) {
        const again = await ask(url, { headers: { ...headers, 'If-None-Match': tag } });
        expect([url, again.status, again.bytes.length, again.headers.etag]).toEqual([url, 304, 0, got.headers.etag]);
      }
      expect((await ask(url, { headers: { ...headers, 'If-None-Match': '"other"' } })).status).toBe(200);
    }
  });

  it('is kept to private caches, and denials to none', async () => {
    for (const { url, headers } of await everyFile()) {
      expect((await ask(url, { headers })).headers['cache-control']).toMatch(/^private/);
    }
    const denied = await ask(`${condaBase(channel())}/noarch/hidden-1.0-0.conda`);
    expect(denied.headers['cache-control']).toBe('no-store');
  });

  it('is served in parts', async () => {
    const url = `${condaBase(channel(aliceToken))}/noarch/hidden-1.0-0.conda`;
    const { bytes, headers } = await ask(url);
    const size = bytes.length;
    const etag = headers.etag ?? '';
    const cases: readonly (readonly [Record<string, string>, number, string | undefined, Buffer | undefined])[] = [
      [{ Range: 'bytes=0-9' }, 206, `bytes 0-9/${size}`, bytes.subarray(0, 10)],
      [{ Range: 'bytes=10-' }, 206, `bytes 10-${size - 1}/${size}`, bytes.subarray(10)],
      [{ Range: `bytes=10-${size + 100}` }, 206, `bytes 10-${size - 1}/${size}`, bytes.subarray(10)],
      [{ Range: 'bytes=-10' }, 206, `bytes ${size - 10}-${size - 1}/${size}`, bytes.subarray(size - 10)],
      [{ Range: 'bytes=-99999999' }, 206, `bytes 0-${size - 1}/${size}`, bytes],
      [{ Range: `bytes=${size}-` }, 416, `bytes */${size}`, undefined],
      [{ Range: 'bytes=0-9', 'If-Range': etag }, 206, `bytes 0-9/${size}`, bytes.subarray(0, 10)],
      [{ Range: 'bytes=0-9', 'If-Range': '"other"' }, 200, undefined, bytes],
      [{ Range: 'bytes=0-9', 'If-Range': `W/${etag}` }, 200, undefined, bytes],
      [{ Range: 'bytes=0-1,4-5' }, 200, undefined, bytes],
      [{ Range: 'lines=0-1' }, 200, undefined, bytes],
      [{ Range: 'bytes=9-0' }, 200, undefined, bytes],
    ];
    for (const [asked, status, range, expected] of cases) {
      const answered = await ask(url, { headers: asked });
      const got = [
        answered.status,
        answered.headers['content-range'],
        expected === undefined || answered.bytes.equals(expected),
      ];
      expect([asked, ...got]).toEqual([asked, status, range, true]);
    }
  });

  it('is not encoded a second time, unless it is text', async () => {
    const base = `${condaBase(channel(aliceToken))}/noarch`;
    const wish = { headers: { 'Accept-Encoding': 'gzip, deflate, br, zstd' } };
    for (const file of ['repodata.json.zst', 'repodata_shards.msgpack.zst', 'hidden-1.0-0.conda']) {
      expect((await ask(`${base}/${file}`, wish)).headers['content-encoding']).toBeUndefined();
    }
    const { headers, bytes } = await ask(`${base}/repodata.json`, wish);
    expect([headers['content-encoding'], headers.vary]).toEqual(['gzip', expect.stringContaining('Accept-Encoding')]);
    expect(gunzipSync(bytes).equals((await ask(`${base}/repodata.json`)).bytes)).toBe(true);
  });

  it('is nothing that a browser would show or run', async () => {
    const { headers } = await ask(`${condaBase(channel())}/noarch/opened-1.0-0.conda`);
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-disposition': expect.stringMatching(/^attachment/),
      'content-security-policy': expect.stringMatching(/^sandbox;/),
    });
  });
});

it('tells none of the secrets in its output', () => {
  expect(secrets.size).toBeGreaterThan(8);
  expect(secrets.toldBy(product)).toEqual([]);
});
