import type { Blobs } from './blobs.js';
import { openFolderBlobs } from './folder.js';
import { openS3Blobs, type S3Config } from './s3.js';

export interface BlobsConfig {
  /** Present if S3 is configured. */
  readonly s3?: S3Config;
  /** The folder to use otherwise. */
  readonly folder: string;
}

/**
 * The blob store that the configuration asks for: S3 if it is configured, else a folder, made if missing.
 * Throws Fault('unavailable') if the folder cannot be used; S3 is first asked by `check`.
 */
export async function openBlobs({ s3, folder }: BlobsConfig): Promise<Blobs> {
  return s3 === undefined ? openFolderBlobs(folder) : openS3Blobs(s3);
}
