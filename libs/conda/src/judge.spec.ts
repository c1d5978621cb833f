import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { type CondaInspection, inspectConda } from './archive.js';
import { CLOCK_SKEW_MS, judgeConda } from './judge.js';
import { sourceOf } from './package.fixture.js';
import { recordOf } from './record.js';
import { runExportsOf } from './run-exports.js';

const { PackageRecord } = createRequire(import.meta.url)('@conda-org/rattler') as {
  PackageRecord: new (record: unknown) => unknown;
};

const NOW = Date.parse('2026-11-24T12:00:00Z');
const FACTS = {
  sha256: 'ab'.repeat(32),
  md5: 'cd'.repeat(16),
  sizeBytes: 1234,
  subdir: 'linux-64',
  indexedAtMs: NOW,
};
const SOUND = {
  name: 'foo',
  version: '1.0',
  build: 'h1_0',
  build_number: 0,
  depends: ['python >=3.7'],
  constrains: ['bar <2'],
  subdir: 'linux-64',
  license: 'MIT',
  timestamp: NOW - 1000,
};

function judge(index: Record<string, unknown>, change: { filename?: string; subdir?: string } = {}): void {
  const inspection: CondaInspection = { format: 'conda', index, about: undefined, runExports: undefined, members: 2 };
  const name = `${index.name ?? 'foo'}-${index.version ?? '1.0'}-${index.build ?? 'h1_0'}.conda`;
  judgeConda({ filename: change.filename ?? name, subdir: change.subdir ?? 'linux-64', inspection, nowMs: NOW });
}

function without(key: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(SOUND).filter(([other]) => other !== key));
}

