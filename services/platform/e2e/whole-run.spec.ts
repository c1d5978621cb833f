import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { findSecrets } from '@vivarium/testkit/find-secrets';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { recordMetrics } from '@vivarium/testkit/record-product';
import { CHANNELS, type Channel, recordedSaid, recordedSecrets, recordSecret } from '@vivarium/testkit/run-record';
import { ask, basic } from './ask.js';
import { condaPackage } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(240_000);

// The last spec of a run. Every spec has left a record of the secrets that it made and of what the product said meanwhile:
// logs of all processes and commands, spans, counts, answers that refuse, rows of all tables, titles and command lines.
// Nothing of the one may be in the other.
const secrets = new Secrets();
const PLANT = 'planted';

/** A secret that is said on purpose, to see that it is found. */
function plant(channel: Channel): string {
  const secret = `${PLANT}+in ${randomBytes(12).toString('base64url')}`;
  recordSecret(`${PLANT} in ${channel}`, secret);
  return secret;
}

interface Found {
  readonly channel: Channel;
  readonly name: string;
  readonly source: string;
  readonly before: string;
}

function findAll(): readonly Found[] {
  const known = recordedSecrets();
  return CHANNELS.flatMap((channel) => findSecrets(known, recordedSaid(channel)).map((each) => ({ channel, ...each })));
}

/** Whatever is of the shape of a secret, though nobody has noted it: what clients made by themselves, and what services sign. */
const SHAPES: Readonly<Record<string, RegExp>> = {
  token: /\bviv-[a-z0-9]{32}-[a-z0-9]{6}\b/,
  session: /\bvis-[a-z0-9]{24,}/,
  assertion: /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}/,
  'private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----|"d"\s*:\s*"[\w-]{43}"/,
};

