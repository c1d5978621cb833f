import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BlobsConfig } from '@vivarium/blobs/open-blobs';
import type { Config } from '@vivarium/boot/config';
import { Fault } from '@vivarium/fault/fault';
import { Piscina } from 'piscina';
import type { InspectReply } from './inspect.worker.js';
import type { ArchivePlace, Inspection, Inspector, InspectTask } from './inspection.js';
import { Turns } from './turns.js';

export interface InspectorLimits {
  readonly threads: number;
  /** For one archive, from when a thread takes it. */
  readonly timeMs: number;
  readonly memoryMb: number;
  /** How many of one account may wait for a thread. */
  readonly waiting: number;
}

export const INSPECTOR_LIMITS: InspectorLimits = { threads: 2, timeMs: 120_000, memoryMb: 512, waiting: 200 };

/** Where the blobs are, for a thread that opens the store by itself. */
export function blobsConfigOf({ s3, dataDir }: Pick<Config, 's3' | 'dataDir'>): BlobsConfig {
  return { ...(s3 === undefined ? {} : { s3 }), folder: join(dataDir, 'blobs') };
}

/** An inspector in worker threads, each archive with a limit on time and memory. Threads start when they are needed. */
export function threadInspector(blobs: BlobsConfig, limits: InspectorLimits = INSPECTOR_LIMITS): Inspector {
  const pool = new Piscina<ArchivePlace, InspectReply>({
    filename: workerFile(),
    name: 'inspect',
    minThreads: 0,
    maxThreads: limits.threads,
    idleTimeout: 60_000,
    workerData: blobs,
    resourceLimits: { maxOldGenerationSizeMb: limits.memoryMb },
  });
  // Our own queue: the pool's clock would begin while a task still waits for a thread.
  const turns = new Turns({ places: limits.threads, maxWaiting: limits.waiting });
  const underWay = new Map<string, Promise<Inspection>>();

  async function open({ accountId, ...task }: InspectTask): Promise<Inspection> {
    await turns.take(accountId);
    try {
      return inspectionOf(await pool.run(task, { signal: AbortSignal.timeout(limits.timeMs) }));
    } catch (error) {
      throw limitFaultOf(error, task, limits);
    } finally {
      turns.pass(accountId);
    }
  }

  return {
    inspect(task) {
      // A commit that is asked for again waits for the same opening.
      const known = underWay.get(task.stagingKey);
      if (known !== undefined) return known;
      const opening = open(task).finally(() => underWay.delete(task.stagingKey));
      underWay.set(task.stagingKey, opening);
      return opening;
    },
    close: () => pool.destroy(),
  };
}

function inspectionOf(reply: InspectReply) {
  if ('inspection' in reply) return reply.inspection;
  const { code, message, cause } = reply.fault;
  throw new Fault(code, message, cause === undefined ? {} : { cause: new Error(cause) });
}

function limitFaultOf(error: unknown, { filename }: ArchivePlace, limits: InspectorLimits): unknown {
  const { name, code } = error instanceof Error ? { name: error.name, code: 'code' in error && error.code } : {};
  if (name === 'AbortError') {
    return new Fault(
      'invalid',
      `${filename} takes longer than ${limits.timeMs / 1000} s to open. Build it with less in it.`,
    );
  }
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new Fault('too_large', `${filename} needs more than ${limits.memoryMb} MB of memory to be opened.`);
  }
  return error;
}

// A thread loads plain JavaScript: beside the sources, the built file.
function workerFile(): string {
  const beside = fileURLToPath(new URL('./inspect.worker.js', import.meta.url));
  return existsSync(beside) ? beside : fileURLToPath(new URL('../dist/inspect.worker.js', import.meta.url));
}
