import { Fault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { isLabel } from './label.js';
import { type CondaPath, isCondaChannel, parseCondaPath, printCondaPath } from './path.js';
import { KNOWN_SUBDIRS } from './subdir.js';

const channel = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{1,62}$/).filter(isCondaChannel);
const label = fc.oneof(
  fc.constant(''),
  fc
    .stringMatching(/^[a-zA-Z][0-9a-zA-Z_\-./]{0,40}$/)
    .filter(isLabel)
    .map((text) => `/label/${text}`),
);
const name = fc.stringMatching(/^[a-z_][a-z0-9_.-]{0,20}$/);
const version = fc.stringMatching(/^([1-9]!)?[0-9]{1,4}(\.[0-9a-z]{1,4}){0,4}(\+[a-z0-9]{1,4})?$/);
const build = fc.stringMatching(/^[a-zA-Z0-9_.+]{1,20}$/);
const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const subdir = fc.constantFrom(...KNOWN_SUBDIRS);
const below = fc.oneof(
  fc.constantFrom(
    'repodata.json',
    'repodata.json.zst',
    'repodata_shards.msgpack.zst',
    'run_exports.json',
    'run_exports.json.zst',
    'current_repodata.json',
    'repodata.json.bz2',
  ),
  hash.map((text) => `shards/${text}.msgpack.zst`),
  fc.tuple(name, version, build, fc.constantFrom('conda', 'tar.bz2')).map(([a, b, c, end]) => `${a}-${b}-${c}.${end}`),
);
const resource = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(subdir, below).map(([folder, file]) => `${folder}/${file}`) },
  fc.constantFrom('channeldata.json', 'notices.json'),
);
/** An address as a client writes it. */
const address = fc.tuple(channel, label, resource).map(([who, where, what]) => `/${who}${where}/${what}`);

/** Percent-encodes some characters, in capitals or not. */
const spelling = fc.tuple(address, fc.infiniteStream(fc.nat(7))).map(([path, dice]) =>
  [...path]
    .map((sign) => {
      const die = dice.next().value;
      if (sign === '/' || die > 1) return sign;
      const code = sign.charCodeAt(0).toString(16).padStart(2, '0');
      return `%${die === 0 ? code : code.toUpperCase()}`;
    })
    .join(''),
);

const TRICKS = [
  '%2f',
  '%2F',
  '%252f',
  '%5c',
  '\\',
  '//',
  '/./',
  '/../',
  '/%2e%2e/',
  '/.%2e/',
  ';x',
  '%3b',
  '%00',
  '%0a',
  '%20',
  ' ',
  '?',
  '%3f',
  '#',
  '%23',
  '%',
  '%25',
  '%2',
  '%c0%af',
  '%e2%80%a8',
  '%ef%bc%8f',
  '%C4%B0',
  'e%CC%81',
  '.',
  '..',
  '~',
  '@',
  'A',
  '/t/x',
  '/label/x',
  '/noarch',
  '/shards',
];
/** An address with something put into it. */
const tricked = fc.tuple(spelling, fc.constantFrom(...TRICKS), fc.nat()).map(([path, trick, at]) => {
  const place = at % (path.length + 1);
  return path.slice(0, place) + trick + path.slice(place);
});

function read(path: string): CondaPath | Fault {
  try {
    return parseCondaPath(path);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** A path as any reader takes it apart: cut at slashes, decoded once. */
function plainly(path: string): readonly string[] {
  return path.split('/').map(decodeURIComponent);
}

describe('whatever is asked of a conda channel', () => {
  it('is read in one way, however it is percent-encoded', () => {
    fc.assert(
      fc.property(spelling, (path) => {
        expect(read(path)).toEqual(read(decodeURIComponent(path)));
        expect(read(path)).not.toBeInstanceOf(Fault);
      }),
      { numRuns: 3_000 },
    );
  });

  it('prints as the address that is read as the same value', () => {
    fc.assert(
      fc.property(spelling, (path) => {
        const value = parseCondaPath(path);
        expect(parseCondaPath(printCondaPath(value))).toEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused, or is what any other reader would take it for', () => {
    let readable = 0;
    fc.assert(
      fc.property(tricked, (path) => {
        const value = read(path);
        if (value instanceof Fault) {
          expect(['invalid', 'not_found']).toContain(value.code);
          return;
        }
        readable++;
        // Of a label the case is folded, and of nothing else.
        const [written, meant] = [plainly(path), plainly(printCondaPath(value))];
        const end = written.length - (value.resource.kind === 'shard' ? 3 : 2);
        const folded = written.map((part, at) =>
          value.explicitLabel && at > 2 && at < end + 1 ? part.toLowerCase() : part,
        );
        expect(folded.join('/').toLowerCase()).toBe(meant.join('/').toLowerCase());
        expect(folded[1]).toBe(value.channel);
        expect(folded.at(-1)).toBe(meant.at(-1));
        expect(meant).not.toContain('..');
        expect(meant.slice(1, -1)).not.toContain('');
      }),
      { numRuns: 6_000 },
    );
    // A grammar that refuses everything would pass.
    expect(readable).toBeGreaterThan(100);
  });

  it('never throws anything but a fault, and stays short', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), tricked, fc.webPath()), (path) => {
        const value = read(path);
        if (value instanceof Fault) expect(value.message.length).toBeLessThan(700);
      }),
      { numRuns: 4_000 },
    );
  });
});
