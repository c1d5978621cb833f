import { Fault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { canonicalLocation, type PypiPath, parsePypiPath, printPypiPath } from './path.js';

const channel = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{1,62}$/);
const label = fc.stringMatching(/^[a-zA-Z][0-9a-z_.]{0,8}9(\/[a-z]{1,5}9){0,2}$/);
const project = fc
  .stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?$/)
  .filter((text) => !['simple', 'label', 'files', 'legacy'].includes(text.toLowerCase()));
const file = fc
  .tuple(
    fc.stringMatching(/^[0-9a-f]{64}$/),
    fc.stringMatching(/^[a-z][a-z0-9]{0,5}(_[a-z0-9]{1,4}){0,2}$/),
    fc.constantFrom('-1.0.tar.gz', '-1.0.zip', '-1.0-py3-none-any.whl', '-1!2.0+local.1-cp313-abi3-linux_x86_64.whl'),
    fc.constantFrom('', '.metadata'),
  )
  .map(([sha256, name, end, metadata]) => `files/${sha256}/${name}${end}${metadata}`);
const page = fc.oneof(
  project.map((name) => `simple/${name}/`),
  project.map((name) => `simple/${name}`),
  project.map((name) => `simple/${name}/${name}/`),
  fc.constantFrom('simple', 'simple/'),
  file,
);
const address = fc.oneof(
  fc.tuple(channel, page).map(([who, what]) => `/${who}/${what}`),
  fc.tuple(channel, label, page).map(([who, where, what]) => `/${who}/label/${where}/${what}`),
  fc.tuple(channel, project).map(([who, name]) => `/${who}/${name}/`),
  fc.tuple(channel, fc.constantFrom('', '/', '/legacy', '/legacy/')).map(([who, end]) => `/${who}${end}`),
);

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

const TRICKS =
  '%2f %252f %5c \\ // /./ /../ /%2e%2e/ /.%2e/ ;x %3b %00 %0a %20 ? %3f # %23 % %25 %c0%af %e2%80%a8 %ef%bc%8f %C4%B0 e%CC%81 . .. ~ A /simple /files /label/x /legacy .metadata'.split(
    ' ',
  );
/** An address with something put into it. */
const tricked = fc.tuple(spelling, fc.constantFrom(...TRICKS), fc.nat()).map(([path, trick, at]) => {
  const place = at % (path.length + 1);
  return path.slice(0, place) + trick + path.slice(place);
});

function read(path: string): PypiPath | Fault {
  try {
    return parsePypiPath(path);
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
}

/** A path as any reader takes it apart: cut at slashes, decoded once. */
function plainly(path: string): readonly string[] {
  return path.split('/').map(decodeURIComponent);
}

describe('whatever is asked of a Python index', () => {
  it('is read in one way, however it is percent-encoded', () => {
    fc.assert(
      fc.property(spelling, (path) => {
        // `+` is a plus in a path, and nothing else.
        expect(read(path)).toEqual(read(plainly(path).join('/')));
        expect(read(path)).not.toBeInstanceOf(Fault);
      }),
      { numRuns: 3_000 },
    );
  });

  it('prints as the address that is read as the same value', () => {
    fc.assert(
      fc.property(spelling, (path) => {
        const value = parsePypiPath(path);
        expect(parsePypiPath(printPypiPath(value))).toEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is refused, or names what any other reader would take it for', () => {
    let readable = 0;
    fc.assert(
      fc.property(tricked, (path) => {
        const value = read(path);
        if (value instanceof Fault) {
          expect(['invalid', 'not_found']).toContain(value.code);
          return;
        }
        readable++;
        const written = plainly(path);
        expect(written[1]).toBe(value.channel);
        expect(written.slice(0, -1).slice(1)).not.toContain('');
        for (const dots of ['.', '..']) expect(written).not.toContain(dots);
        if (value.explicitLabel) {
          expect(written.slice(3).join('/').toLowerCase().startsWith(`${value.label}/`)).toBe(true);
        }
        const { resource } = value;
        if (resource.kind === 'file') {
          expect(written.slice(-2)).toEqual([
            resource.sha256,
            `${resource.filename}${resource.metadata ? '.metadata' : ''}`,
          ]);
        }
        if (resource.kind === 'project') {
          const last = written.findLast((part) => part !== '') ?? '';
          expect(last.toLowerCase().replace(/[-_.]+/g, '-')).toBe(resource.project);
        }
      }),
      { numRuns: 6_000 },
    );
    // A grammar that refuses everything would pass.
    expect(readable).toBeGreaterThan(100);
  });

  it('redirects nobody off the host or out of the channel', () => {
    fc.assert(
      fc.property(tricked, (path) => {
        const value = read(path);
        if (value instanceof Fault) return;
        const location = canonicalLocation(value);
        if (location === undefined) return;
        const target = new URL(location, `https://host.test/pypi/t/x${path}`);
        expect(target.host).toBe('host.test');
        expect(decodeURIComponent(target.pathname).startsWith(`/pypi/t/x/${value.channel}/`)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it('never throws anything but a fault, and stays short', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), tricked, fc.webPath()), (path) => {
        const value = read(path);
        if (value instanceof Fault) expect(value.message.length).toBeLessThan(1_500);
      }),
      { numRuns: 4_000 },
    );
  });
});
