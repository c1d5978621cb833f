import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import {
  canonicalLocation,
  type PypiPath,
  type PypiResource,
  parsePypiPath,
  printPypiPath,
  relativeFileUrl,
} from './path.js';

const SHA = 'ab'.repeat(32);
const WHEEL = 'foo-1.0+g1-py3-none-any.whl';
const root: PypiResource = { kind: 'root', needsRedirect: false, depth: 2 };
const page: PypiResource = { kind: 'project', project: 'foo', needsRedirect: false, depth: 3 };
const file: PypiResource = { kind: 'file', sha256: SHA, filename: WHEEL, metadata: false };
const main = { channel: 'acme', label: 'main', explicitLabel: false };

describe('parsePypiPath', () => {
  it.each<[string, PypiPath]>([
    ['/acme/', { ...main, resource: root }],
    ['/acme/simple/', { ...main, resource: root }],
    ['/acme/simple/foo/', { ...main, resource: page }],
    ['/acme/simple/simple/', { ...main, resource: { ...page, project: 'simple' } }],
    ['/acme/label/main/simple/', { ...main, explicitLabel: true, resource: root }],
    ['/acme/label/Dev/simple/foo/', { channel: 'acme', label: 'dev', explicitLabel: true, resource: page }],
    ['/acme/label/rel/1.x/simple/foo/', { channel: 'acme', label: 'rel/1.x', explicitLabel: true, resource: page }],
    ['/acme/label/rel/files/simple/foo/', { channel: 'acme', label: 'rel/files', explicitLabel: true, resource: page }],
    [`/acme/files/${SHA}/${WHEEL}`, { ...main, resource: file }],
    [`/acme/files/${SHA}/foo-1.0%2Bg1-py3-none-any.whl`, { ...main, resource: file }],
    [`/acme/files/${SHA}/foo-1.0%2Bg1-py3-none-any.whl.metadata`, { ...main, resource: { ...file, metadata: true } }],
    [`/acme/files/${SHA}/foo-1.0.tar.gz`, { ...main, resource: { ...file, filename: 'foo-1.0.tar.gz' } }],
    [
      `/acme/label/a/files/files/${SHA}/${WHEEL}`,
      { channel: 'acme', label: 'a/files', explicitLabel: true, resource: file },
    ],
    ['/acme/legacy', { ...main, resource: { kind: 'upload' } }],
    ['/acme/legacy/', { ...main, resource: { kind: 'upload' } }],
  ])('reads %s', (path, value) => {
    expect(parsePypiPath(path)).toEqual(value);
    expect(canonicalLocation(value)).toBeUndefined();
  });

  it.each([
    ['/acme', '/acme/simple/'],
    ['/acme/simple', '/acme/simple/'],
    ['/acme/label/dev/simple', '/acme/label/dev/simple/'],
    ['/acme/foo', '/acme/simple/foo/'],
    ['/acme/foo/', '/acme/simple/foo/'],
    ['/acme/Foo.Bar/', '/acme/simple/foo-bar/'],
    ['/acme/simple/foo', '/acme/simple/foo/'],
    ['/acme/simple/Foo_Bar/', '/acme/simple/foo-bar/'],
    ['/acme/simple/Foo_Bar', '/acme/simple/foo-bar/'],
    ['/acme/foo/foo/', '/acme/simple/foo/'],
    ['/acme/foo/foo', '/acme/simple/foo/'],
    ['/acme/Foo/foo/', '/acme/simple/foo/'],
    ['/acme/simple/foo/foo/', '/acme/simple/foo/'],
    ['/acme/simple/foo/foo', '/acme/simple/foo/'],
    ['/acme/simple/legacy', '/acme/simple/legacy/'],
    ['/acme/label/dev/simple/foo', '/acme/label/dev/simple/foo/'],
    ['/acme/label/dev/simple/F.oo/', '/acme/label/dev/simple/f-oo/'],
    ['/acme/label/a/b/simple/foo/foo/', '/acme/label/a/b/simple/foo/'],
  ])('redirects %s to %s, whatever stands before', (path, target) => {
    const value = parsePypiPath(path);
    const location = canonicalLocation(value) ?? 'none';
    for (const before of ['', '/pypi', '/pypi/t/viv-token', '/t/viv-token']) {
      expect(new URL(location, `https://host${before}${path}`).pathname).toBe(`${before}${target}`);
    }
    expect(value.resource).toMatchObject({ needsRedirect: true });
    expect(canonicalLocation(parsePypiPath(target))).toBeUndefined();
    expect(parsePypiPath(printPypiPath(value))).toEqual(value);
  });

  it.each([
    '/',
    '/Acme/simple/foo/',
    '/a/simple/foo/',
    '/-acme/simple/foo/',
    `/${'a'.repeat(64)}/simple/`,
    '/ac.me/simple/',
    '/acme/simple/foo/bar/',
    '/acme/foo/bar',
    '/acme/foo/foo/foo/',
    '/acme/simple/-foo/',
    '/acme/simple/f%C3%BC/',
    '/acme/label/',
    '/acme/label/dev/',
    '/acme/label/dev/foo/',
    '/acme/label/dev/legacy/',
    '/acme/label/simple/foo/',
    '/acme/label/simple/simple/foo/',
    '/acme/label/noarch/simple/foo/',
    '/acme/label/1dev/simple/foo/',
    '/acme/label/t/simple/foo/',
    '/acme/legacy/foo/',
    '/acme/Legacy/Legacy/',
    '/acme/SIMPLE/',
    '/acme/files/',
    '/acme/files/files/',
    `/acme/files/${SHA}`,
    `/acme/files/${SHA}/`,
    `/acme/files/${SHA}/${WHEEL}/`,
    `/acme/files/${SHA}/${WHEEL}/x`,
    `/acme/files/${SHA}/${WHEEL}.metadata.metadata`,
    `/acme/files/${SHA}/.metadata`,
    `/acme/files/${SHA}/foo.egg`,
    `/acme/files/${SHA.toUpperCase()}/${WHEEL}`,
    `/acme/files/${SHA.slice(1)}/${WHEEL}`,
    `/acme/simple/files/${SHA}/${WHEEL}`,
    '/acme/linux-64/repodata.json',
    '/acme/label/dev/noarch/repodata.json',
  ])('does not know %s', (path) => {
    expect(() => parsePypiPath(path)).toThrow(expect.objectContaining({ code: 'not_found' }));
  });

  it.each([
    '',
    'acme/simple/',
    '//acme/simple/',
    '/acme//simple/',
    '/acme/simple//',
    '/acme/simple/foo//',
    '/acme/simple/foo%2f',
    '/acme/simple/foo%2Fbar/',
    '/acme/simple/foo%5cbar/',
    '/acme/simple/foo\\bar/',
    '/acme/simple/foo%00/',
    '/acme/simple/foo%0a/',
    '/acme/simple/foo%C2%85/',
    '/acme/simple/foo;x/',
    '/acme/simple/foo%3Bx/',
    '/acme/simple/foo?x',
    '/acme/simple/foo#x',
    '/acme/./simple/',
    '/acme/../other/simple/',
    '/acme/%2e%2e/other/simple/',
    '/acme/simple/%2E/',
    '/acme/simple/foo%252fbar/',
    `/acme/files/${SHA}/foo-1.0%252Bg1-py3-none-any.whl`,
    '/acme/simple/foo%/',
    '/acme/simple/foo%zz/',
    '/acme/simple/%ff/',
    '/acme/simple/e%CC%81/',
    '/acme/simple/é/',
    '/acme/simple/a b/',
    '/acme/simple/a\tb/',
    `/acme/simple/${'a'.repeat(257)}/`,
    `/acme/label/${'a/'.repeat(1100)}simple/`,
  ])('refuses %j', (path) => {
    expect(() => parsePypiPath(path)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('takes a file name of the greatest length with its metadata', () => {
    const filename = `foo-1.0-py3-none-${'a'.repeat(234)}.whl`;
    expect(filename).toHaveLength(255);
    expect(parsePypiPath(`/acme/files/${SHA}/${filename}.metadata`).resource).toEqual({
      ...file,
      filename,
      metadata: true,
    });
  });

  it('answers any text with a value or one of two faults', () => {
    const piece = fc.constantFrom(
      '/',
      'acme',
      'simple',
      'label',
      'dev',
      'files',
      'legacy',
      SHA,
      WHEEL,
      'foo',
      'Foo',
      '.',
      '%2f',
      '%',
      '.metadata',
      ';',
      '\u0000',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        try {
          const value = parsePypiPath(pieces.join(''));
          expect(parsePypiPath(printPypiPath(value))).toEqual(value);
        } catch (error) {
          if (!isFault(error)) throw error;
          expect(['invalid', 'not_found']).toContain(error.code);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('printPypiPath', () => {
  const project = fc.stringMatching(/^[a-z0-9]+(-[a-z0-9]+){0,3}$/);
  const free = project.filter((name) => !['simple', 'label', 'files', 'legacy'].includes(name));
  const label = fc.stringMatching(/^[a-z][0-9a-z_.]{0,8}9(\/[a-z]{1,5}9){0,2}$/);
  const place = (max: number) => fc.record({ needsRedirect: fc.constant(true), depth: fc.integer({ min: 2, max }) });
  const settled = (depth: number) => fc.constant({ needsRedirect: false, depth });
  const everywhere = fc.oneof(
    settled(2).map((at): PypiResource => ({ kind: 'root', ...at })),
    fc.constant<PypiResource>({ kind: 'root', needsRedirect: true, depth: 1 }),
    fc
      .tuple(project, fc.oneof(place(4), settled(3)))
      .map(([name, at]): PypiResource => ({ kind: 'project', project: name, ...at })),
    fc
      .tuple(
        fc.stringMatching(/^[0-9a-f]{64}$/),
        project,
        fc.constantFrom('.tar.gz', '.zip', '+l.1-py3-none-any.whl', '-1-cp311-abi3-linux_x86_64.whl'),
        fc.boolean(),
      )
      .map(
        ([sha256, name, ending, metadata]): PypiResource => ({
          kind: 'file',
          sha256,
          filename: `${name.replaceAll('-', '_')}-1!1.0${ending}`,
          metadata,
        }),
      ),
  );
  const unlabelled = fc.oneof(
    everywhere,
    fc.constant<PypiResource>({ kind: 'root', needsRedirect: true, depth: 0 }),
    fc.constant<PypiResource>({ kind: 'upload' }),
    free.map((name): PypiResource => ({ kind: 'project', project: name, needsRedirect: true, depth: 1 })),
  );
  const channel = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{1,20}$/);
  const value: fc.Arbitrary<PypiPath> = fc.oneof(
    fc.record({ channel, label: fc.constant('main'), explicitLabel: fc.constant(false), resource: unlabelled }),
    fc.record({ channel, label, explicitLabel: fc.constant(true), resource: everywhere }),
  );

  it('is read back as the same value', () => {
    fc.assert(
      fc.property(value, (path) => expect(parsePypiPath(printPypiPath(path))).toEqual(path)),
      { numRuns: 1000 },
    );
  });

  it('leads from every address to one that needs no redirect, in one step', () => {
    fc.assert(
      fc.property(value, (path) => {
        const location = canonicalLocation(path);
        if (location === undefined) return;
        const target = new URL(location, `https://host/pypi/t/x${printPypiPath(path)}`).pathname;
        const { channel, label, explicitLabel, resource } = parsePypiPath(target.replace(/^\/pypi\/t\/x/, ''));
        expect({ channel, label, explicitLabel }).toEqual({
          channel: path.channel,
          label: path.label,
          explicitLabel: path.explicitLabel,
        });
        expect(resource).toMatchObject({ kind: path.resource.kind, needsRedirect: false });
      }),
    );
  });
});

describe('relativeFileUrl', () => {
  it.each(['/acme/simple/foo/', '/acme/label/rel/1.x/simple/foo/'])(
    'leads from %s to the file, and to its metadata',
    (from) => {
      for (const suffix of ['', '.metadata']) {
        const url = new URL(relativeFileUrl(SHA, WHEEL) + suffix, `https://host${from}`);
        expect(parsePypiPath(url.pathname)).toMatchObject({
          label: parsePypiPath(from).label,
          resource: { ...file, metadata: suffix !== '' },
        });
      }
    },
  );
});
