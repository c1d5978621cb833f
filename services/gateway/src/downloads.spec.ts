import { createHash } from 'node:crypto';
import { Downloads } from '@vivarium/contracts/gen/vivarium/packages/v1/downloads_pb';
import { Files } from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Fault } from '@vivarium/fault/fault';
import { Downloads as Counts } from './downloads.js';
import { type Asked, type Running, startGateway } from './gateway.fixture.js';

describe('downloads', () => {
  let running: Running;
  const told: Record<string, number>[] = [];
  let isAway = false;

  beforeAll(async () => {
    running = await startGateway();
    const bytes = Buffer.from('the bytes of an artifact');
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    await running.blobs.put('blobs/lamp', bytes);
    running.others.teach(Files, 'at', async ({ basename, metadata }) => ({
      found: true,
      blobKey: 'blobs/lamp',
      sha256,
      sizeBytes: BigInt(bytes.byteLength),
      fileId: metadata ? 'metadata' : basename,
    }));
    running.others.teach(Downloads, 'add', async ({ files }) => {
      if (isAway) throw new Fault('unavailable', 'packages is away');
      told.push(Object.fromEntries(files.map(({ fileId, downloads }) => [fileId, Number(downloads)])));
      return {};
    });
  });
  afterAll(() => running?.stop());

  it('are answers to a GET with all bytes or the first of them, and nothing else', async () => {
    const path = '/conda/alice/noarch/lamp-1.0-0.conda';
    const ask = async (status: number, asked: Asked) => {
      const answered = await running.ask(path, asked);
      expect(answered.status).toBe(status);
      return answered;
    };
    const { headers } = await ask(200, {});
    const etag = String(headers.etag);
    await ask(206, { headers: { Range: 'bytes=0-3' } });
    await ask(206, { headers: { Range: 'bytes=4-' } });
    await ask(206, { headers: { Range: 'bytes=-4' } });
    await ask(416, { headers: { Range: 'bytes=900-' } });
    await ask(304, { headers: { 'If-None-Match': etag } });
    await ask(200, { method: 'HEAD' });
    await ask(200, { headers: { Range: 'bytes=4-', 'If-Range': '"another"' } });
    const wheel = `/pypi/alice/files/${'a'.repeat(64)}/lamp-1.0-py3-none-any.whl`;
    expect((await running.ask(wheel)).status).toBe(200);
    expect((await running.ask(`${wheel}.metadata`)).status).toBe(200);
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(sum(told)).toEqual({ 'noarch/lamp-1.0-0.conda': 3, 'lamp-1.0-py3-none-any.whl': 1 });
  });

  it('are kept while packages is away, and told at the end', async () => {
    told.length = 0;
    const counts = new Counts(running.ports, 3_600_000);
    const count = counts.counterOf('lamp');
    count();
    isAway = true;
    await counts.tell();
    count();
    isAway = false;
    await counts.stop();
    expect(told).toEqual([{ lamp: 2 }]);
  });

  it('are counted for so many files at most until they are told', async () => {
    told.length = 0;
    const counts = new Counts(running.ports, 3_600_000);
    for (let n = 0; n < 25_000; n++) counts.counterOf(`file-${n}`)();
    counts.counterOf('file-0')();
    await counts.stop();
    const all = sum(told);
    expect([Object.keys(all).length, all['file-0'], told.length]).toEqual([20_000, 2, 4]);
  });
});

function sum(told: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const all: Record<string, number> = {};
  for (const each of told) for (const [id, count] of Object.entries(each)) all[id] = (all[id] ?? 0) + count;
  return all;
}
