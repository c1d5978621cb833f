import type { Blobs } from '@vivarium/blobs/blobs';
import { byteSourceOf } from '@vivarium/blobs/bytesource';
import { type CondaInspection, inspectConda } from '@vivarium/conda/archive';
import type { PypiInspection } from '@vivarium/pypi/judge';
import { inspectSdist } from '@vivarium/pypi/sdist';
import { inspectWheel } from '@vivarium/pypi/wheel';
import { readReceived } from './received-bytes.js';

/** An archive to open: where its bytes are, and what it is called. */
export interface ArchivePlace {
  readonly kind: string;
  readonly stagingKey: string;
  /** Without a directory. */
  readonly filename: string;
}

export interface InspectTask extends ArchivePlace {
  /** Who uploads it: accounts take turns. */
  readonly accountId: string;
}

/** What an archive says of itself; nothing for kinds that are not opened. */
export type Inspection =
  | { readonly kind: 'conda'; readonly archive: CondaInspection }
  | { readonly kind: 'pypi'; readonly archive: PypiInspection }
  | { readonly kind: 'other' };

/** Opens archives. Throws Fault('invalid') or Fault('too_large') for one that is not sound. */
export interface Inspector {
  inspect(task: InspectTask): Promise<Inspection>;
  close(): Promise<void>;
}

/** Opens an archive by ranged reads. Throws as `Inspector` does, and Fault('conflict') if its bytes are gone. */
export async function inspectArchive(blobs: Blobs, task: ArchivePlace): Promise<Inspection> {
  const { kind, stagingKey, filename } = task;
  if (kind !== 'conda' && kind !== 'pypi') return { kind: 'other' };
  // They may go while they are read: another commit of the same upload may end first.
  return readReceived(filename, async () => {
    const source = await byteSourceOf(blobs, stagingKey);
    if (kind === 'conda') return { kind, archive: await inspectConda(source, filename) };
    const inspect = filename.endsWith('.whl') ? inspectWheel : inspectSdist;
    return { kind, archive: await inspect(source, filename) };
  });
}

/** An inspector in this thread: where a stranger's archive may hold everybody up, as in a test. */
export function inlineInspector(blobs: Blobs): Inspector {
  return { inspect: (task) => inspectArchive(blobs, task), close: async () => undefined };
}