describe('the poison matrix: a record that would blind a client is refused', () => {
  const rows: [string, Record<string, unknown>, string][] = [
    ['version 2.0$', { ...SOUND, version: '2.0$' }, 'version'],
    ['version empty', { ...SOUND, version: '' }, 'version'],
    ['version 2..0', { ...SOUND, version: '2..0' }, 'version'],
    ['version with a huge number', { ...SOUND, version: '2147483648' }, 'version'],
    ['version with a dash', { ...SOUND, version: '1-0' }, 'version'],
    ['version a number', { ...SOUND, version: 1 }, 'version'],
    ['build_number a text', { ...SOUND, build_number: '0' }, 'build_number'],
    ['build_number missing', without('build_number'), 'build_number'],
    ['build_number negative', { ...SOUND, build_number: -1 }, 'build_number'],
    ['build_number a fraction', { ...SOUND, build_number: 0.5 }, 'build_number'],
    ['build null', { ...SOUND, build: null }, 'build'],
    ['build missing', without('build'), 'build'],
    ['build with a slash', { ...SOUND, build: 'a/b' }, 'build'],
    ['timestamp a fraction', { ...SOUND, timestamp: 1.5 }, 'timestamp'],
    ['timestamp above 64 bits', { ...SOUND, timestamp: 1e20 }, 'timestamp'],
    ['timestamp a text', { ...SOUND, timestamp: '1500000000000' }, 'timestamp'],
    ['timestamp negative', { ...SOUND, timestamp: -1 }, 'timestamp'],
    ['timestamp in the future', { ...SOUND, timestamp: NOW + CLOCK_SKEW_MS + 1 }, 'future'],
    ['size a text', { ...SOUND, size: '12' }, 'size'],
    ['sha256 not 64 digits', { ...SOUND, sha256: 'abc' }, 'sha256'],
    ['md5 not 32 digits', { ...SOUND, md5: 'x'.repeat(32) }, 'md5'],
    ['depends null', { ...SOUND, depends: null }, 'depends'],
    ['depends with a number', { ...SOUND, depends: ['a', 1] }, 'depends'],
    ['depends a text', { ...SOUND, depends: 'a' }, 'depends'],
    ['depends without end', { ...SOUND, depends: Array(3000).fill('a') }, 'depends'],
    ['constrains null', { ...SOUND, constrains: null }, 'constrains'],
    ['license a list', { ...SOUND, license: ['MIT'] }, 'license'],
    ['license_family a list', { ...SOUND, license_family: ['MIT'] }, 'license_family'],
    ['features a list', { ...SOUND, features: ['a'] }, 'features'],
    ['noarch unknown', { ...SOUND, noarch: 'ruby' }, 'noarch'],
    ['noarch a number', { ...SOUND, noarch: 1 }, 'noarch'],
    ['a url of its own', { ...SOUND, url: 'https://example.com/x.conda' }, 'url'],
    ['a channel of its own', { ...SOUND, channel: 'https://example.com' }, 'channel'],
    ['a spec that cannot be parsed', { ...SOUND, depends: ['foo >=>1'] }, 'dependency'],
    ['a glob in the name of a spec', { ...SOUND, depends: ['foo*'] }, 'dependency'],
    ['a conditional spec', { ...SOUND, depends: ['foo[when="__win"]'] }, 'bracket'],
    ['a broken constraint', { ...SOUND, constrains: ['foo 2..0'] }, 'dependency'],
    ['an upper-case name', { ...SOUND, name: 'Foo' }, 'upper-case|package name'],
    ['a virtual name', { ...SOUND, name: '__glibc' }, 'virtual|package name'],
    ['a climbing name', { ...SOUND, name: '../foo' }, 'package name'],
    ['name missing', without('name'), 'name'],
    ['schema_version 3', { ...SOUND, schema_version: 3 }, 'cannot be served yet'],
    ['schema_version a text', { ...SOUND, schema_version: '2' }, 'schema_version'],
    ['subdir of another platform', { ...SOUND, subdir: 'osx-64' }, 'osx-64'],
    ['subdir no text', { ...SOUND, subdir: 5 }, 'subdir'],
    ['a climbing python path', { ...SOUND, python_site_packages_path: 'lib/../../x' }, 'python_site_packages_path'],
    ['an absolute python path', { ...SOUND, python_site_packages_path: '/etc' }, 'python_site_packages_path'],
  ];
  it.each(rows)('%s', (_, index, reason) => {
    // The file name is a sound one where the index is not, so that the index itself is what is refused.
    const sound = 'foo-1.0-h1_0.conda';
    expect(() => judge(index, { filename: sound })).toThrow(new RegExp(reason));
    expect(() => judge(index)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it.each([
    ['foo.conda', 'three parts'],
    ['bar-1.0-h1_0.conda', 'says name "foo"'],
    ['foo-1.1-h1_0.conda', 'says version "1.0"'],
    ['foo-1.0.0-h1_0.conda', 'says version "1.0"'],
    ['foo-1.0-h2_0.conda', 'says build "h1_0"'],
    ['foo-1.0-h1_0.tar.bz2', 'is a .conda archive'],
    ['../foo-1.0-h1_0.conda', 'not a package name'],
  ])('the file name %s', (filename, reason) => {
    expect(() => judge(SOUND, { filename })).toThrow(reason);
  });

  it('an unknown platform directory', () => {
    expect(() => judge(SOUND, { subdir: 'linux-128' })).toThrow('not a platform directory');
  });
});

describe('what is sound passes, in a form that a client reads', () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['as it is', {}, {}],
    ['unknown keys', { binstar: { x: 1 }, arch: 'x86_64', platform: 'linux', ucs: 5 }, {}],
    ['an epoch and a local version', { version: '1!2.0+l.3' }, { version: '1!2.0+l.3' }],
    ['an upper-case version', { version: '2.0RC1' }, { version: '2.0RC1' }],
    ['no subdir', { subdir: undefined }, { subdir: 'linux-64' }],
    ['noarch true', { noarch: true }, { noarch: 'generic' }],
    ['noarch python in a platform directory', { noarch: 'python' }, { noarch: 'python' }],
    ['noarch false', { noarch: false }, {}],
    ['a timestamp in seconds', { timestamp: 1_500_000_000 }, { timestamp: 1_500_000_000_000 }],
    ['a timestamp within the skew', { timestamp: NOW + CLOCK_SKEW_MS }, { timestamp: NOW + CLOCK_SKEW_MS }],
    ['track_features as a list', { track_features: ['a', 'b'] }, { track_features: 'a b' }],
    ['no depends', { depends: undefined }, { depends: [] }],
    ['no licence', { license: null }, { license: undefined }],
    ['schema_version 2', { schema_version: 2 }, {}],
    [
      'a python path',
      { python_site_packages_path: 'lib/python3.13t/site-packages' },
      { python_site_packages_path: 'lib/python3.13t/site-packages' },
    ],
    ['app fields', { icon: 'a.png', app_entry: 'foo', summary: 5 }, { icon: 'a.png', app_entry: 'foo' }],
  ])('%s', (_, change, expected) => {
    const index = { ...SOUND, ...change };
    judge(index);
    const record = recordOf(index, FACTS);
    expect(record).toEqual({
      build: 'h1_0',
      build_number: 0,
      constrains: ['bar <2'],
      depends: ['python >=3.7'],
      indexed_timestamp: NOW,
      license: 'MIT',
      md5: FACTS.md5,
      name: 'foo',
      sha256: FACTS.sha256,
      size: 1234,
      subdir: 'linux-64',
      timestamp: NOW - 1000,
      version: '1.0',
      ...expected,
    });
    expect(Object.keys(record)).toEqual(Object.keys(record).sort());
    expect(() => new PackageRecord(record)).not.toThrow();
  });

  it('a record keeps nothing that an archive says about its own bytes or place', () => {
    const record = recordOf(
      { ...SOUND, size: 1, md5: '0'.repeat(32), sha256: '0'.repeat(64), subdir: 'osx-64' },
      FACTS,
    );
    expect([record.size, record.md5, record.sha256, record.subdir]).toEqual([
      1234,
      FACTS.md5,
      FACTS.sha256,
      'linux-64',
    ]);
  });

  it('a record without both hashes is never made', () => {
    expect(() => recordOf(SOUND, { ...FACTS, md5: '' })).toThrow('incomplete');
    expect(() => recordOf(SOUND, { ...FACTS, sha256: FACTS.sha256.toUpperCase() })).toThrow('incomplete');
  });

  it.each([
    [['a'], { weak: ['a'] }],
    [
      { strong: 'a', weak: ['b'], other: ['c'], noarch: [] },
      { strong: ['a'], weak: ['b'] },
    ],
    [{}, {}],
    [[], {}],
  ])('run exports %j become %j', (given, expected) => {
    const runExports = runExportsOf(given);
    expect(runExports).toEqual(expected);
    expect(recordOf(SOUND, { ...FACTS, runExports }).run_exports).toEqual(expected);
  });

  it.each([null, 5, 'a', [5], { weak: [null] }, { weak: {} }])('run exports %j are refused', (given) => {
    expect(() => runExportsOf(given)).toThrow('run_exports.json');
  });
});

const data = path.resolve(import.meta.dirname, '../../../../shared/data/conda');

(existsSync(data) ? describe : describe.skip)('real packages', () => {
  const real = existsSync(data)
    ? readdirSync(data).flatMap((subdir) => readdirSync(path.join(data, subdir)).map((name) => path.join(subdir, name)))
    : ['none'];
  it.each(real.filter((name) => !name.startsWith('malformed')))('%s', async (name) => {
    const [directory = '', filename = ''] = name.split('/');
    const subdir = directory === 'other' ? 'linux-64' : directory;
    const inspection = await inspectConda(sourceOf(readFileSync(path.join(data, name))), filename);
    const judged = () => judgeConda({ filename, subdir, inspection, nowMs: NOW });
    // This one was built for another platform than the directory it stands in.
    if (filename.startsWith('mock-')) {
      expect(judged).toThrow('osx-64');
      return;
    }
    judged();
    const record = recordOf(inspection.index, { ...FACTS, subdir, runExports: inspection.runExports });
    expect(() => new PackageRecord(record)).not.toThrow();
  });
});
