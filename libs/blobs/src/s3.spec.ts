import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { findProgram, freePort } from '@vivarium/testkit/programs';
import { startServer, type TestServer } from '@vivarium/testkit/servers';
import { complaintOf, describeBlobs } from './blobs.conformance.js';
import { openS3Blobs, type S3Config } from './s3.js';

const available = process.env.TEST_S3_ENDPOINT !== undefined || findProgram('versitygw') !== undefined;
const suite = skipSuiteUnless(available, 'blobs on S3', 'versitygw is not installed and TEST_S3_ENDPOINT is not set');

suite('blobs on a real S3 server', () => {
  let server: TestServer;
  const servers: TestServer[] = [];
  async function start(): Promise<S3Config> {
    server = await startServer('s3');
    servers.push(server);
    return configOf(server.env);
  }
  afterAll(async () => {
    for (const each of servers) await each.stop();
  });

  describeBlobs('s3', async () => openS3Blobs(await start()));

  it('copies part by part what is too large to copy at once', async () => {
    const blobs = openS3Blobs({ ...(await start()), copyPartBytes: 5 * 1024 * 1024 });
    const bytes = randomBytes(12 * 1024 * 1024);
    await blobs.put('from', bytes);
    await blobs.copy('from', 'to');
    expect((await (await blobs.get('to')).bytes(bytes.length)).equals(bytes)).toBe(true);
    await blobs.close();
  });

  it('leaves no parts of an upload that failed', async () => {
    const config = await start();
    const blobs = openS3Blobs(config);
    async function* failing() {
      for (let index = 0; index < 20; index++) yield Buffer.alloc(1024 * 1024);
      throw new Error('gone');
    }
    await expect(blobs.put('failing', failing())).rejects.toThrow('gone');
    const client = new S3Client({
      endpoint: config.endpoint ?? '',
      region: config.region,
      forcePathStyle: true,
      credentials: { accessKeyId: config.accessKeyId ?? '', secretAccessKey: config.secretAccessKey ?? '' },
    });
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket: config.bucket }));
    expect(Uploads ?? []).toEqual([]);
    client.destroy();
    await blobs.close();
  });

  it('says what to do about a missing bucket, and about wrong keys', async () => {
    const config = await start();
    expect(await complaintOf(openS3Blobs({ ...config, bucket: 'not-there' }))).toContain('S3_BUCKET');
    expect(await complaintOf(openS3Blobs({ ...config, secretAccessKey: 'wrong' }))).toContain('S3_SECRET_ACCESS_KEY');
    const missing = openS3Blobs({ ...config, bucket: 'not-there' });
    await expect(missing.get('a')).rejects.toMatchObject({ code: 'unavailable' });
    await missing.close();
  });
});

describe('blobs on an S3 server that is not there', () => {
  const nowhere = { region: 'us-east-1', bucket: 'b', accessKeyId: 'a', secretAccessKey: 's' };

  it('says so within seconds', async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    expect(await complaintOf(openS3Blobs({ ...nowhere, endpoint }))).toContain('S3_ENDPOINT');
  });

  it('puts if absent also where conditional writes are unknown or ignored', async () => {
    for (const mode of ['ignored', 'unknown'] as const) {
      const simple = await startSimpleServer(mode);
      const blobs = openS3Blobs({ ...nowhere, endpoint: simple.endpoint });
      expect(await blobs.put('a', Buffer.from('one'), { ifAbsent: true })).toEqual({ stored: true, sizeBytes: 3 });
      expect(await blobs.put('a', Buffer.from('other'), { ifAbsent: true })).toEqual({ stored: false, sizeBytes: 5 });
      expect((await (await blobs.get('a')).bytes(9)).toString()).toBe('one');
      await blobs.close();
      simple.close();
    }
  });
});

function configOf(env: TestServer['env']): S3Config {
  const { S3_ENDPOINT = '', S3_REGION = '', S3_BUCKET = '', S3_ACCESS_KEY_ID = '', S3_SECRET_ACCESS_KEY = '' } = env;
  return {
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    bucket: S3_BUCKET,
    accessKeyId: S3_ACCESS_KEY_ID,
    secretAccessKey: S3_SECRET_ACCESS_KEY,
  };
}

/** Somebody else's server, older than conditional writes: it ignores them, or answers 501. */
async function startSimpleServer(mode: 'ignored' | 'unknown') {
  const objects = new Map<string, Buffer>();
  const server = createServer(async (request, response) => {
    const key = new URL(request.url ?? '', 'http://localhost').pathname;
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === 'PUT') {
      if (mode === 'unknown' && request.headers['if-none-match'] !== undefined) {
        response.writeHead(501, { 'content-type': 'application/xml' });
        response.end('<Error><Code>NotImplemented</Code><Message>no</Message></Error>');
        return;
      }
      objects.set(key, Buffer.concat(chunks));
      response.writeHead(200, { etag: '"x"' }).end();
      return;
    }
    const bytes = objects.get(key);
    if (bytes === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-length': bytes.length }).end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { endpoint: `http://127.0.0.1:${port}`, close: () => server.close() };
}
