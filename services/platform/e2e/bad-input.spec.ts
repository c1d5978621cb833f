import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { jest } from '@jest/globals';
import { aCondaPackage, aWheel } from '@vivarium/testkit/builders';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { type Answered, ask, basic } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, condaFormats, simpleBase, simpleFormats } from './formats.js';
import { askForToken, type Distribution, formOf, Publisher, type Ticket, UploadRefused } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const secrets = new Secrets();
let product: Product;
let admin: Publisher;
let alice: Publisher & { readonly password: string };
let bob: Publisher & { readonly password: string };

const GOOD = condaPackage({ name: 'good', version: '1.0' });
const PY_GOOD = wheel({ name: 'py-good', version: '1.0' });

beforeAll(async () => {
  product = await startProduct();
  admin = await Publisher.admin(product, secrets);
  alice = await admin.makeUser('alice');
  bob = await admin.makeUser('bob');
  for (const each of [GOOD, PY_GOOD]) await alice.upload(each);
});

afterAll(async () => {
  await product?.stop();
});

/** All that can be seen of the channel: its rows by the API, and the bytes of every index. */
async function everything(): Promise<object> {
  const rows = (await alice.call('GET', '/packages/alice')).json<{ name: string }[]>();
  const packages = await Promise.all(
    rows.map(async ({ name }) => (await alice.call('GET', `/package/alice/${name}`)).json()),
  );
  const base = condaBase({ product, channel: 'alice' });
  const files = ['repodata.json', 'repodata.json.zst', 'repodata_shards.msgpack.zst'];
  const urls = ['noarch', 'linux-64'].flatMap((subdir) => files.map((file) => `${base}/${subdir}/${file}`));
  const indexes = await Promise.all([...urls, `${simpleBase({ product, channel: 'alice' })}/`].map(digestAt));
  return { packages, indexes };
}

