import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import type { Blobs } from '@vivarium/blobs/blobs';
import { type BlobsConfig, openBlobs } from '@vivarium/blobs/open-blobs';
import { aCondaPackage, anSdist, aWheel } from '@vivarium/testkit/builders';
import { INSPECTOR_LIMITS, threadInspector } from './inspector-threads.js';

jest.setTimeout(120_000);

describe('the inspecting threads', () => {
  let config: BlobsConfig;
  let blobs: Blobs;

  beforeAll(async () => {
    // A thread loads what is built.
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root, encoding: 'utf8' });
    expect([built.stderr, built.status]).toEqual(['', 0]);
    config = { folder: await mkdtemp(join(tmpdir(), 'vivarium-inspect-')) };
    blobs = await openBlobs(config);
  });
  afterAll(async () => {
    await blobs.close();
    await rm(config.folder, { recursive: true, force: true });
  });

  it('open archives of every kind, more at once than there are threads', async () => {
    const inspector = threadInspector(config);
    const wheel = aWheel({ name: 'demo', version: '1.0' });
    const files = [
      { kind: 'conda', ...aCondaPackage({ name: 'demo', version: '1.0' }) },
      { kind: 'pypi', ...wheel },
      { kind: 'pypi', ...anSdist({ name: 'demo', version: '1.0' }) },
    ];
    const tasks = files.map(({ kind, filename }, at) => ({
      kind,
      filename,
      stagingKey: `staging/s${at}`,
      accountId: 'ann',
    }));
    for (const [at, { bytes }] of files.entries()) await blobs.put(`staging/s${at}`, bytes);
    const answers = await Promise.all([...tasks, ...tasks].map((task) => inspector.inspect(task)));
    expect(answers.map(({ kind }) => kind)).toEqual([...files, ...files].map(({ kind }) => kind));
    const [conda, python] = answers;
    expect(conda).toMatchObject({ archive: { index: { name: 'demo' } } });
    const bytes = python?.kind === 'pypi' ? python.archive.metadataBytes : new Uint8Array();
    expect(Buffer.from(bytes).toString()).toContain('Name: demo');
    await inspector.close();
  });

  it('hand a refusal over with its code and its sentence', async () => {
    const inspector = threadInspector(config);
    await blobs.put('staging/bad', Buffer.from('no archive'));
    const task = { kind: 'conda', filename: 'demo-1.0-0.conda', stagingKey: 'staging/bad', accountId: 'ann' };
    await expect(inspector.inspect(task)).rejects.toMatchObject({ name: 'Fault', code: 'invalid' });
    const gone = { ...task, stagingKey: 'staging/gone' };
    await expect(inspector.inspect(gone)).rejects.toMatchObject({ code: 'conflict' });
    await inspector.close();
  });

  it('end an archive that takes too long, and open the next one', async () => {
    const file = aWheel({ name: 'slow', version: '1.0', sizeBytes: 64_000_000 });
    await blobs.put('staging/slow', file.bytes);
    const task = { kind: 'pypi', filename: file.filename, stagingKey: 'staging/slow', accountId: 'ann' };
    const hasty = threadInspector(config, { ...INSPECTOR_LIMITS, threads: 1, timeMs: 20 });
    await expect(hasty.inspect(task)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('slow'),
    });
    await hasty.close();
    const patient = threadInspector(config, { ...INSPECTOR_LIMITS, threads: 1, waiting: 1 });
    const tasks = ['staging/slow', 'staging/slow2', 'staging/slow3'].map((stagingKey) => ({ ...task, stagingKey }));
    await blobs.put('staging/slow2', file.bytes);
    const [first, second, third] = await Promise.allSettled(tasks.map((each) => patient.inspect(each)));
    expect([first?.status, second?.status]).toEqual(['fulfilled', 'fulfilled']);
    expect(third).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } });
    await patient.close();
  });

  it('open the archive of one account while those of another take all the time that they get', async () => {
    const slow = aWheel({ name: 'slow', version: '1.0', sizeBytes: 64_000_000 });
    const own = aWheel({ name: 'own', version: '1.0' });
    await blobs.put('staging/own', own.bytes);
    const inspector = threadInspector(config);
    let ended = 0;
    const others = await Promise.all(
      Array.from({ length: 6 }, async (_, at) => {
        const stagingKey = `staging/other${at}`;
        await blobs.put(stagingKey, slow.bytes);
        return { kind: 'pypi', filename: slow.filename, stagingKey, accountId: 'mallory' };
      }),
    );
    const opening = others.map((task) => inspector.inspect(task).finally(() => (ended += 1)));
    await inspector.inspect({ kind: 'pypi', filename: own.filename, stagingKey: 'staging/own', accountId: 'ann' });
    expect(ended).toBeLessThan(3);
    await Promise.all(opening);
    await inspector.close();
  });

  it('open an archive once for all who commit it at the same time', async () => {
    const { filename, bytes } = aWheel({ name: 'twice', version: '1.0' });
    await blobs.put('staging/twice', bytes);
    const inspector = threadInspector(config);
    const task = { kind: 'pypi', filename, stagingKey: 'staging/twice', accountId: 'ann' };
    const [first, second] = await Promise.all([inspector.inspect(task), inspector.inspect(task)]);
    expect(second).toBe(first);
    await inspector.close();
  });
});
