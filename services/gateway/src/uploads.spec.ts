import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Stages } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { deriveKey } from '@vivarium/token/secret';
import { signTicket } from '@vivarium/token/ticket';
import { type Answered, type Running, startGateway } from './gateway.fixture.js';

const STAGE = 'ab'.repeat(16);
const BOUNDARY = 'e3f0a9d1c2';
const TYPE = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` };

interface Part {
  readonly head: string;
  readonly body: string | Uint8Array;
}

const field = (name: string, body: string): Part => ({ head: `Content-Disposition: form-data; name="${name}"`, body });
const md5Of = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64');

function formOf(parts: readonly Part[], end = `--${BOUNDARY}--\r\n`): Buffer {
  const pieces = parts.flatMap(({ head, body }) => [
    Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`),
    Buffer.from(body),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(end)]);
}

/** The form as the client sends it: the fields that it was given, the size, the MD5, the file. */
function clientForm(bytes: Uint8Array, more: Partial<Record<'length' | 'md5' | 'head', string>> = {}): Buffer {
  return formOf([
    field('stage', STAGE),
    field('Content-Length', more.length ?? String(bytes.byteLength)),
    field('Content-MD5', more.md5 ?? md5Of(bytes)),
    { head: more.head ?? 'Content-Disposition: form-data; name="file"; filename="linux-64/x-1-0.conda"', body: bytes },
  ]);
}

let gateway: Running;
let ticket: string;
let expected: { sha256: string; maxBytes: bigint };
beforeAll(async () => {
  gateway = await startGateway();
  ticket = signTicket(STAGE, deriveKey(gateway.secret, 'upload tickets'));
});
afterAll(() => gateway.stop());
beforeEach(async () => {
  gateway.others.heard.length = 0;
  expected = { sha256: '', maxBytes: 10n ** 9n };
  gateway.others.teach(Stages, 'expect', async () => ({ ...expected, basename: 'linux-64/x-1-0.conda' }));
  gateway.others.teach(Stages, 'receive', async () => ({}));
  for (const key of await gateway.stagedKeys()) await gateway.blobs.delete(key);
});

const post = (body: Uint8Array | Readable, headers: Record<string, string> = {}, path = `/api/-/upload/${ticket}`) =>
  gateway.ask(path, { method: 'POST', headers: { ...TYPE, ...headers }, body });

async function nothingWasReceived(answer: Answered, status: number, code: string): Promise<void> {
  expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/xml']);
  expect(answer.text).toMatch(new RegExp(`^<Error><Code>${code}</Code><Message>[^<]+</Message></Error>$`));
  expect(gateway.others.heardOf(Stages, 'receive')).toEqual([]);
  expect(await gateway.stagedKeys()).toEqual([]);
}