async function digestAt(url: string): Promise<string> {
  const { status, bytes } = await ask(url);
  return `${url} ${status} ${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The channel is as it was, and not even its generation has moved. */
async function changingNothing(run: () => Promise<void>): Promise<void> {
  const generation = async () => (await alice.call('GET', '/channels/alice/generation')).json<object>();
  const before = await generation();
  await leavingNothing(run);
  expect(await generation()).toEqual(before);
}

/** The channel is as it was, whatever was there between. */
async function leavingNothing(run: () => Promise<void>): Promise<void> {
  const before = await everything();
  await run();
  expect(await everything()).toEqual(before);
}

/** The refusal of what is run. */
async function refusal(run: () => Promise<unknown>): Promise<UploadRefused> {
  try {
    await run();
  } catch (error) {
    if (error instanceof UploadRefused) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a wrong password', () => {
  it.each([
    ['of a known user', 'alice'],
    ['of nobody', 'nobody-at-all'],
    ['of no possible login', '../etc'],
  ])('%s is 401, in the same words', async (_, login) => {
    await changingNothing(async () => {
      const { status, json } = await askForToken(product, basic(login, 'wrong'), { name: 'x' });
      expect([status, json<{ error: string }>().error]).toEqual([
        401,
        expect.stringMatching(/login or the password is wrong/),
      ]);
    });
  });

  it('is not taken where tokens are: the sentence says what to send', async () => {
    const headers = { Authorization: basic('alice', alice.password) };
    for (const url of [`${condaBase({ product, channel: 'alice' })}/noarch/repodata.json`, `${product.api}/user`]) {
      const { status, text } = await ask(url, { headers });
      expect([status, text()]).toEqual([401, expect.stringContaining('__token__')]);
    }
  });
});

describe('a token', () => {
  it.each([
    ['malformed', 'viv-short', /malformed/],
    ['empty', '', /malformed|token/],
    ['of another server', 'al-11111111-2222-3333-4444-555555555555', /malformed/],
  ])('that is %s is 401 on the API', async (_, token, words) => {
    const { status, json } = await new Publisher(product, secrets, 'alice', token).call('GET', '/user');
    expect([status, json<{ error: string }>().error]).toEqual([401, expect.stringMatching(words)]);
  });

  it('with a name that is taken is 400, and nothing is replaced', async () => {
    const token = await alice.makeToken({ name: 'taken' });
    const again = await alice.askForToken({ name: 'taken' });
    expect([again.status, again.json<{ error: string }>().error]).toEqual([400, expect.stringContaining('"taken"')]);
    expect((await new Publisher(product, secrets, 'alice', token).call('GET', '/user')).status).toBe(200);
  });

  it('with an unknown scope, no name or a negative age is 400', async () => {
    for (const wish of [
      { name: 'x', scopes: ['conda:everything'] },
      { name: '' },
      { name: 'x', maxAgeSeconds: -1 },
      { name: 'x\u0000y' },
      { name: 'x'.repeat(200) },
    ]) {
      const { status, json } = await alice.askForToken(wish);
      expect([wish, status, json<{ error: string }>().error.length > 20]).toEqual([wish, 400, true]);
    }
  });

  it('lacks a scope: 403 with its name, before a byte is taken', async () => {
    const token = await alice.makeToken({ name: 'download only', scopes: ['repos', 'api:read'] });
    const reader = new Publisher(product, secrets, 'alice', token);
    await changingNothing(async () => {
      const refused = await refusal(() => reader.stage(condaPackage({ name: 'good', version: '2.0' })));
      expect(refused).toMatchObject({ status: 403, text: expect.stringMatching(/api:write|conda:upload/) });
      const form = await ask(`${product.pypi}/alice/legacy/`, {
        method: 'POST',
        headers: { Authorization: basic('__token__', token), 'Content-Type': 'multipart/form-data; boundary=x' },
        body: '--x--\r\n',
      });
      expect([form.status, form.text()]).toEqual([403, expect.stringContaining('pypi:upload')]);
    });
  });
});

describe('an upload', () => {
  interface Refused {
    readonly what: string;
    readonly upload: () => Distribution;
    readonly status: number;
    readonly says: RegExp;
  }
  const lying = (over: Readonly<Record<string, unknown>>, filename?: string): Distribution => {
    const honest = condaPackage({ name: 'liar', version: '1.0' });
    const { bytes } = aCondaPackage({ name: 'liar', version: '1.0', indexOverrides: over });
    return { ...honest, bytes, basename: filename ?? honest.basename };
  };
  const REFUSED: readonly Refused[] = [
    {
      what: 'whose name disagrees with its file name',
      upload: () => lying({ name: 'other' }),
      status: 400,
      says: /other/,
    },
    { what: 'whose version disagrees', upload: () => lying({ version: '2.0' }), status: 400, says: /2\.0/ },
    { what: 'whose build disagrees', upload: () => lying({ build: 'h1' }), status: 400, says: /h1/ },
    { what: 'whose subdir disagrees', upload: () => lying({ subdir: 'linux-64' }), status: 400, says: /linux-64/ },
    {
      what: 'with a version that no client can read',
      upload: () => lying({ version: '1..0' }),
      status: 400,
      says: /1\.\.0|version/,
    },
    {
      what: 'with dependencies that are no list',
      upload: () => lying({ depends: null }),
      status: 400,
      says: /depends/,
    },
    {
      what: 'that is no archive',
      upload: () => ({ ...lying({}), bytes: Buffer.from('nothing of the kind') }),
      status: 400,
      says: /./,
    },
    { what: 'that is empty', upload: () => ({ ...lying({}), bytes: Buffer.alloc(0) }), status: 400, says: /./ },
    {
      what: 'that is cut',
      upload: () => ({ ...lying({}), bytes: lying({}).bytes.subarray(0, 300) }),
      status: 400,
      says: /./,
    },
    {
      what: 'of a wheel whose name disagrees with its metadata',
      upload: () => ({
        ...wheel({ name: 'liar', version: '1.0' }),
        bytes: aWheel({ name: 'liar', version: '1.0', metadataOverrides: { Name: 'other' } }).bytes,
      }),
      status: 400,
      says: /other/,
    },
    {
      what: 'of a wheel without metadata',
      upload: () => ({
        ...wheel({ name: 'liar', version: '1.0' }),
        bytes: condaPackage({ name: 'liar', version: '1.0' }).bytes,
      }),
      status: 400,
      says: /METADATA|dist-info|wheel/i,
    },
  ];

  it.each(REFUSED)('$what is $status, and the package it began is gone again', async ({ upload, status, says }) => {
    await leavingNothing(async () => {
      const refused = await refusal(() => alice.upload(upload()));
      expect([refused.status, refused.text]).toEqual([status, expect.stringMatching(says)]);
      // The client takes back what it began, and must be allowed to.
      await alice.call('DELETE', '/release/alice/liar/1.0');
      await alice.call('DELETE', '/package/alice/liar');
    });
  });

  it('with a wrong MD5 is refused in XML that the client understands', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'good', version: '3.0' });
      const ticket = await alice.stage(next);
      const refused = await refusal(() => alice.send(ticket, next, 'AAAAAAAAAAAAAAAAAAAAAA=='));
      expect([refused.status, refused.text]).toEqual([400, expect.stringMatching(/<Code>InvalidDigest<\/Code>/)]);
      expect((await refusal(() => alice.commit(next, ticket))).status).toBeGreaterThanOrEqual(400);
    });
  });

  it('with other bytes than the SHA-256 announced is refused', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'good', version: '3.0' });
      const ticket = await alice.stage(next, {}, { sha256: 'ab'.repeat(32) });
      const refused = await refusal(() => alice.send(ticket, next));
      expect([refused.status, refused.text]).toEqual([400, expect.stringMatching(/sha-?256/i)]);
    });
  });

  it('whose body ends too early changes nothing', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'good', version: '3.0', sizeBytes: 200_000 });
      const ticket = await alice.stage(next);
      await sendAndHangUp(ticket, next, 100_000);
      const refused = await refusal(() => alice.commit(next, ticket));
      expect(refused.status).toBeGreaterThanOrEqual(400);
      expect(refused.status).toBeLessThan(500);
    });
  });

  it('of the same name with the same bytes says that it is there, and with other bytes is 409', async () => {
    await changingNothing(async () => {
      const same = await alice.call('GET', `/dist/alice/good/1.0/${GOOD.basename}`);
      expect([same.status, same.json<{ sha256: string }>().sha256]).toEqual([200, GOOD.sha256]);
      const other = { ...condaPackage({ name: 'good', version: '1.0', about: { summary: 'changed' } }) };
      const refused = await refusal(() => alice.upload(other));
      expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('good-1.0-0.conda')]);
    });
  });

  it('to an account that is not there, or not one’s own, is refused and tells which', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'intruder', version: '1.0' });
      const nobody = await refusal(() => alice.upload(next, { owner: 'nobody-here' }));
      expect([404, 403]).toContain(nobody.status);
      expect(nobody.text).toContain('nobody-here');
      const foreign = await refusal(() => bob.upload(next, { owner: 'alice' }));
      expect([foreign.status, foreign.text]).toEqual([403, expect.stringContaining('alice')]);
    });
  });

  it('with a ticket that was changed, used, or never given is refused', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'good', version: '4.0' });
      const ticket = await alice.stage(next);
      const last = ticket.post_url.endsWith('A') ? 'B' : 'A';
      for (const url of [
        ticket.post_url.slice(0, -1) + last,
        ticket.post_url.slice(0, -8),
        `${product.api}/-/upload/x`,
      ]) {
        const refused = await refusal(() => alice.send({ ...ticket, post_url: url }, next));
        expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('<Code>')]);
      }
      await alice.send(ticket, next);
      expect((await refusal(() => alice.send(ticket, next))).status).toBe(403);
    });
  });

  it('is not finished by somebody else, nor at another place', async () => {
    await changingNothing(async () => {
      const next = condaPackage({ name: 'good', version: '5.0' });
      const ticket = await alice.stage(next);
      await alice.send(ticket, next);
      const elsewhere = { ...next, basename: 'noarch/good-6.0-0.conda' };
      const [foreign, moved, unknown] = [
        await refusal(() => bob.commit(next, ticket, { owner: 'alice' })),
        await refusal(() => alice.commit(elsewhere, ticket)),
        await refusal(() => alice.commit(next, { ...ticket, dist_id: `${ticket.dist_id.slice(0, -4)}0000` })),
      ];
      for (const each of [foreign, moved, unknown]) expect([403, 404]).toContain(each.status);
    });
  });

  it('of a package that another kind of name holds is refused for labels that no path can hold', async () => {
    await changingNothing(async () => {
      for (const label of ['noarch', 'a/simple/b', '../x', 'x'.repeat(300), '']) {
        const refused = await refusal(() =>
          alice.stage(condaPackage({ name: 'good', version: '7.0' }), { labels: [label] }),
        );
        expect([label, refused.status]).toEqual([label, 400]);
      }
    });
  });

  it('by form with a wrong digest, other metadata or no file is refused in the reason phrase', async () => {
    const token = await alice.makeToken({ name: 'forms', scopes: ['pypi:upload'] });
    const { filename, bytes, sha256 } = aWheel({ name: 'py-form', version: '1.0' });
    const post = (fields: Readonly<Record<string, string>>, content?: Uint8Array): Promise<Answered> => {
      const all = {
        ':action': 'file_upload',
        protocol_version: '1',
        filetype: 'bdist_wheel',
        pyversion: 'py3',
        name: 'py-form',
        version: '1.0',
        sha256_digest: sha256,
        ...fields,
      };
      const parts = Object.entries(all).map(
        ([name, value]) => `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      );
      const file = `--b\r\nContent-Disposition: form-data; name="content"; filename="${filename}"\r\nContent-Type: application/octet-stream\r\n\r\n`;
      const body =
        content === undefined
          ? Buffer.from(`${parts.join('')}--b--\r\n`)
          : Buffer.concat([Buffer.from(parts.join('') + file), content, Buffer.from('\r\n--b--\r\n')]);
      return ask(`${product.pypi}/alice/legacy/`, {
        method: 'POST',
        headers: { Authorization: basic('__token__', token), 'Content-Type': 'multipart/form-data; boundary=b' },
        body,
      });
    };
    await changingNothing(async () => {
      for (const [answered, says] of [
        [await post({ sha256_digest: 'ab'.repeat(32) }, bytes), /digest|sha-?256/i],
        [await post({ name: 'other' }, bytes), /other/],
        [await post({ version: '2.0' }, bytes), /2\.0/],
        [await post({}), /file|content/i],
        [await post({ ':action': 'doc_upload' }, bytes), /doc_upload|file_upload|action/],
        [await post({}, bytes.subarray(0, 200)), /./],
      ] as const) {
        expect([answered.status, answered.reason]).toEqual([400, expect.stringMatching(says)]);
        expect(answered.headers['content-type']).toBe('application/json');
      }
    });
    expect((await post({}, bytes)).status).toBe(200);
    await changingNothing(async () => {
      const other = aWheel({ name: 'py-form', version: '1.0', description: 'other' });
      const answered = await post({ sha256_digest: other.sha256 }, other.bytes);
      expect([answered.status, answered.reason]).toEqual([409, expect.stringMatching(/^File already exists/)]);
    });
  });

  it('by form without a token is 401, and with a password too', async () => {
    for (const authorization of [undefined, basic('alice', alice.password)]) {
      const { status, headers } = await ask(`${product.pypi}/alice/legacy/`, {
        method: 'POST',
        headers: {
          'Content-Type': 'multipart/form-data; boundary=b',
          ...(authorization === undefined ? {} : { Authorization: authorization }),
        },
        body: '--b--\r\n',
      });
      expect([status, headers['www-authenticate']]).toEqual([401, expect.stringContaining('Basic')]);
    }
  });
});

