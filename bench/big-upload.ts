import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeBigPackage } from './big-package.js';
import { cpuMsOf, residentBytesOf } from './processes.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { shown } from './table.js';

const SIZE_BYTES = 2_000_000_000;
const MB = 1e6;
const MIB = 2 ** 20;

/** One upload of 2 GB through the real path, and what it does to the memory of the process. */
export async function measureBigUpload({ publisher, memory, pid, folder }: Stand): Promise<Report> {
  const file = join(folder, 'huge.conda');
  process.stderr.write('writing a package of 2 GB …\n');
  const artifact = await writeBigPackage('bench-huge', SIZE_BYTES, file);
  await publisher.ensurePackage(artifact.name, 'conda', 'private');
  const restingBytes = residentBytesOf(pid());
  const cpuBefore = cpuMsOf(pid());
  const started = performance.now();
  const { result, peakBytes } = await memory.during('upload of 2 GB', () => publisher.publish(artifact));
  const cpuMs = cpuMsOf(pid()) - cpuBefore;
  await rm(file);
  const uploadMs = result.storedAt - started;
  const commitMs = result.committedAt - result.commitSentAt;
  const megabytesPerSecond = artifact.sizeBytes / MB / (uploadMs / 1000);
  return {
    title: `One upload of ${shown(artifact.sizeBytes / MB)} MB, streamed`,
    columns: ['what', 'figure'],
    rows: [
      ['first byte → upload answered (201), s', shown(uploadMs / 1000, 1)],
      ['MB/s', shown(megabytesPerSecond)],
      ['commit alone, s', shown(commitMs / 1000, 2)],
      ['CPU of the process, s/GB', shown(cpuMs / 1000 / (artifact.sizeBytes / 1e9), 2)],
      ['peak RSS above rest, MiB', shown((peakBytes - restingBytes) / MIB)],
    ],
    notes: [`RSS at rest before: ${shown(restingBytes / MIB)} MiB. The client reads the file while it sends.`],
    figures: { sizeBytes: artifact.sizeBytes, uploadMs, commitMs, cpuMs, restingBytes, peakBytes },
  };
}
