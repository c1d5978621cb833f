import {
  type ChannelDataFile,
  channelDataPackageOf,
  channelDataPieces,
  printChannelDataPackage,
  runExportsPieces,
} from './channel-data.js';

const file = (version: string, init: Partial<ChannelDataFile> = {}): ChannelDataFile => ({
  subdir: 'noarch',
  filename: `lamp-${version}-0.conda`,
  version,
  timestampMs: null,
  runExports: null,
  ...init,
});

describe('channelDataPackageOf', () => {
  it('takes the highest version for the newest, whenever it was built', () => {
    const { newest } = channelDataPackageOf([
      file('1.9', { timestampMs: 9 }),
      file('1.10', { timestampMs: 1 }),
      file('1.10rc1'),
    ]);
    expect(newest.version).toBe('1.10');
  });

  it('takes what was built last of equal versions, in whatever order they come', () => {
    const files = [
      file('1.0', { timestampMs: 5, subdir: 'linux-64' }),
      file('1.0', { timestampMs: 6, subdir: 'osx-64' }),
      file('1.0'),
    ];
    for (const order of [files, files.toReversed()]) {
      expect(channelDataPackageOf(order)).toMatchObject({
        newest: { subdir: 'osx-64' },
        subdirs: ['linux-64', 'noarch', 'osx-64'],
      });
    }
  });

  it('gives the run exports of each version that has some, and of the newest alone when they are many', () => {
    const weak = (count: number) => ({ weak: Array.from({ length: count }, (_, n) => `lamp-lib-${n} >=1.0,<2.0a0`) });
    const few = [
      file('2.0', { runExports: weak(1) }),
      file('1.0', { runExports: weak(2) }),
      file('0.9', { runExports: {} }),
    ];
    expect(channelDataPackageOf(few).runExports).toEqual({ '1.0': weak(2), '2.0': weak(1) });
    expect(channelDataPackageOf([...few, file('0.8', { runExports: weak(200) })]).runExports).toEqual({
      '2.0': weak(1),
    });
    expect(channelDataPackageOf([...few, file('3.0', { runExports: weak(200) })]).runExports).toEqual({});
  });
});

describe('the files', () => {
  it('are the same bytes for the same packages in any order', () => {
    const lamp = printChannelDataPackage(channelDataPackageOf([file('1.0', { timestampMs: 1_700_000_000_123 })]), {
      summary: 'A lamp.',
      license: 'MIT',
    });
    expect(lamp).toBe(
      '{"license":"MIT","reference_package":"noarch/lamp-1.0-0.conda","run_exports":{},"subdirs":["noarch"],"summary":"A lamp.","timestamp":1700000000,"version":"1.0"}',
    );
    const packages: [string, string][] = [
      ['bulb', '{}'],
      ['lamp', lamp],
    ];
    expect(JSON.parse([...channelDataPieces(packages, ['noarch', 'noarch'])].join(''))).toEqual({
      channeldata_version: 1,
      packages: { bulb: {}, lamp: JSON.parse(lamp) },
      subdirs: ['noarch'],
    });
  });

  it('keep artifacts of the two formats apart', () => {
    const file = (subdir: string, artifacts: [string, string][]) =>
      JSON.parse([...runExportsPieces(subdir, artifacts)].join(''));
    const artifacts: [string, string][] = [
      ['b-1-0.conda', '{"run_exports":{}}'],
      ['a-1-0.tar.bz2', '{"run_exports":{"weak":["a"]}}'],
      ['b-2-0.conda', '{"run_exports":{}}'],
      ['b-2-0.tar.bz2', '{"run_exports":{}}'],
    ];
    expect(file('linux-64', artifacts)).toEqual({
      info: { subdir: 'linux-64', version: 1 },
      packages: { 'a-1-0.tar.bz2': { run_exports: { weak: ['a'] } }, 'b-2-0.tar.bz2': { run_exports: {} } },
      'packages.conda': { 'b-1-0.conda': { run_exports: {} }, 'b-2-0.conda': { run_exports: {} } },
    });
    expect(file('noarch', [])).toEqual({
      info: { subdir: 'noarch', version: 1 },
      packages: {},
      'packages.conda': {},
    });
  });
});
