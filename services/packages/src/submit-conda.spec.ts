import { createHash, randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { stagingKey } from '@vivarium/blobs/keys';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { aCondaPackage, type BuiltFile } from '@vivarium/testkit/builders';
import { RunningPackages } from './packages.fixture.js';

jest.setTimeout(60_000);

describe('a conda package that comes in one request', () => {
  let running: RunningPackages;
  let ann: Caller;

  beforeAll(async () => {
    running = await RunningPackages.start();
    ann = running.user('ann');
  });
  afterAll(() => running.stop());

  const built = (version: string, text = version, spec: Partial<Parameters<typeof aCondaPackage>[0]> = {}) =>
    aCondaPackage({ name: 'swift', version, subdir: 'linux-64', files: { 'a.txt': text }, ...spec });

  async function submit({ filename, bytes }: BuiltFile, replace = false, caller = ann) {
    const key = stagingKey(randomBytes(12).toString('hex'));
    await running.blobs.put(key, bytes);
    const [sha256, md5] = ['sha256', 'md5'].map((name) => createHash(name).update(bytes).digest('hex'));
    const measured = { stagingKey: key, sha256: sha256 ?? '', md5: md5 ?? '', sizeBytes: BigInt(bytes.length) };
    const request = { channel: 'ann', kind: 'conda', basename: filename, ...measured, replace };
    return (await running.stages(caller)).submit(request, { timeoutMs: 30_000 });
  }

  it('goes where its archive says', async () => {
    const answer = await submit(built('1.0'));
    expect(answer).toMatchObject({ created: true, readable: true });
    expect(answer.file).toMatchObject({ basename: 'linux-64/swift-1.0-0.conda', version: '1.0', labels: ['main'] });
    expect(await submit(built('1.0'))).toMatchObject({ created: false });
  });

  it('is refused where the archive does not say where, or says what is no platform', async () => {
    for (const subdir of [undefined, 'moon-64', '../linux-64', 7]) {
      const before = await running.state();
      await expect(submit(built('1.1', '', { indexOverrides: { subdir } }))).rejects.toMatchObject({ code: 'invalid' });
      expect(await running.state()).toEqual(before);
    }
  });

  it('takes the place of other bytes only if told to, in one generation and one event', async () => {
    const other = built('1.0', 'other');
    await expect(submit(other)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('already exists'),
    });
    const before = (await submit(built('1.0'))).generation;
    const answer = await submit(other, true);
    expect(answer).toMatchObject({ created: true, generation: before + 1n });
    expect(answer.file?.sha256).toBe(other.sha256);
    const { rows } = await running.pool.query('SELECT action, before, after FROM audit ORDER BY id DESC LIMIT 1');
    expect(rows).toMatchObject([
      { action: 'file.upload', before: { sha256: built('1.0').sha256 }, after: { sha256: other.sha256 } },
    ]);
    const names = await running.pool.query(
      "SELECT 1 FROM files WHERE removed_at IS NULL AND basename LIKE '%swift-1.0%'",
    );
    expect(names.rows).toHaveLength(1);
  });

  it('replaces nothing under a locked label, and nothing that a token may not remove', async () => {
    await (await running.labels(ann)).lock({ channel: 'ann', label: 'main', locked: true });
    await expect(submit(built('1.0', 'third'), true)).rejects.toMatchObject({
      message: expect.stringContaining('locked'),
    });
    await (await running.labels(ann)).lock({ channel: 'ann', label: 'main', locked: false });
    const cut = running.token(ann, 'cut', { scopes: ['conda:download'] });
    const before = await running.state();
    await expect(submit(built('1.0', 'third'), true, cut)).rejects.toMatchObject({ code: 'forbidden' });
    expect((await running.state()).generations).toEqual(before.generations);
  });
});