describe('what refuses a request', () => {
  let product: Product;
  let admin: Publisher;
  let token: string;
  let ticket: string;

  beforeAll(async () => {
    product = await startProduct();
    admin = await Publisher.admin(product, secrets);
    token = await admin.makeToken({ name: 'of the last spec', scopes: ['repos'] });
    const file = condaPackage({ name: 'staged', version: '1.0' });
    await admin.register(file);
    ticket = new URL((await admin.stage(file)).post_url).pathname.split('/').at(-1) ?? '';
    // The id of the stage stands before its proof.
    secrets.keep('ticket', ticket.split('-')[1] ?? '');
  });
  afterAll(async () => {
    await product?.stop();
  });

  const encoded = (text: string) => `%${text.charCodeAt(0).toString(16)}${text.slice(1)}`;
  const PLACES: Readonly<Record<string, (secret: string) => string>> = {
    'before a channel that is not there': (secret) => `/t/${secret}/nobody/noarch/repodata.json`,
    'before nothing': (secret) => `/t/${secret}/`,
    'before a path that nobody serves': (secret) => `/t/${secret}/admin/noarch/no/such/file`,
    'percent-encoded': (secret) => `/t/${encoded(secret)}/nobody/noarch/repodata.json`,
    'with more behind it': (secret) => `/t/${secret}x/admin/noarch/repodata.json`,
    'of conda, in the second place': (secret) => `/conda/t/${secret}/nobody/noarch/repodata.json`,
    'of Python': (secret) => `/pypi/t/${secret}/nobody/simple/`,
    'of Python, before the prefix': (secret) => `/t/${secret}/pypi/nobody/simple/`,
    'where the API is': (secret) => `/api/t/${secret}/user`,
    'twice, which nobody takes': (secret) => `/t/${secret}/t/${secret}/admin/noarch/repodata.json`,
    'as a channel': (secret) => `/${secret}`,
    'as a package': (secret) => `/admin/${secret}`,
    'as a package of the API': (secret) => `/api/package/admin/${secret}`,
    'as a file': (secret) => `/conda/admin/noarch/${secret}`,
    'as a project': (secret) => `/pypi/admin/simple/${secret}/`,
    'as a name of nothing': (secret) => `/api/package/admin/a/b/c/${secret}`,
    'in a query': (secret) => `/admin/nothing?token=${secret}`,
    'in a query of the API': (secret) => `/api/package/admin/nothing?access_token=${secret}`,
    'in a wrong query': (secret) => `/admin?after=${secret}%00`,
    'as a user in front of the host': (secret) => `http://${secret}@127.0.0.1/conda/nobody/noarch/repodata.json`,
    'behind dots': (secret) => `/../t/${secret}/admin/noarch/repodata.json`,
  };

  it.each(Object.entries(PLACES))('repeats no token that stands in its address %s', async (_, at) => {
    for (const accept of ['*/*', 'text/html']) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        const answered = await ask(product.url, { method, rawPath: at(token), headers: { Accept: accept } });
        const said = `${answered.reason}\n${answered.told.join('\n')}\n${answered.text()}`;
        expect([method, answered.status >= 400, secrets.foundIn(said)]).toEqual([method, true, []]);
      }
    }
  });

  it('repeats no credential that it was shown', async () => {
    const { password } = product.admin;
    secrets.keep('password of the administrator', password);
    const shown: readonly (readonly [string, Record<string, string>])[] = [
      ['/api/package/nobody/nothing', { Authorization: basic('admin', `${password}x`) }],
      ['/api/package/nobody/nothing', { Authorization: basic('__token__', token) }],
      ['/api/package/nobody/nothing', { Authorization: `token ${token}x` }],
      ['/api/package/nobody/nothing', { Authorization: `Bearer ${token}` }],
      ['/api/package/nobody/nothing', { Authorization: `Digest ${token}` }],
      ['/api/package/nobody/nothing', { Authorization: token }],
      ['/api/package/nobody/nothing', { Cookie: `vivarium=${token}` }],
      ['/conda/nobody/noarch/repodata.json', { Authorization: basic(token, '') }],
      ['/pypi/nobody/simple/', { Authorization: basic(token, password) }],
      ['/pypi/nobody/simple/', { Authorization: basic('__token__', `${token}y`) }],
    ];
    for (const [rawPath, headers] of shown) {
      const answered = await ask(product.url, { rawPath, headers });
      const said = `${answered.reason}\n${answered.told.join('\n')}\n${answered.text()}`;
      expect([rawPath, answered.status >= 400, secrets.foundIn(said)]).toEqual([rawPath, true, []]);
    }
  });

  it('repeats nothing of a body', async () => {
    const wide = await admin.makeToken({ name: 'everything' });
    const bodies = [
      `{"note": "${token}"`,
      `{"note": {"a": "${token}"}}`,
      `{"scopes": ["${token}"], "note": "x"}`,
      `{"login": "${token}", "password": "${product.admin.password}"}`,
      `{"login": "admin", "password": ["${product.admin.password}"]}`,
      `{"login": "no such login", "password": "${product.admin.password}", "email": "${token}"}`,
      `{"public": "${token}", "visibility": "${token}"}`,
    ];
    let refused = 0;
    for (const [method, path] of [
      ['POST', '/authentications'],
      ['POST', '/users'],
      ['POST', '/session'],
      ['PATCH', '/package/admin/staged'],
      ['POST', '/stage/admin/staged/1.0/noarch/staged-1.0-1.conda'],
    ] as const) {
      for (const body of bodies) {
        const headers = { Authorization: `token ${wide}`, 'Content-Type': 'application/json', Origin: product.url };
        const answered = await ask(product.url, { method, rawPath: `/api${path}`, headers, body });
        const said = `${answered.reason}\n${answered.told.join('\n')}\n${answered.text()}`;
        // Of two fields, an API takes what it knows.
        if (answered.status >= 400) {
          refused++;
          expect([path, body.length, secrets.foundIn(said)]).toEqual([path, body.length, []]);
        }
      }
    }
    expect(refused).toBeGreaterThan(20);
  });

  it('repeats no ticket', async () => {
    for (const [method, rawPath] of [
      ['POST', `/api/-/upload/${ticket}`],
      ['POST', `/api/-/upload/${ticket}x`],
      ['POST', `/api/-/upload/${ticket}/more`],
      ['GET', `/api/-/upload/${ticket}`],
      ['DELETE', `/api/-/upload/${ticket}`],
    ] as const) {
      const answered = await ask(product.url, { method, rawPath });
      const said = `${answered.reason}\n${answered.told.join('\n')}\n${answered.text()}`;
      expect([method, answered.status >= 400, secrets.foundIn(said)]).toEqual([method, true, []]);
    }
  });
});