/** Sends a part of the body and closes the connection. */
function sendAndHangUp(ticket: Ticket, { basename, bytes }: Distribution, sentBytes: number): Promise<void> {
  const { boundary, body } = formOf(ticket.form_data, basename, bytes);
  const { hostname, port, pathname, host } = new URL(ticket.post_url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(
        `POST ${pathname} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: multipart/form-data; boundary=${boundary}\r\n`,
      );
      socket.write(`Content-Length: ${body.length}\r\n\r\n`);
      socket.write(body.subarray(0, sentBytes), () => setTimeout(() => socket.destroy(), 200));
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

describe('an address', () => {
  it.each([
    ['/conda/alice/../alice/noarch/repodata.json', 400],
    ['/conda/alice/noarch/../noarch/repodata.json', 400],
    ['/conda/alice/noarch/%2e%2e/noarch/repodata.json', 400],
    ['/conda/alice/noarch/..%2fsecret', 400],
    ['/conda/alice%2fnoarch/repodata.json', 400],
    ['/conda/alice/noarch%2frepodata.json', 400],
    ['/conda/alice/noarch/repodata.json%00', 400],
    ['/conda/alice/noarch/%00', 400],
    ['/conda//alice/noarch/repodata.json', 400],
    ['/conda/alice//noarch/repodata.json', 400],
    ['/conda/alice/noarch//repodata.json', 400],
    ['/conda/alice/noarch/%252e%252e', 400],
    ['/conda/alice/noarch/a%ff.conda', 400],
    ['/conda/alice/noarch/a\\b.conda', 400],
    ['/pypi/alice/../simple/', 400],
    ['/pypi/alice//simple/', 400],
    ['/pypi/alice/simple/py%2fgood/', 400],
    ['/pypi/alice/simple/py-good%00/', 400],
    ['/conda/ALICE/noarch/repodata.json', 404],
    ['/conda/alice/no-such-subdir/repodata.json', 404],
    ['/conda/alice/noarch/no-such-file.txt', 404],
    ['/api/no/such/route', 404],
    ['/api/package/alice/..%2f..%2fx', 400],
    ['/api/package/alice/%00', 400],
  ])('%s is %i', async (path, status) => {
    const answered = await ask(product.url, { rawPath: path });
    expect([path, answered.status]).toEqual([path, status]);
    expect(answered.text()).toMatch(/\w+ \w+/);
    expect(answered.text()).not.toMatch(/\bat .*\.js|Error:|node_modules/);
  });

  it.each([300, 5_000, 15_000])('of %i characters is 400', async (length) => {
    const path = `/conda/alice/noarch/${'x'.repeat(length)}.conda`;
    expect((await ask(product.url, { rawPath: path })).status).toBe(400);
  });

  it('of a channel that nobody has is 401 for a stranger and 403 for others', async () => {
    const at = '/nowhere-at-all/noarch/repodata.json';
    const token = await bob.makeToken({ name: 'looking' });
    expect((await ask(`${product.conda}${at}`)).status).toBe(401);
    expect((await ask(`${product.url}/t/${token}${at}`)).status).toBe(403);
  });

  it('with headers beyond any client’s is refused without a word of ours', async () => {
    const url = `${condaBase({ product, channel: 'alice' })}/noarch/repodata.json`;
    expect((await ask(url, { headers: { Cookie: 'x'.repeat(20_000) } })).status).toBe(431);
    expect((await ask(url, { headers: { Authorization: `token ${'x'.repeat(9_000)}` } })).status).toBe(401);
    expect((await ask(url)).status).toBe(200);
  });

  it('with another method changes nothing', async () => {
    await changingNothing(async () => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const { status } = await ask(`${condaBase({ product, channel: 'alice' })}/noarch/good-1.0-0.conda`, { method });
        expect([method, [404, 405].includes(status)]).toEqual([method, true]);
      }
    });
  });
});

