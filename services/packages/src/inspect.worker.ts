// A worker thread: it opens strangers' archives, so that one which takes long, or all memory it can get, holds up nobody
// else. Its connection to the blob store is its own.
import { workerData } from 'node:worker_threads';
import { type BlobsConfig, openBlobs } from '@vivarium/blobs/open-blobs';
import { type FaultCode, faultOf, isFault } from '@vivarium/fault/fault';
import { type ArchivePlace, type Inspection, inspectArchive } from './inspection.js';

/** What a thread answers: a fault is data, since an error loses its code on the way between threads. */
export type InspectReply =
  | { readonly inspection: Inspection }
  | { readonly fault: { readonly code: FaultCode; readonly message: string; readonly cause?: string } };

// The pool hands its own data beside ours.
const config = (Array.isArray(workerData) ? workerData : [workerData]).find(isConfig);
if (config === undefined) throw new Error('the inspecting thread was not told where the blobs are');
const blobs = openBlobs(config);

export async function inspect(task: ArchivePlace): Promise<InspectReply> {
  try {
    return { inspection: await inspectArchive(await blobs, task) };
  } catch (error) {
    const { code, message } = faultOf(error);
    return { fault: isFault(error) ? { code, message } : { code, message, cause: stackOf(error) } };
  }
}

function isConfig(value: unknown): value is BlobsConfig {
  return typeof value === 'object' && value !== null && 'folder' in value;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
