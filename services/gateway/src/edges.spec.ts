import { connect } from 'node:net';
import { ALICE, BOB, type Running, startGateway } from './gateway.fixture.js';

let plain: Running;
let proxied: Running;
beforeAll(async () => {
  plain = await startGateway();
  proxied = await startGateway({ TRUSTED_PROXIES: '127.0.0.1' });
});
afterAll(() => Promise.all([plain.stop(), proxied.stop()]));

const LIMITED = { accountId: 'a1', login: 'alice', accountKind: 'user', scopes: ['all'] };
const INDEX = '/conda/alice/noarch/notices.txt';

/** Sends lines as they are, and gives the statuses of all that comes back until the connection is closed. */
function statusesOf(port: number, text: string): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let heard = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      heard += part;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve([...heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))));
  });
}

function requestOf(lines: readonly string[], path = INDEX): string {
  return [`GET ${path} HTTP/1.1`, ...lines, 'Connection: close', '', ''].join('\r\n');
}

describe('a header that stands there twice', () => {
  it('is no host: a proxy may have meant the other one', async () => {
    const [one, other] = ['Host: vivarium.test', 'Host: evil.test'];
    expect(await statusesOf(plain.port, requestOf([one]))).toEqual([404]);
    for (const hosts of [
      [one, other],
      [other, one],
      [one, one],
    ]) {
      expect(await statusesOf(plain.port, requestOf(hosts))).toEqual([421]);
    }
  });

  it('is no credential: which of the two was meant?', async () => {
    const [alice, bob] = [plain.token(ALICE), plain.token(BOB)];
    const asked = (...tokens: string[]) =>
      requestOf(['Host: vivarium.test', ...tokens.map((token) => `Authorization: token ${token}`)], '/api/user');
    const [first] = await statusesOf(plain.port, asked(alice, bob));
    expect(first).toBe(401);
    expect(await statusesOf(plain.port, asked(bob, alice))).toEqual([401]);
  });
});

describe('a client behind a proxy', () => {
  const elsewhere = { cidrs: ['10.0.0.0/8', '127.0.0.0/8'] };

  it('cannot push what the proxy adds out of the request', async () => {
    const token = proxied.token({ ...LIMITED, restrictions: elsewhere });
    const junk = Array.from({ length: 300 }, (_, at) => `X-${at}: 1`);
    const asked = (...lines: string[]) =>
      requestOf(['Host: vivarium.test', `Authorization: token ${token}`, ...lines], INDEX);
    expect(await statusesOf(proxied.port, asked('X-Forwarded-For: 10.1.2.3'))).toEqual([404]);
    expect(await statusesOf(proxied.port, asked('X-Forwarded-For: 9.9.9.9'))).toEqual([403]);
    // Refused whole: never read without its end.
    expect(await statusesOf(proxied.port, asked(...junk, 'X-Forwarded-For: 9.9.9.9'))).toEqual([431]);
    expect(await statusesOf(proxied.port, asked('X-Forwarded-For: 10.1.2.3', 'X-Forwarded-For: 9.9.9.9'))).toEqual([
      403,
    ]);
  });

  it('says nothing about itself where no proxy is trusted', async () => {
    const token = plain.token({ ...LIMITED, restrictions: { cidrs: ['10.0.0.0/8'] } });
    for (const line of ['X-Forwarded-For: 10.1.2.3', 'Forwarded: for=10.1.2.3', 'X-Real-IP: 10.1.2.3']) {
      const lines = ['Host: vivarium.test', `Authorization: token ${token}`, line];
      expect(await statusesOf(plain.port, requestOf(lines))).toEqual([403]);
    }
    for (const line of ['X-Forwarded-Host: vivarium.test', 'Forwarded: host=vivarium.test', 'X-Host: vivarium.test']) {
      expect(await statusesOf(plain.port, requestOf(['Host: evil.test', line]))).toEqual([421]);
    }
    for (const line of [
      'X-Original-URL: /api',
      'X-Rewrite-URL: /api',
      'X-Forwarded-Prefix: /api',
      'X-Forwarded-Proto: https',
    ]) {
      expect(await statusesOf(plain.port, requestOf(['Host: vivarium.test', line]))).toEqual([404]);
    }
  });
});

describe('a character that no text here can have', () => {
  const headers = () => ({ 'Content-Type': 'application/json', Authorization: `token ${plain.token(ALICE)}` });

  it.each(['/api/search?name=a%00', '/api/search?name=%1f', '/api/audit?owner=%7F'])(
    'is refused in %s',
    async (path) => {
      expect((await plain.ask(path, { headers: headers() })).status).toBe(400);
    },
  );

  it.each(['{"public_attrs":{"a":["b\\u0000"]}}', '{"a\\u0000":1}'])('is refused in the body %s', async (body) => {
    const answer = await plain.ask('/api/package/alice/foo', { method: 'POST', headers: headers(), body });
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining('U+0000')]);
  });
});
