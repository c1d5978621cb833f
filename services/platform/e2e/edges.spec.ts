import { connect } from 'node:net';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, JSON_V1, shardsOf, simpleBase, simpleFiles } from './formats.js';
import { formOf, Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const secrets = new Secrets();
let product: Product;
let alice: Publisher & { readonly password: string };
let aliceToken: string;
let host: string;

const OPEN = condaPackage({ name: 'opened', version: '1.0' });
const HIDDEN = condaPackage({ name: 'hidden', version: '1.0' });
const PY_HIDDEN = wheel({ name: 'py-hidden', version: '1.0' });
const INDEX = '/conda/alice/noarch/repodata.json';

beforeAll(async () => {
  product = await startProduct();
  host = new URL(product.url).host;
  alice = await (await Publisher.admin(product, secrets)).makeUser('alice');
  await alice.upload(OPEN);
  for (const each of [HIDDEN, PY_HIDDEN]) await alice.upload(each, { isPrivate: true });
  aliceToken = await alice.makeToken({ name: 'reader', scopes: ['repos'] });
});

afterAll(async () => {
  await product?.stop();
});

interface Heard {
  /** Of every answer on the connection. */
  readonly statuses: readonly number[];
  readonly text: string;
  /** The server closed the connection. */
  readonly isClosed: boolean;
}

/** Sends bytes as they are on a connection of their own, and hears what comes until it is closed or nothing came for a while. */
function speak(bytes: string, quietMs = 700): Promise<Heard> {
  const { hostname, port } = new URL(product.url);
  return new Promise((resolve) => {
    let text = '';
    let isClosed = true;
    const socket = connect(Number(port), hostname, () => socket.write(Buffer.from(bytes, 'latin1')));
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part;
    });
    socket.setTimeout(quietMs, () => {
      isClosed = false;
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve({
        statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)),
        text,
        isClosed,
      });
    });
  });
}

const lines = (...all: readonly string[]) => `${all.join('\r\n')}\r\n\r\n`;

/** What a smuggler hides behind a request: if it is answered, the two ends disagree on where that request ended. */
function hidden(): string {
  return lines('GET /api/scopes HTTP/1.1', `Host: ${host}`);
}

describe('the Host of a request', () => {
  it.each([
    'evil.test',
    'evil.test:80',
    '{host}.evil.test',
    'evil.{host}',
    '{host}.',
    '{host}, evil.test',
    'evil.test, {host}',
    '{host}@evil.test',
    'evil.test#{host}',
    'user@{host}',
    '127.0.0.1',
    'localhost',
    '[::1]',
  ])('%s is not ours: 421, and nothing is said of what there is', async (name) => {
    const given = name.replace('{host}', host);
    for (const path of [
      INDEX,
      '/api/user',
      '/pypi/alice/simple/',
      '/',
      `/t/${aliceToken}/alice/noarch/repodata.json`,
    ]) {
      const answered = await ask(product.url, { rawPath: path, headers: { Host: given } });
      expect([path, answered.status]).toEqual([path, 421]);
      expect(answered.text()).not.toContain(aliceToken);
      expect(answered.headers['cache-control']).toBe('no-store');
    }
  });

  it.each([
    'X-Forwarded-Host',
    'X-Host',
    'X-Original-Host',
    'Forwarded',
    'X-Forwarded-Server',
    'X-HTTP-Host-Override',
    'X-Forwarded-For',
    'X-Real-IP',
    'X-Forwarded-Proto',
    'X-Forwarded-Prefix',
    'X-Forwarded-Port',
    'X-Original-URL',
    'X-Rewrite-URL',
    'X-Vivarium-Caller',
    'X-Remote-User',
    'Remote-User',
    'X-Forwarded-User',
    'X-Auth-Request-User',
    'X-Accel-Redirect',
    'Client-IP',
    'True-Client-IP',
    'Via',
    'Host-Override',
  ])('%s is believed by nobody, and stands in no answer', async (name) => {
    const value = name === 'Forwarded' ? 'host=evil.test;for=10.0.0.1;proto=https' : 'evil.test';
    const places: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
      [INDEX, {}],
      ['/conda/alice/noarch/hidden-1.0-0.conda', {}],
      ['/pypi/alice/simple', {}],
      ['/api', {}],
      ['/api/user', {}],
      ['/api/package/alice/opened', {}],
      ['/', { Accept: 'text/html' }],
      ['/alice/opened', { Accept: 'text/html' }],
    ];
    for (const [path, headers] of places) {
      const plain = await ask(product.url, { rawPath: path, headers });
      for (const given of [value, 'admin', 'alice', `${product.url}/api`]) {
        const forged = await ask(product.url, { rawPath: path, headers: { ...headers, [name]: given } });
        expect([path, given, ...shapeOf(forged)]).toEqual([path, given, ...shapeOf(plain)]);
      }
    }
  });
});