describe('the body of a call', () => {
  it.each([
    ['no JSON', '{"public": tru'],
    ['an array', '[]'],
    ['a text', '"x"'],
    ['deep', `{"public_attrs":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`],
    ['with a visibility that is none', '{"visibility":"secret"}'],
    ['with a field of another type', '{"visibility":["public"]}'],
  ])('that is %s is 400 and changes nothing', async (_, body) => {
    const token = await alice.makeToken({ name: `bodies ${_}` });
    await changingNothing(async () => {
      const answered = await ask(`${product.api}/package/alice/good`, {
        method: 'PATCH',
        headers: { Authorization: `token ${token}`, 'Content-Type': 'application/json' },
        body,
      });
      expect([answered.status, typeof answered.json<{ error: unknown }>().error]).toEqual([400, 'string']);
    });
  });

  it('that is larger than any that a client sends is 413', async () => {
    const token = await alice.makeToken({ name: 'large bodies' });
    const answered = await ask(`${product.api}/package/alice/good`, {
      method: 'PATCH',
      headers: { Authorization: `token ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ public_attrs: { summary: 'x'.repeat(30_000_000) } }),
    });
    expect(answered.status).toBe(413);
  });
});

it('after all of that serves exactly what was published', async () => {
  expect((await condaFormats({ product, channel: 'alice' })).shards).toEqual(['good-1.0-0.conda']);
  expect((await simpleFormats({ product, channel: 'alice' }))['root json']).toEqual(['py-form', 'py-good']);
});

it('tells none of the secrets in its output', () => {
  expect(secrets.size).toBeGreaterThan(8);
  expect(secrets.toldBy(product)).toEqual([]);
});
