import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedPostgres } from './embedded.js';

export interface TemporaryPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

const copy = promisify(execFile);

/** A PostgreSQL in a folder of its own that `stop` removes: for tests that need a real database and nothing else. */
export async function startTemporaryPostgres(): Promise<TemporaryPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'vivarium-db-'));
  await putEmptyCluster(folder);
  const server = await startEmbeddedPostgres({ dataDir: folder, log: () => undefined });
  return {
    url: server.url,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Puts a copy of an empty cluster into the folder, so that a server that starts there need not make one: that takes seconds,
 * and a run of tests starts a hundred servers. It is copied from the folder that VIVARIUM_POSTGRES_TEMPLATE names, where the
 * first who asks makes it; without that variable nothing is put.
 */
export async function putEmptyCluster(folder: string): Promise<void> {
  const template = process.env.VIVARIUM_POSTGRES_TEMPLATE ?? '';
  if (template === '') return;
  if (!(await exists(template))) await makeTemplate(template);
  await mkdir(folder, { recursive: true });
  await copy('cp', ['-a', join(template, 'postgres'), folder]);
}

async function makeTemplate(template: string): Promise<void> {
  const draft = `${template}-${process.pid}`;
  await mkdir(draft, { recursive: true });
  const server = await startEmbeddedPostgres({ dataDir: draft, log: () => undefined });
  await server.stop();
  // One of several workers is first; the others take what it made.
  await rename(draft, template).catch(async (error: NodeJS.ErrnoException) => {
    await rm(draft, { recursive: true, force: true });
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