function shapeOf({ status, reason, told, bytes }: Answered) {
  return [status, reason, told, bytes.toString('latin1')];
}

describe('a request that two readers could take apart differently', () => {
  const GET = `GET ${INDEX} HTTP/1.1`;
  const POST = 'POST /api/session HTTP/1.1';
  const cases = (): Readonly<Record<string, string>> => ({
    'a length and chunks': `${lines(POST, `Host: ${host}`, 'Content-Length: 6', 'Transfer-Encoding: chunked')}0\r\n\r\n${hidden()}`,
    'chunks and a length': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: chunked', 'Content-Length: 6')}0\r\n\r\n${hidden()}`,
    'two lengths': `${lines(POST, `Host: ${host}`, 'Content-Length: 0', 'Content-Length: 80')}${hidden()}`,
    'two equal lengths': `${lines(POST, `Host: ${host}`, 'Content-Length: 0', 'Content-Length: 0')}${hidden()}`,
    'a list of lengths': `${lines(POST, `Host: ${host}`, 'Content-Length: 0, 80')}${hidden()}`,
    'a signed length': `${lines(POST, `Host: ${host}`, 'Content-Length: +0')}${hidden()}`,
    'a negative length': `${lines(POST, `Host: ${host}`, 'Content-Length: -1')}${hidden()}`,
    'a length in hex': `${lines(POST, `Host: ${host}`, 'Content-Length: 0x0')}${hidden()}`,
    'a length beyond all numbers': `${lines(POST, `Host: ${host}`, 'Content-Length: 99999999999999999999999')}${hidden()}`,
    'an empty length': `${lines(POST, `Host: ${host}`, 'Content-Length: ')}${hidden()}`,
    'a space before the colon': `${lines(POST, `Host: ${host}`, 'Content-Length : 80')}${hidden()}`,
    'a tab before the colon': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding\t: chunked')}0\r\n\r\n${hidden()}`,
    'a folded header': `${lines(GET, `Host: ${host}`, 'X-Long: a', ' b')}`,
    'a folded encoding': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding:', ' chunked')}0\r\n\r\n${hidden()}`,
    'a folded first header': `GET ${INDEX} HTTP/1.1\r\n Host: ${host}\r\n\r\n`,
    'another encoding': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: identity')}${hidden()}`,
    'chunks that are no last encoding': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: chunked, identity')}0\r\n\r\n${hidden()}`,
    'an encoding with a sign before it': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: \x0bchunked')}0\r\n\r\n${hidden()}`,
    'an unknown encoding': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: xchunked')}0\r\n\r\n${hidden()}`,
    'an encoding twice': `${lines(POST, `Host: ${host}`, 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n${hidden()}`,
    'bare line feeds': `GET ${INDEX} HTTP/1.1\nHost: ${host}\n\n`,
    'a bare line feed in a header': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\nX-A: b\nX-C: d\r\n\r\n`,
    'a bare carriage return': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\nX-A: b\rX-C: d\r\n\r\n`,
    'a null in a header': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\nX-A: b\0c\r\n\r\n`,
    'a null in a name': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\nX-\0A: b\r\n\r\n`,
    'a header without a name': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\n: b\r\n\r\n`,
    'a header without a colon': `GET ${INDEX} HTTP/1.1\r\nHost: ${host}\r\nnonsense\r\n\r\n`,
    'no host': lines(GET, 'Accept: */*'),
    'an empty host': lines(GET, 'Host:'),
    'two hosts': lines(GET, `Host: ${host}`, 'Host: evil.test'),
    'a chunk of bare line feeds': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}2\n{}\n0\n\n`,
    'a chunk longer than said': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}1\r\n{}\r\n0\r\n\r\n`,
    'a chunk of a size in another base': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}0x2\r\n{}\r\n0\r\n\r\n`,
    'a chunk of more than all bytes': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}fffffffffffffffff\r\n{}\r\n0\r\n\r\n`,
    'a chunk of a negative size': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}-2\r\n{}\r\n0\r\n\r\n`,
    'a chunk with an extension without end': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}2;${'a'.repeat(40_000)}\r\n{}\r\n0\r\n\r\n`,
    'an extension with a line feed': `${lines(POST, `Host: ${host}`, 'Content-Type: application/json', 'Transfer-Encoding: chunked')}2;a\n${hidden()}`,
    'an absolute target': lines(`GET http://${host}${INDEX} HTTP/1.1`, `Host: ${host}`),
    'an absolute target elsewhere': lines(`GET http://evil.test${INDEX} HTTP/1.1`, `Host: ${host}`),
    'a target with an authority': lines(`GET ${host}:80 HTTP/1.1`, `Host: ${host}`),
    'a target of a star': lines('GET * HTTP/1.1', `Host: ${host}`),
    'a target with a fragment': lines(`GET ${INDEX}#x HTTP/1.1`, `Host: ${host}`),
    'a target with a space': lines(`GET ${INDEX} x HTTP/1.1`, `Host: ${host}`),
    'a target with a tab': lines(`GET ${INDEX}\tx HTTP/1.1`, `Host: ${host}`),
    'a target beyond ASCII': lines('GET /conda/\xe9 HTTP/1.1', `Host: ${host}`),
    'a tunnel': lines(`CONNECT ${host} HTTP/1.1`, `Host: ${host}`),
    'a version that is none': lines(`GET ${INDEX} HTTP/9.9`, `Host: ${host}`),
    'the version 2': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n`,
    'no version': `GET ${INDEX}\r\n\r\n`,
    'a method that is none': lines(`GE\0T ${INDEX} HTTP/1.1`, `Host: ${host}`),
    'a method nobody has': lines(`STEAL ${INDEX} HTTP/1.1`, `Host: ${host}`),
  });

  it('is refused, and the connection is closed or holds no second answer', async () => {
    const told: unknown[] = [];
    const heard = await Promise.all(
      Object.entries(cases()).map(async ([what, bytes]) => [what, await speak(bytes)] as const),
    );
    for (const [what, { statuses, text }] of heard) {
      // No answer at all is a refusal too.
      const isRefused = statuses.length <= 1 && statuses.every((status) => status >= 400);
      if (!isRefused || text.includes('conda:download')) told.push([what, statuses, text.slice(0, 300)]);
      if (/node:|\.js:|at .*\(/.test(text)) told.push([what, 'tells of our insides', text]);
    }
    expect(told).toEqual([]);
  });

  it('is told apart from one that is whole: those are answered, in their order', async () => {
    const asked = (path: string, ...more: string[]) => lines(`GET ${path} HTTP/1.1`, `Host: ${host}`, ...more);
    const good = await speak(
      asked(INDEX) + asked('/api/scopes') + asked('/conda/alice/noarch/absent-1.0-0.conda') + asked('/api'),
    );
    expect(good.statuses).toEqual([200, 200, 404, 200]);
    const chunked = lines(
      'POST /api/session HTTP/1.1',
      `Host: ${host}`,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    );
    const extended = await speak(`${chunked}2;name=value\r\n{}\r\n0\r\n\r\n${asked('/api')}`);
    expect(extended.statuses).toEqual([400, 200]);
    // HTTP/1.0 has no Host and no second request.
    expect((await speak(`GET ${INDEX} HTTP/1.0\r\n\r\n`)).statuses).toEqual([421]);
  });

  it('says nothing on its connection after it was refused', async () => {
    const good = lines('GET /api/scopes HTTP/1.1', `Host: ${host}`);
    for (const bad of ['GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n', 'nonsense\r\n\r\n', '\x16\x03\x01\x02']) {
      const { statuses, isClosed } = await speak(bad + good);
      expect([bad, statuses, isClosed]).toEqual([bad, [400], true]);
    }
    // An upload that was refused on its headers: its body is read past, and is no request.
    const form = lines(
      'POST /pypi/alice/legacy/ HTTP/1.1',
      `Host: ${host}`,
      'Content-Type: multipart/form-data; boundary=x',
      `Content-Length: ${hidden().length}`,
    );
    const { statuses, text } = await speak(form + hidden());
    expect(statuses).toEqual([401]);
    expect(text).not.toContain('conda:download');
  });
});

describe('the method', () => {
  it('is the one in the first line, whatever a header or query says', async () => {
    for (const [name, value] of [
      ['X-HTTP-Method-Override', 'DELETE'],
      ['X-HTTP-Method', 'DELETE'],
      ['X-Method-Override', 'DELETE'],
    ] as const) {
      for (const method of ['GET', 'POST']) {
        const headers = {
          [name]: value,
          Authorization: `token ${await alice.makeToken({ name: `${name} ${method}`, scopes: ['all'] })}`,
        };
        for (const query of ['', '?_method=DELETE', '?method=DELETE']) {
          await ask(product.url, { method, rawPath: `/api/package/alice/opened${query}`, headers });
          const still = await ask(product.url, { rawPath: '/api/package/alice/opened' });
          expect([name, method, query, still.status]).toEqual([name, method, query, 200]);
        }
      }
    }
  });

  it('OPTIONS says the same of every address', async () => {
    const told = new Set<string>();
    for (const path of [
      INDEX,
      '/conda/alice/noarch/hidden-1.0-0.conda',
      '/conda/nowhere/noarch/repodata.json',
      '/pypi/alice/simple/py-hidden/',
      '/pypi/alice/legacy/',
      '/api/package/alice/hidden',
      '/api/package/alice/absent',
      '/api/no/such/route',
      '/alice/hidden',
      '/',
    ]) {
      for (const headers of [{}, { Authorization: 'token nonsense' }, { Origin: 'https://evil.test' }]) {
        const { status, told: heard, text } = await ask(product.url, { method: 'OPTIONS', rawPath: path, headers });
        told.add(JSON.stringify([status, heard, text()]));
      }
    }
    expect([...told]).toHaveLength(1);
    // No other site's page may read anything here.
    expect([...told].join().toLowerCase()).not.toContain('access-control');
  });

  it.each(['PUT', 'PATCH', 'DELETE', 'POST', 'TRACE', 'PROPFIND', 'QUERY', 'PURGE'])(
    '%s of an index or artifact does nothing, and tells nothing apart',
    async (method) => {
      const told: unknown[] = [];
      for (const name of ['hidden', 'absent', 'opened']) {
        const answered = await ask(`${condaBase({ product, channel: 'alice' })}/noarch/${name}-1.0-0.conda`, {
          method,
        });
        expect([name, answered.status >= 400]).toEqual([name, true]);
        told.push([answered.status, answered.text().replaceAll(name, '…'), answered.told]);
      }
      expect(told[1]).toEqual(told[0]);
      expect(told[2]).toEqual(told[0]);
    },
  );
});

describe('a condition or range', () => {
  it('is looked at when access was decided, and not before', async () => {
    const [conda, simple] = [condaBase({ product, channel: 'alice' }), simpleBase({ product, channel: 'alice' })];
    const own = { product, channel: 'alice', token: aliceToken };
    const shard = (await shardsOf(`${condaBase(own)}/noarch`)).get('hidden') ?? '';
    const [file] = await simpleFiles(own, 'py-hidden');
    const wheelPath = file?.url.replace('../../', '') ?? '';
    const strip = (url: string) => url.replace(`/t/${aliceToken}`, url.includes('/pypi') ? '' : '/conda');
    const paths = [
      `${conda}/noarch/hidden-1.0-0.conda`,
      strip(shard),
      `${simple}/py-hidden/`,
      `${product.pypi}/alice/${wheelPath}`,
      `${product.pypi}/alice/${wheelPath}.metadata`,
      `${product.api}/download/alice/hidden/1.0/noarch/hidden-1.0-0.conda`,
      `${product.api}/package/alice/hidden`,
      `${conda.replace('alice', 'nowhere')}/noarch/repodata.json`,
    ];
    const owned = await ask(`${condaBase(own)}/noarch/hidden-1.0-0.conda`);
    expect(owned.status).toBe(200);
    const tags = [owned.headers.etag ?? '', `"${PY_HIDDEN.sha256}"`, `W/${owned.headers.etag}`, '*'];
    const conditions: readonly Readonly<Record<string, string>>[] = [
      ...tags.flatMap((tag) => [
        { 'If-None-Match': tag },
        { 'If-Match': tag },
        { 'If-Range': tag, Range: 'bytes=0-1' },
      ]),
      { 'If-Modified-Since': new Date(Date.now() + 86_400_000).toUTCString() },
      { 'If-Unmodified-Since': new Date(0).toUTCString() },
      { 'If-Range': owned.headers['last-modified'] ?? '', Range: 'bytes=0-1' },
      { Range: 'bytes=0-0' },
      { Range: 'bytes=99999999-' },
      { Range: 'bytes=-1' },
      { Range: 'bytes=0-0,5-6' },
    ];
    for (const path of paths) {
      for (const method of ['GET', 'HEAD']) {
        const plain = await ask(path, { method, headers: { Accept: JSON_V1 } });
        expect([path, [401, 404].includes(plain.status)]).toEqual([path, true]);
        for (const headers of conditions) {
          const answered = await ask(path, { method, headers: { Accept: JSON_V1, ...headers } });
          expect([path, headers, ...shapeOf(answered)]).toEqual([path, headers, ...shapeOf(plain)]);
        }
      }
    }
  });
});

describe('what is longer than anybody needs', () => {
  it.each([
    ['a path', `/conda/alice/noarch/${'x'.repeat(12_000)}`, {}, [400, 431]],
    ['a query', `${INDEX}?${'x'.repeat(12_000)}`, {}, [400, 431]],
    ['a path of many segments', `/conda/alice${'/a'.repeat(2_000)}`, {}, [400]],
    ['a path of the API', `/api/package/alice/${'x'.repeat(4_000)}`, {}, [400, 404]],
    ['a path of many dots', `/api/${'../'.repeat(1_000)}`, {}, [400]],
    ['a header', INDEX, { 'X-Long': 'x'.repeat(20_000) }, [431]],
    ['a name', INDEX, { [`X-${'x'.repeat(20_000)}`]: 'x' }, [431]],
    ['many headers', INDEX, Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`x-${at}`, '1'])), [431]],
    ['a token', INDEX, { Authorization: `Bearer ${'x'.repeat(10_000)}` }, [401]],
    ['a cookie', '/api/user', { Cookie: `vivarium=${'x'.repeat(10_000)}` }, [401]],
    ['an ETag', INDEX, { 'If-None-Match': '"x", '.repeat(2_000) }, [200]],
    ['a range', INDEX, { Range: `bytes=${'0-1,'.repeat(2_000)}0-1` }, [200]],
    ['an Accept', '/pypi/alice/simple/', { Accept: 'text/html;q=0.1,'.repeat(700) }, [200, 406]],
    ['an Accept-Encoding', INDEX, { 'Accept-Encoding': 'gzip;q=0,'.repeat(1_000) }, [200]],
  ] as const)('(%s) is answered shortly', async (_, rawPath, headers, statuses) => {
    const begun = performance.now();
    const answered = await ask(product.url, { rawPath, headers });
    expect(statuses).toContain(answered.status);
    expect(answered.status === 200 || answered.bytes.length < 2_000).toBe(true);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  it('(a body) is refused where it is not awaited, and read no further', async () => {
    const headers = { 'Content-Type': 'application/json', Authorization: `token ${aliceToken}` };
    const long = JSON.stringify({ note: 'x'.repeat(2 * 2 ** 20) });
    for (const path of [
      '/api/authentications',
      '/api/session',
      '/api/package/alice/x',
      '/api/stage/alice/x/1/noarch/x',
    ]) {
      const { status } = await ask(product.url, { method: 'POST', rawPath: path, headers, body: long });
      expect([path, status]).toEqual([path, 413]);
    }
    const read = await ask(product.url, {
      rawPath: INDEX,
      headers: { 'Content-Length': '300000' },
      body: 'x'.repeat(300_000),
    });
    expect(read.status).toBe(200);
  });

  it('(a form) is refused by the limit that it breaks', async () => {
    const token = await alice.makeToken({ name: 'forms', scopes: ['all'] });
    const file = condaPackage({ name: 'formed', version: '1.0' });
    const part = (name: string, value: string) =>
      `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const forms: readonly (readonly [string, string])[] = [
      ['many fields', `${part('a', 'b').repeat(6_000)}--x--\r\n`],
      ['a long field', `${part('name', 'x'.repeat(2 * 2 ** 20))}--x--\r\n`],
      ['a long name', `${part('x'.repeat(50_000), 'y')}--x--\r\n`],
      [
        'a long head',
        `--x\r\nContent-Disposition: form-data; name="a"\r\nX: ${'y'.repeat(50_000)}\r\n\r\nb\r\n--x--\r\n`,
      ],
      [
        'many heads',
        `--x\r\nContent-Disposition: form-data; name="a"\r\n${'X: y\r\n'.repeat(3_000)}\r\nb\r\n--x--\r\n`,
      ],
      ['no end', part('name', 'y')],
      ['no part', ''],
      ['two files', `${part('content', 'a')}${part('content', 'b')}--x--\r\n`],
    ];
    await alice.register(file);
    const ticket = await alice.stage(file);
    for (const [what, body] of forms) {
      for (const [url, authorization] of [
        [`${product.pypi}/alice/legacy/`, `token ${token}`],
        [ticket.post_url, ''],
      ] as const) {
        const answered = await ask(url, {
          method: 'POST',
          headers: {
            'Content-Type': 'multipart/form-data; boundary=x',
            ...(authorization === '' ? {} : { Authorization: authorization }),
          },
          body,
        });
        expect([what, url, [400, 413].includes(answered.status)]).toEqual([what, url, true]);
      }
    }
    // The ticket is as good as before.
    const { boundary, body } = formOf(ticket.form_data, file.basename, file.bytes);
    const headers = { 'Content-Type': `multipart/form-data; boundary=${boundary}` };
    expect((await ask(ticket.post_url, { method: 'POST', headers, body })).status).toBe(201);
  });
});

it('answers as before, and has told none of the secrets', async () => {
  expect((await ask(product.url, { rawPath: INDEX })).status).toBe(200);
  expect(secrets.toldBy(product)).toEqual([]);
});
