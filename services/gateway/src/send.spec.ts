import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { type Answer, send } from './send.js';

const BYTES = Buffer.from('what only some may read');
const FILE: Answer = {
  etag: '"e"',
  contentType: 'application/octet-stream',
  cacheControl: 'private, no-cache',
  body: { sizeBytes: BYTES.length, bytes: BYTES },
};

/** What is answered, and whether the decision holds, at each time that it is asked for. */
let answer: Answer;
let current: boolean[];
let server: Server;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const isSent = await send(request, response, answer, () => current.shift() ?? true);
    if (!isSent) response.writeHead(299).end('decide again');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => server.close());
beforeEach(() => {
  answer = FILE;
  current = [];
});

async function ask(headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const { port } = server.address() as AddressInfo;
  return fetch(`http://127.0.0.1:${port}/`, { headers });
}

describe('a decision that does not hold any more', () => {
  it.each([
    ['bytes', {}, 200],
    ['that nothing has changed', { 'If-None-Match': '"e"' }, 304],
    ['how long it is', { Range: 'bytes=900-' }, 416],
  ] as const)('tells nobody %s', async (_, headers, status) => {
    expect((await ask(headers)).status).toBe(status);
    current = [false];
    expect((await ask(headers)).status).toBe(299);
  });

  it('sends nothing of what was opened meanwhile, and lets go of it', async () => {
    const stream = Readable.from([BYTES]);
    answer = { ...FILE, body: { sizeBytes: BYTES.length, open: async () => stream } };
    current = [true, false];
    expect(await (await ask()).text()).toBe('decide again');
    expect(stream.destroyed).toBe(true);
  });

  it('sends nothing though a use was counted meanwhile', async () => {
    answer = { ...FILE, spend: async () => void current.unshift(false) };
    expect(await (await ask()).text()).toBe('decide again');
  });
});

describe('what somebody has uploaded', () => {
  it.each([{}, { Range: 'bytes=0-3' }, { 'If-None-Match': '"e"' }])(
    'is shown and run by no browser (%j)',
    async (headers) => {
      answer = { ...FILE, untrusted: true };
      const fields = (await ask(headers)).headers;
      expect(fields.get('content-security-policy')).toMatch(/^sandbox(;|$)/);
      expect(fields.get('content-disposition')).toBe('attachment');
      expect(fields.get('x-content-type-options')).toBe('nosniff');
    },
  );
});
