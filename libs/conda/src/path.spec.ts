import { Fault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { isLabel } from './label.js';
import { type CondaPath, type CondaResource, isCondaChannel, parseCondaPath, printCondaPath } from './path.js';
import { KNOWN_SUBDIRS } from './subdir.js';

const HASH = 'ab'.repeat(32);
const acme = (resource: CondaResource, label?: string): CondaPath => ({
  channel: 'acme',
  label: label ?? 'main',
  explicitLabel: label !== undefined,
  resource,
});

const READINGS: [string, CondaPath][] = [
  ['/acme/noarch/repodata.json', acme({ kind: 'repodata', subdir: 'noarch', format: 'json' })],
  ['/acme/linux-64/repodata.json.zst', acme({ kind: 'repodata', subdir: 'linux-64', format: 'json.zst' })],
  ['/acme/linux-64/repodata_shards.msgpack.zst', acme({ kind: 'shard-index', subdir: 'linux-64' })],
  [`/acme/win-64/shards/${HASH}.msgpack.zst`, acme({ kind: 'shard', subdir: 'win-64', hash: HASH })],
  ['/acme/noarch/run_exports.json', acme({ kind: 'run-exports', subdir: 'noarch', format: 'json' })],
  ['/acme/noarch/run_exports.json.zst', acme({ kind: 'run-exports', subdir: 'noarch', format: 'json.zst' })],
  ['/acme/channeldata.json', acme({ kind: 'channeldata' })],
  ['/acme/notices.json', acme({ kind: 'notices' })],
  ['/acme/label/dev/notices.json', acme({ kind: 'notices' }, 'dev')],
  ['/acme/label/main/channeldata.json', acme({ kind: 'channeldata' }, 'main')],
  [
    '/acme/label/rc/x/linux-64/foo-1.0-0.conda',
    acme({ kind: 'artifact', subdir: 'linux-64', filename: 'foo-1.0-0.conda' }, 'rc/x'),
  ],
  [
    '/acme/label/RC/linux-64/foo-1.0-0.tar.bz2',
    acme({ kind: 'artifact', subdir: 'linux-64', filename: 'foo-1.0-0.tar.bz2' }, 'rc'),
  ],
  ['/acme/noarch/a-1%210+b-0.conda', acme({ kind: 'artifact', subdir: 'noarch', filename: 'a-1!0+b-0.conda' })],
  ['/acme/noarch/a-1!0%2Bb-0.conda', acme({ kind: 'artifact', subdir: 'noarch', filename: 'a-1!0+b-0.conda' })],
  ['/%61cme/no%61rch/repodata.json', acme({ kind: 'repodata', subdir: 'noarch', format: 'json' })],
  ['/acme/noarch/current_repodata.json', acme({ kind: 'absent', subdir: 'noarch', filename: 'current_repodata.json' })],
  ['/acme/noarch/repodata.json.bz2', acme({ kind: 'absent', subdir: 'noarch', filename: 'repodata.json.bz2' })],
  ['/acme/noarch/channeldata.json', acme({ kind: 'absent', subdir: 'noarch', filename: 'channeldata.json' })],
  ['/acme/noarch/Foo-1.0-0.conda', acme({ kind: 'absent', subdir: 'noarch', filename: 'Foo-1.0-0.conda' })],
  ['/acme/noarch/a%20b', acme({ kind: 'absent', subdir: 'noarch', filename: 'a b' })],
  ['/acme/noarch/a+b', acme({ kind: 'absent', subdir: 'noarch', filename: 'a+b' })],
  ['/acme/noarch/', acme({ kind: 'absent', subdir: 'noarch', filename: '' })],
  ['/acme/noarch/shards/x', acme({ kind: 'absent', subdir: 'noarch', filename: 'shards/x' })],
  [
    '/label/label/x/noarch/repodata.json',
    { ...acme({ kind: 'repodata', subdir: 'noarch', format: 'json' }, 'x'), channel: 'label' },
  ],
];

describe('a conda path', () => {
  it.each(READINGS)('reads %s', (path, value) => {
    expect(parseCondaPath(path)).toEqual(value);
    expect(parseCondaPath(printCondaPath(value))).toEqual(value);
  });

  it.each([
    '/',
    '/acme',
    '/acme/',
    '/acme/foo',
    '/acme/noarch',
    '/Acme/noarch/repodata.json',
    '/a/noarch/repodata.json',
    '/noarch/repodata.json',
    '/noarch/noarch/repodata.json',
    '/linux-64/channeldata.json',
    '/channeldata.json',
    '/acme/other/noarch/repodata.json',
    '/acme/label/noarch/repodata.json',
    '/acme/label/t/noarch/repodata.json',
    '/acme/label/1x/noarch/repodata.json',
    '/acme/label/linux-64/noarch/repodata.json',
    '/acme/noarch/noarch/repodata.json',
    '/acme/LABEL/x/noarch/repodata.json',
    '/acme/NoArch/repodata.json',
    '/acme/label/repodata.json',
    '/acme/noarch/a/b',
    `/acme/noarch/x/${HASH}.msgpack.zst`,
    `/acme/shards/${HASH}.msgpack.zst`,
    '/%C3%A9/noarch/repodata.json',
  ])('does not know %s', (path) => {
    expect(codeOf(path)).toBe('not_found');
  });

  it.each([
    '',
    'acme/noarch/repodata.json',
    '//acme/noarch/repodata.json',
    '/acme//noarch/repodata.json',
    '/acme/noarch//repodata.json',
    '/acme/noarch/%2frepodata.json',
    '/acme%2Fnoarch/repodata.json',
    '/acme/noarch/..%5crepodata.json',
    '/acme/noarch/a\\b',
    '/acme/noarch/repodata.json%00',
    '/acme/noarch/repodata.json%0a',
    '/acme/noarch/repodata.json%7f',
    '/acme/noarch/%252e%252e',
    '/acme/noarch/foo%25-1.0-0.conda',
    '/acme/noarch/..',
    '/acme/./noarch/repodata.json',
    '/acme/../beta/noarch/repodata.json',
    '/acme/%2e%2e/beta/noarch/repodata.json',
    '/acme/%2E/noarch/repodata.json',
    '/acme/noarch/repodata.json;v=1',
    '/acme/noarch/repodata.json%3bv',
    '/acme/noarch/repodata.json?x=1',
    '/acme/noarch/repodata.json#x',
    '/acme/noarch/re podata.json',
    '/acme/noarch/repodata.json\n',
    '/acme/noarch/é',
    '/acme/noarch/%e9',
    '/acme/noarch/%c0%af',
    '/acme/noarch/%ed%a0%80',
    '/acme/noarch/%zz',
    '/acme/noarch/%2',
    '/acme/noarch/e%CC%81',
    `/acme/noarch/${'x'.repeat(257)}`,
    `/acme/${'x/'.repeat(1024)}repodata.json`,
  ])('refuses %j', (path) => {
    expect(codeOf(path)).toBe('invalid');
  });
});

describe('printing and parsing', () => {
  const subdir = fc.constantFrom(...KNOWN_SUBDIRS);
  const format = fc.constantFrom('json' as const, 'json.zst' as const);
  const filename = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 40 })
    .map((text) => text.normalize('NFC'))
    .filter((text) => {
      try {
        const { resource } = parseCondaPath(`/acme/noarch/${encodeURIComponent(text)}`);
        return resource.kind === 'absent';
      } catch {
        return false;
      }
    });
  const resource: fc.Arbitrary<CondaResource> = fc.oneof(
    fc.record({ kind: fc.constant('repodata' as const), subdir, format }),
    fc.record({ kind: fc.constant('run-exports' as const), subdir, format }),
    fc.record({ kind: fc.constant('shard-index' as const), subdir }),
    fc.record({
      kind: fc.constant('shard' as const),
      subdir,
      hash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    }),
    fc.record({
      kind: fc.constant('artifact' as const),
      subdir,
      filename: fc
        .tuple(
          fc.stringMatching(/^[a-z]{1,8}(-[a-z0-9]{1,5})?$/),
          fc.stringMatching(/^([1-9]!)?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\+[a-z]{1,4})?$/),
          fc.stringMatching(/^[a-zA-Z0-9_.+]{1,10}$/),
          fc.constantFrom('conda', 'tar.bz2'),
        )
        .map(([name, version, build, ext]) => `${name}-${version}-${build}.${ext}`),
    }),
    fc.record({ kind: fc.constant('absent' as const), subdir, filename }),
    fc.constant({ kind: 'channeldata' as const }),
    fc.constant({ kind: 'notices' as const }),
  );
  const place = fc.oneof(
    fc.constant({ label: 'main', explicitLabel: false }),
    fc.record({
      label: fc.stringMatching(/^[a-z][0-9a-z_\-./]{0,20}$/).filter(isLabel),
      explicitLabel: fc.constant(true),
    }),
  );
  const channel = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{1,20}$/).filter(isCondaChannel);

  it('parse(print(value)) is the value', () => {
    fc.assert(
      fc.property(channel, place, resource, (name, where, what) => {
        const value = { channel: name, ...where, resource: what };
        expect(parseCondaPath(printCondaPath(value))).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('any text is either refused with a fault or read to a value that prints and parses to itself', () => {
    const piece = fc.constantFrom(
      '/',
      'acme',
      'label',
      'rc',
      'noarch',
      'shards',
      '%2f',
      '%2e',
      '..',
      '%25',
      'repodata.json',
      'a-1-0.conda',
      'notices.json',
      ';',
      'T',
      '%C3%A9',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const path = `/${pieces.join('/').replaceAll('///', '/')}`;
        try {
          const value = parseCondaPath(path);
          expect(parseCondaPath(printCondaPath(value))).toEqual(value);
        } catch (error) {
          expect(error).toBeInstanceOf(Fault);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function codeOf(path: string): string {
  try {
    parseCondaPath(path);
    return 'read';
  } catch (error) {
    return error instanceof Fault ? error.code : String(error);
  }
}
