import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingIn, noteMissing, skipSuiteUnless, skipUnless } from './missing.js';

describe('notes of what is missing', () => {
  const before = process.env.VIVARIUM_SKIPS;
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vivarium-missing-'));
    file = join(folder, 'skips');
    process.env.VIVARIUM_SKIPS = file;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env.VIVARIUM_SKIPS;
    else process.env.VIVARIUM_SKIPS = before;
    await rm(folder, { recursive: true });
  });

  it('are kept in the named file, each once', () => {
    noteMissing('blobs on S3', 'no server');
    noteMissing('pip', 'no Python');
    noteMissing('blobs on S3', 'no server');
    expect(missingIn(file)).toEqual(['blobs on S3: no server', 'pip: no Python']);
  });

  it('are none before the first', () => {
    expect(missingIn(file)).toEqual([]);
  });

  it('are made only by what is skipped', () => {
    expect(skipUnless(true, 'a', 'b')).toBe(it);
    expect(skipSuiteUnless(true, 'a', 'b')).toBe(describe);
    expect(missingIn(file)).toEqual([]);
    expect(skipUnless(false, 'a', 'b')).toBe(it.skip);
    expect(skipSuiteUnless(false, 'c', 'd')).toBe(describe.skip);
    expect(missingIn(file)).toEqual(['a: b', 'c: d']);
  });
});