describe('the bytes of a stage', () => {
  it('are stored, hashed, and handed on, with 201', async () => {
    const bytes = randomBytes(300_000);
    expected.sha256 = createHash('sha256').update(bytes).digest('hex');
    const answer = await post(clientForm(bytes));
    expect([answer.status, answer.headers['content-type']]).toEqual([201, 'application/xml']);
    expect(answer.text).toMatch(/^<PostResponse>.*<\/PostResponse>$/);
    const [key = ''] = await gateway.stagedKeys();
    expect(gateway.others.heardOf(Stages, 'receive')).toMatchObject([
      {
        stageId: STAGE,
        stagingKey: key,
        sha256: expected.sha256,
        md5: createHash('md5').update(bytes).digest('hex'),
        sizeBytes: 300_000n,
      },
    ]);
    expect((await (await gateway.blobs.get(key)).bytes(1_000_000)).equals(bytes)).toBe(true);
  });

  it.each([
    ['without file name and type, as rattler sends it', 'Content-Disposition: form-data; name="file"'],
    [
      'with a type',
      'Content-Disposition: form-data; name="file"; filename="x"\r\nContent-Type: application/octet-stream',
    ],
  ])('are taken %s', async (_what, head) => {
    const bytes = randomBytes(3 * 2 ** 20);
    expect((await post(clientForm(bytes, { head }))).status).toBe(201);
    expect(gateway.others.heardOf(Stages, 'receive')).toMatchObject([{ sizeBytes: BigInt(bytes.byteLength) }]);
  });

  it('may be none', async () => {
    expect((await post(clientForm(Buffer.alloc(0)))).status).toBe(201);
    expect(gateway.others.heardOf(Stages, 'receive')).toMatchObject([
      { sizeBytes: 0n, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
    ]);
  });

  it('are taken whatever other credential stands beside the ticket', async () => {
    const headers = { Authorization: 'token nonsense', Cookie: 'vivarium=nonsense' };
    expect((await post(clientForm(Buffer.from('x')), headers)).status).toBe(201);
    expect(gateway.others.heardOf(Callers, 'whoIs')).toEqual([]);
  });

  it.each([
    [
      'another MD5 than announced',
      () => clientForm(Buffer.from('x'), { md5: md5Of(Buffer.from('y')) }),
      400,
      'InvalidDigest',
    ],
    ['an MD5 that is none', () => clientForm(Buffer.from('x'), { md5: 'zz' }), 400, 'InvalidDigest'],
    ['another size than announced', () => clientForm(Buffer.from('x'), { length: '2' }), 400, 'InvalidRequest'],
    ['no file', () => formOf([field('stage', STAGE)]), 400, 'InvalidRequest'],
    ['an end too early', () => formOf([field('stage', STAGE)], ''), 400, 'InvalidRequest'],
    ['a file without an end', () => clientForm(randomBytes(100_000)).subarray(0, 50_000), 400, 'InvalidRequest'],
    ['no parts at all', () => Buffer.from('hello'), 400, 'InvalidRequest'],
    [
      'a hundred and one fields',
      () => formOf(Array.from({ length: 101 }, () => field('a', 'b'))),
      413,
      'EntityTooLarge',
    ],
  ])('are refused with %s', async (_what, body, status, code) => {
    await nothingWasReceived(await post(body()), status, code);
  });

  it('are refused with another sha256 than the stage was opened for', async () => {
    expected.sha256 = '00'.repeat(32);
    await nothingWasReceived(await post(clientForm(Buffer.from('x'))), 400, 'InvalidDigest');
  });

  it('are refused above the limit, with an answer that the client gets to read', async () => {
    expected.maxBytes = 1_000n;
    await nothingWasReceived(await post(clientForm(randomBytes(20 * 2 ** 20))), 413, 'EntityTooLarge');
  });

  it.each([
    ['no form', { 'Content-Type': 'application/json' }],
    ['a form without a boundary', { 'Content-Type': 'multipart/form-data; charset=utf-8' }],
  ])('are refused as %s', async (_what, headers) => {
    await nothingWasReceived(await post(clientForm(Buffer.from('x')), headers), 400, 'InvalidRequest');
  });

  it('need a ticket that we gave out', async () => {
    const forged = `${STAGE}-${'0'.repeat(64)}`;
    for (const path of [`/api/-/upload/${forged}`, '/api/-/upload/x']) {
      await nothingWasReceived(await post(clientForm(randomBytes(5 * 2 ** 20)), {}, path), 403, 'AccessDenied');
    }
    expect(gateway.others.heard).toEqual([]);
  });

  it('stay when nobody can say whether they were noted, since a commit may need them', async () => {
    gateway.others.teach(Stages, 'receive', async () => {
      throw new Fault('unavailable', 'The answer is late. Try again.');
    });
    expect((await post(clientForm(Buffer.from('x')))).status).toBe(503);
    expect(await gateway.stagedKeys()).toHaveLength(1);
  });

  it('are thrown away when the stage was received by another', async () => {
    gateway.others.teach(Stages, 'receive', async () => {
      throw new Fault('conflict', 'this stage was received before');
    });
    const answer = await post(clientForm(Buffer.from('x')));
    expect([answer.status, answer.text]).toEqual([409, expect.stringContaining('received before')]);
    expect(await gateway.stagedKeys()).toEqual([]);
  });

  it('leave nothing when the client goes away half-way', async () => {
    const socket = connect(gateway.port, '127.0.0.1');
    const head = `POST /api/-/upload/${ticket} HTTP/1.1\r\nHost: vivarium.test\r\nContent-Type: ${TYPE['Content-Type']}\r\nContent-Length: 9999999\r\n\r\n`;
    socket.write(head);
    socket.write(clientForm(randomBytes(2 ** 20)).subarray(0, 2 ** 19));
    while (gateway.others.heardOf(Stages, 'expect').length === 0) await pause(10);
    await pause(50);
    socket.destroy();
    await pause(100);
    expect(gateway.others.heardOf(Stages, 'receive')).toEqual([]);
    expect(await gateway.stagedKeys()).toEqual([]);
    expect((await post(clientForm(Buffer.from('x')))).status).toBe(201);
  });

  it('take no more memory than a small upload would, however many they are', async () => {
    const chunk = randomBytes(2 ** 20);
    const [before, after] = formOf([{ head: 'Content-Disposition: form-data; name="file"', body: 'CUT' }])
      .toString('latin1')
      .split('CUT');
    let peakBytes = 0;
    async function* body() {
      yield Buffer.from(before ?? '', 'latin1');
      for (let count = 0; count < 300; count++) {
        yield chunk;
        if (count % 10 === 0) peakBytes = Math.max(peakBytes, process.memoryUsage().rss);
      }
      yield Buffer.from(after ?? '', 'latin1');
    }
    const startBytes = process.memoryUsage().rss;
    expect((await post(Readable.from(body()))).status).toBe(201);
    expect(gateway.others.heardOf(Stages, 'receive')).toMatchObject([{ sizeBytes: BigInt(300 * 2 ** 20) }]);
    expect(peakBytes - startBytes).toBeLessThan(150 * 2 ** 20);
  }, 60_000);
});

// What the real client sent to an object store, recorded; only the bytes of large files were not kept.
const TRANSCRIPT = resolve(import.meta.dirname, '../../../../shared/data/anaconda-client-transcript.jsonl');
(existsSync(TRANSCRIPT) ? describe : describe.skip)('forms of the recorded client', () => {
  const forms = existsSync(TRANSCRIPT) ? recordedForms() : [];

  it('are there', () => expect(forms.length).toBeGreaterThan(8));

  it.each(forms.map((parts) => ({ parts })))('%# are taken, part by part as they were sent', async ({ parts }) => {
    const file = randomBytes(Number(parts.find(({ head }) => head.includes('"Content-Length"'))?.body ?? 0));
    const replayed = parts.map(({ head, body }) => {
      if (head.includes('name="Content-MD5"')) return { head, body: md5Of(file) };
      return { head, body: head.includes('name="file"') ? file : body };
    });
    expect((await post(formOf(replayed))).status).toBe(201);
    expect(gateway.others.heardOf(Stages, 'receive')).toMatchObject([{ sizeBytes: BigInt(file.byteLength) }]);
  });
});

function recordedForms(): Part[][] {
  return readFileSync(TRANSCRIPT, 'utf8')
    .trim()
    .split('\n')
    .flatMap((line): { parts?: Part[] }[] => JSON.parse(line).requests)
    .flatMap(({ parts }) => (parts === undefined ? [] : [parts]));
}