describe('the search over the whole run', () => {
  const planted = Object.fromEntries(CHANNELS.map((channel) => [channel, plant(channel)])) as Record<Channel, string>;

  it('finds what is said on purpose, in every channel', async () => {
    const base64 = (text: string) => Buffer.from(`x:${text}`).toString('base64url');
    const product = await startProduct({
      target: 'all',
      env: {
        OTEL_RESOURCE_ATTRIBUTES: `${PLANT}=${encodeURIComponent(encodeURIComponent(planted.spans))}`,
        OTEL_BSP_SCHEDULE_DELAY: '100',
        NODE_OPTIONS: `--title=${base64(planted.processes)}`,
      },
    });
    try {
      const admin = await Publisher.admin(product, secrets);
      // The rows: of something of which people may say what they like.
      const said = { public: true, publish: false, public_attrs: { summary: encodeURIComponent(planted.database) } };
      await admin.expectCall(200, 'POST', '/package/admin/planted', said);
      await ask(`${product.url}/conda/admin/noarch/${encodeURIComponent(planted.answers)}`);
      expect((await product.command([planted.logs])).code).not.toBe(0);
      const counting = createServer((_, response) => response.end(`# HELP x\nx{a="${base64(planted.metrics)}"} 1\n`));
      await new Promise<void>((resolve) => counting.listen(0, '127.0.0.1', resolve));
      await recordMetrics([`http://127.0.0.1:${(counting.address() as AddressInfo).port}/`]);
      counting.close();
      await sleep(1_000);
    } finally {
      await product.stop();
    }
    const found = findAll().filter(({ name }) => name.startsWith(PLANT));
    const where = new Set(found.map(({ channel, name }) => `${name}: ${channel}`));
    for (const channel of CHANNELS) expect([...where]).toContain(`${PLANT} in ${channel}: ${channel}`);
  });

  it('has something to search, of every kind', () => {
    const named = new Set(recordedSecrets().values());
    expect([...named]).toEqual(
      expect.arrayContaining([
        expect.stringContaining('token'),
        expect.stringContaining('ticket'),
        expect.stringContaining('configuration'),
      ]),
    );
    const sizes = Object.fromEntries(
      CHANNELS.map((channel) => [channel, recordedSaid(channel).reduce((sum, { text }) => sum + text.length, 0)]),
    );
    for (const channel of CHANNELS) expect([channel, (sizes[channel] ?? 0) > 1_000]).toEqual([channel, true]);
    process.stderr.write(`searched for ${recordedSecrets().size} secrets in ${JSON.stringify(sizes)} characters\n`);
  });

  it('finds no secret of this run in anything that the product said', () => {
    expect(findAll().filter(({ name }) => !name.startsWith(PLANT))).toEqual([]);
  });

  it.each(Object.entries(SHAPES))('finds nothing of the shape of a %s either', (_, shape) => {
    const found = CHANNELS.flatMap((channel) =>
      recordedSaid(channel).flatMap(({ source, text }) => {
        const match = shape.exec(text);
        return match === null ? [] : [[channel, source, text.slice(Math.max(0, match.index - 60), match.index + 12)]];
      }),
    );
    expect(found).toEqual([]);
  });
});
