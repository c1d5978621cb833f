import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { Fault } from '@vivarium/fault/fault';
import {
  type BlobBody,
  type BlobFacts,
  type Blobs,
  type ByteRange,
  beyondEnd,
  checkKey,
  checkPrefix,
  checkRange,
  nothingUnder,
  type PutOptions,
  type PutResult,
  tooLarge,
} from './blobs.js';
import { PREFIXES } from './keys.js';
import { measure } from './measure.js';
import { isMissing, isRefusedCondition, isUnknownCondition, s3FaultOf, statusOf } from './s3-fault.js';

export interface S3Config {
  /** `https://host[:port]`; without it the SDK finds the region's own. */
  readonly endpoint?: string;
  readonly region: string;
  readonly bucket: string;
  /** Without a pair of keys the SDK's own chain (pod identity, instance role) gives them. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** `host/bucket/key` instead of `bucket.host/key`; true unless said otherwise when there is an endpoint. */
  readonly forcePathStyle?: boolean;
  /** Above this size copies go part by part: S3 copies at most 5 GB at once. */
  readonly copyPartBytes?: number;
}

/** Held in memory per upload: this, times the parts on their way. 10,000 parts allow 80 GB a file. */
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_ON_THEIR_WAY = 2;
const COPY_PART_BYTES = 1024 * 1024 * 1024;

// A store that says nothing is given up by whoever waits: a read after twice 5 s, an upload after twice 20 s, and a copy, which
// a server makes in silence, after twice two minutes.
const TRIES = 2;
const READ = { requestTimeout: 5_000 };
const SILENCE_MS = 20_000;
const COPY_SILENCE_MS = 120_000;

/**
 * Blobs in an S3 bucket, which must exist. Needs PutObject, GetObject with ranges, HeadObject, ListObjectsV2, multipart
 * uploads, CopyObject and DeleteObject; uses conditional writes (`If-None-Match: *`) where the server has them.
 * Connects at the first call; `check` tells whether it can.
 */
export function openS3Blobs(config: S3Config): Blobs {
  return new S3Blobs(config);
}

class S3Blobs implements Blobs {
  private readonly client: S3Client;
  private readonly copier: S3Client;
  private readonly bucket: string;
  private readonly copyPartBytes: number;
  private conditions: Promise<boolean> | undefined;
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(config: S3Config) {
    this.bucket = config.bucket;
    this.copyPartBytes = config.copyPartBytes ?? COPY_PART_BYTES;
    this.client = clientOf(config, SILENCE_MS);
    this.copier = clientOf(config, COPY_SILENCE_MS);
  }

  async put(key: string, body: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions = {}): Promise<PutResult> {
    checkKey(key);
    const { chunks, sizeBytes } = measure(body, options.contentLength);
    if (options.ifAbsent !== true) {
      await this.upload(key, chunks, false);
      return { stored: true, sizeBytes: sizeBytes() };
    }
    const stored = await this.inTurn(key, async (waited) => {
      const conditional = await this.hasConditions();
      // Two processes that look at the same moment may both store where the server has no conditions, or looks first and
      // writes then, as some do. Keys put this way name their own bytes, so both store the same.
      if ((waited || !conditional) && (await this.head(key)) !== undefined) {
        for await (const _ of chunks);
        return false;
      }
      if (conditional) return this.uploadIfAbsent(key, chunks);
      await this.upload(key, chunks, false);
      return true;
    });
    return { stored, sizeBytes: sizeBytes() };
  }

