import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BucketAlreadyExists,
  BucketAlreadyOwnedByYou,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { startChild } from './child-server.js';
import { findProgram } from './programs.js';
import type { ServerSources, TestServer } from './test-server.js';

interface Account {
  readonly endpoint: string;
  readonly region: string;
  readonly keyId: string;
  readonly secret: string;
}

/** An S3 server with a bucket of the test's own. */
export const startS3: ServerSources = {
  async given() {
    const { TEST_S3_ENDPOINT, TEST_S3_REGION, TEST_S3_ACCESS_KEY_ID, TEST_S3_SECRET_ACCESS_KEY } = process.env;
    if (TEST_S3_ENDPOINT === undefined) return undefined;
    if (TEST_S3_ACCESS_KEY_ID === undefined || TEST_S3_SECRET_ACCESS_KEY === undefined) {
      throw new Error('TEST_S3_ENDPOINT is set: set TEST_S3_ACCESS_KEY_ID and TEST_S3_SECRET_ACCESS_KEY too');
    }
    const account = {
      endpoint: TEST_S3_ENDPOINT,
      region: TEST_S3_REGION ?? 'us-east-1',
      keyId: TEST_S3_ACCESS_KEY_ID,
      secret: TEST_S3_SECRET_ACCESS_KEY,
    };
    const bucket = newBucketName();
    await createBucket(account, bucket);
    return { env: environmentOf(account, bucket), stop: () => removeBucket(account, bucket) };
  },
  async local() {
    const program = findProgram('versitygw');
    if (program === undefined) return undefined;
    const keys = newKeys();
    const bucket = newBucketName();
    const server = await startChild({
      name: 's3',
      env: { ROOT_ACCESS_KEY_ID: keys.keyId, ROOT_SECRET_ACCESS_KEY: keys.secret },
      async prepare(folder, port) {
        const root = join(folder, 'buckets');
        await mkdir(root);
        return [program, '--port', `127.0.0.1:${port}`, '--region', keys.region, 'posix', root];
      },
      async probe(_folder, port) {
        const account = { ...keys, endpoint: `http://127.0.0.1:${port}` };
        await createBucket(account, bucket).catch((error: unknown) => {
          // A server that was started again has it.
          if (!(error instanceof BucketAlreadyOwnedByYou || error instanceof BucketAlreadyExists)) throw error;
        });
        return account;
      },
    });
    return {
      env: environmentOf(server.address, bucket),
      stop: server.stop,
      restart: (outage = {}) => server.restart(outage),
    };
  },
  async container(): Promise<TestServer> {
    const { GenericContainer, Wait } = await import('testcontainers');
    const keys = newKeys();
    const bucket = newBucketName();
    const container = await new GenericContainer('versity/versitygw:v1.7.0')
      .withEnvironment({ ROOT_ACCESS_KEY: keys.keyId, ROOT_SECRET_KEY: keys.secret })
      .withCommand(['--region', keys.region, 'posix', '/tmp'])
      .withExposedPorts(7070)
      .withWaitStrategy(Wait.forListeningPorts())
      .start();
    const account = { ...keys, endpoint: `http://${container.getHost()}:${container.getMappedPort(7070)}` };
    await createBucket(account, bucket);
    return { env: environmentOf(account, bucket), stop: async () => void (await container.stop()) };
  },
  remedy: 'set TEST_S3_ENDPOINT with its keys, install versitygw (.ci/install.sh does)',
};

function newKeys() {
  return {
    region: 'us-east-1',
    keyId: `test${randomBytes(8).toString('hex')}`,
    secret: randomBytes(20).toString('hex'),
  };
}

function newBucketName(): string {
  return `vivarium-${randomBytes(6).toString('hex')}`;
}

function environmentOf(account: Account, bucket: string): Record<string, string> {
  return {
    S3_ENDPOINT: account.endpoint,
    S3_REGION: account.region,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_ID: account.keyId,
    S3_SECRET_ACCESS_KEY: account.secret,
  };
}

async function createBucket(account: Account, bucket: string): Promise<void> {
  await withClient(account, (client) => client.send(new CreateBucketCommand({ Bucket: bucket })));
}

async function removeBucket(account: Account, bucket: string): Promise<void> {
  await withClient(account, async (client) => {
    for (;;) {
      const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      const Objects = (Contents ?? []).map(({ Key }) => ({ Key }));
      if (Objects.length === 0) break;
      await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
    }
    await client.send(new DeleteBucketCommand({ Bucket: bucket }));
  });
}

async function withClient(account: Account, use: (client: S3Client) => Promise<unknown>): Promise<void> {
  const client = new S3Client({
    endpoint: account.endpoint,
    region: account.region,
    credentials: { accessKeyId: account.keyId, secretAccessKey: account.secret },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  try {
    await use(client);
  } finally {
    client.destroy();
  }
}