  async get(key: string, range?: ByteRange): Promise<BlobBody> {
    checkKey(key);
    if (range !== undefined) checkRange(range);
    try {
      const answer = await this.client.send(
        new GetObjectCommand({
          Bucket: this.bucket,
          Key: key,
          ...(range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` }),
        }),
        READ,
      );
      if (!(answer.Body instanceof Readable)) throw new Error('The S3 client gave no stream.');
      const lengthBytes = answer.ContentLength ?? 0;
      return new ObjectBody(answer.Body, totalOf(answer.ContentRange) ?? lengthBytes, lengthBytes);
    } catch (error) {
      if (isMissing(error)) throw nothingUnder(key, error);
      if (range !== undefined && statusOf(error) === 416) throw beyondEnd(range);
      throw s3FaultOf(error);
    }
  }

  async head(key: string): Promise<BlobFacts | undefined> {
    checkKey(key);
    try {
      const answer = await this.client.send(new HeadObjectCommand({ Bucket: this.bucket, Key: key }), READ);
      return { sizeBytes: answer.ContentLength ?? 0, modifiedAtMs: answer.LastModified?.getTime() ?? 0 };
    } catch (error) {
      // A HEAD has no body to tell a missing bucket from a missing key: `check` does.
      if (isMissing(error)) return undefined;
      throw s3FaultOf(error);
    }
  }

  async *list(prefix: string): AsyncIterable<BlobFacts & { readonly key: string }> {
    checkPrefix(prefix);
    let next: string | undefined;
    do {
      const page = await this.sent(() =>
        this.client.send(
          new ListObjectsV2Command({
            Bucket: this.bucket,
            Prefix: prefix,
            ...(next === undefined ? {} : { ContinuationToken: next }),
          }),
          READ,
        ),
      );
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined || Key.endsWith('/')) continue;
        yield { key: Key, sizeBytes: Size ?? 0, modifiedAtMs: LastModified?.getTime() ?? 0 };
      }
      next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (next !== undefined);
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    try {
      await this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key }));
    } catch (error) {
      if (!isMissing(error)) throw s3FaultOf(error);
    }
  }

  async copy(from: string, to: string): Promise<void> {
    checkKey(from);
    checkKey(to);
    const source = await this.head(from);
    if (source === undefined) throw nothingUnder(from);
    try {
      if (source.sizeBytes > this.copyPartBytes) await this.copyInParts(from, to, source.sizeBytes);
      else {
        await this.copier.send(
          new CopyObjectCommand({ Bucket: this.bucket, Key: to, CopySource: this.sourceOf(from) }),
        );
      }
    } catch (error) {
      if (isMissing(error)) throw nothingUnder(from, error);
      throw s3FaultOf(error);
    }
  }

  async check(): Promise<void> {
    const probe = { Bucket: this.bucket, Key: `${PREFIXES.probe}ready`, Body: Buffer.from('vivarium') };
    await this.sent(() => this.client.send(new PutObjectCommand(probe)));
  }

  async close(): Promise<void> {
    this.client.destroy();
    this.copier.destroy();
  }

  /** One at a time for a key, within this process. */
  private async inTurn<Result>(key: string, work: (waited: boolean) => Promise<Result>): Promise<Result> {
    const before = this.turns.get(key);
    const mine = (async () => {
      await before?.catch(() => undefined);
      return work(before !== undefined);
    })();
    this.turns.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.turns.get(key) === mine) this.turns.delete(key);
    }
  }

  /** False if the condition was refused because something is there. */
  private async uploadIfAbsent(key: string, chunks: AsyncIterable<Uint8Array>): Promise<boolean> {
    try {
      await this.upload(key, chunks, true);
      return true;
    } catch (error) {
      if (isFaultOfCondition(error)) return false;
      if (statusOf(causeOf(error)) !== 409) throw error;
      // Another put of the same key is just ending: it decides.
      for (let attempt = 0; attempt < 20; attempt++) {
        if ((await this.head(key)) !== undefined) return false;
        await sleep(50);
      }
      throw new Fault('unavailable', 'The same bytes were being stored twice and neither got through: try again.', {
        cause: error,
      });
    }
  }

  private async upload(key: string, chunks: AsyncIterable<Uint8Array>, ifAbsent: boolean): Promise<void> {
    // The SDK wraps or loses what a body throws, and our caller is to get it as it was.
    const failure: { error?: unknown } = {};
    const upload = new Upload({
      client: this.client,
      partSize: PART_BYTES,
      queueSize: PARTS_ON_THEIR_WAY,
      params: {
        Bucket: this.bucket,
        Key: key,
        Body: Readable.from(remember(chunks, failure), { objectMode: false }),
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      },
    });
    try {
      await upload.done();
    } catch (error) {
      if ('error' in failure) throw failure.error;
      throw s3FaultOf(error);
    }
  }

  private async copyInParts(from: string, to: string, sizeBytes: number): Promise<void> {
    const target = { Bucket: this.bucket, Key: to };
    const { UploadId } = await this.copier.send(new CreateMultipartUploadCommand(target));
    const upload = { ...target, UploadId };
    try {
      const parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (let start = 0; start < sizeBytes; start += this.copyPartBytes) {
        const end = Math.min(start + this.copyPartBytes, sizeBytes);
        const PartNumber = parts.length + 1;
        const answer = await this.copier.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber,
            CopySource: this.sourceOf(from),
            CopySourceRange: `bytes=${start}-${end - 1}`,
          }),
        );
        parts.push({ PartNumber, ETag: answer.CopyPartResult?.ETag });
      }
      await this.copier.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }));
    } catch (error) {
      await this.copier.send(new AbortMultipartUploadCommand(upload)).catch(() => undefined);
      throw error;
    }
  }

  private sourceOf(key: string): string {
    return `${this.bucket}/${key}`;
  }

  /** Whether the server honours `If-None-Match: *`, found out once by asking: some ignore what they do not know. */
  private hasConditions(): Promise<boolean> {
    this.conditions ??= this.tryConditions().catch((error) => {
      this.conditions = undefined;
      throw s3FaultOf(error);
    });
    return this.conditions;
  }

  private async tryConditions(): Promise<boolean> {
    const probe = { Bucket: this.bucket, Key: `${PREFIXES.probe}conditional`, Body: Buffer.from('vivarium') };
    await this.client.send(new PutObjectCommand(probe));
    try {
      await this.client.send(new PutObjectCommand({ ...probe, IfNoneMatch: '*' }));
      return false;
    } catch (error) {
      if (isRefusedCondition(error)) return true;
      if (isUnknownCondition(error)) return false;
      throw error;
    }
  }

  private async sent<Answer>(send: () => Promise<Answer>): Promise<Answer> {
    try {
      return await send();
    } catch (error) {
      throw s3FaultOf(error);
    }
  }
}

class ObjectBody implements BlobBody {
  constructor(
    private readonly body: Readable,
    readonly sizeBytes: number,
    readonly lengthBytes: number,
  ) {}

  stream(): Readable {
    return this.body;
  }

  async bytes(maxBytes: number): Promise<Buffer> {
    if (this.lengthBytes > maxBytes) {
      await this.discard();
      throw tooLarge(this.lengthBytes, maxBytes);
    }
    const chunks: Buffer[] = [];
    let readBytes = 0;
    try {
      for await (const chunk of this.body) {
        chunks.push(chunk);
        readBytes += chunk.length;
      }
    } catch (error) {
      throw s3FaultOf(error);
    }
    if (readBytes !== this.lengthBytes) {
      throw new Fault('unavailable', 'The blob store ended an answer before its end: try again.');
    }
    return Buffer.concat(chunks, readBytes);
  }

  async discard(): Promise<void> {
    this.body.on('error', () => undefined);
    this.body.destroy();
  }
}

function clientOf(config: S3Config, silenceMs: number): S3Client {
  return new S3Client({
    region: config.region,
    forcePathStyle: config.forcePathStyle ?? config.endpoint !== undefined,
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint }),
    ...credentialsOf(config),
    maxAttempts: TRIES,
    // The SDK's own checksums are unknown to many servers that are not Amazon's.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: 3_000,
      throwOnRequestTimeout: true,
      // Of silence, not of the whole transfer: a large file may take its time.
      socketTimeout: silenceMs,
      httpAgent: { keepAlive: true, maxSockets: 256 },
      httpsAgent: { keepAlive: true, maxSockets: 256 },
    },
  });
}

function credentialsOf({ accessKeyId, secretAccessKey }: S3Config) {
  if (accessKeyId === undefined || secretAccessKey === undefined) return {};
  return { credentials: { accessKeyId, secretAccessKey } };
}

/** The last number of `bytes 0-9/100`. */
function totalOf(contentRange: string | undefined): number | undefined {
  const total = /\/(\d+)$/.exec(contentRange ?? '')?.[1];
  return total === undefined ? undefined : Number(total);
}

async function* remember(chunks: AsyncIterable<Uint8Array>, failure: { error?: unknown }) {
  try {
    yield* chunks;
  } catch (error) {
    failure.error = error;
    throw error;
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Fault ? error.cause : error;
}

function isFaultOfCondition(error: unknown): boolean {
  return isRefusedCondition(causeOf(error));
}
