import { audienceOf } from '@vivarium/access/audience';
import type { View } from '@vivarium/access/view';
import type { PypiManifest } from '@vivarium/pypi/manifest';
import { pypiRootOf } from './pypi-root.js';
import { turnsDuring } from './slices.fixture.js';

const OWNER: View = { everything: true, signedIn: true, principals: [] };
const PAGES = { json: '', jsonGzip: '', html: '', htmlGzip: '' };

const partOf = (visibility: 'public' | 'private', names: readonly string[]) => ({
  audience: audienceOf({ visibility, grants: [] }),
  projects: Object.fromEntries(names.map((name) => [name, PAGES])),
});
const MANIFEST: PypiManifest = { parts: [partOf('private', ['beta', 'alpha']), partOf('public', ['gamma', 'aaa'])] };

describe('the list of projects of a view', () => {
  it('holds what the view shows, sorted', async () => {
    const of = async (view: View) => (await pypiRootOf(MANIFEST, view, 'once')).names;
    expect(await of(OWNER)).toEqual(['aaa', 'alpha', 'beta', 'gamma']);
    expect(await of({ ...OWNER, globs: ['b*'] })).toEqual(['aaa', 'beta', 'gamma']);
    expect(await of({ everything: false, signedIn: false, principals: [] })).toEqual(['aaa', 'gamma']);
  });

  it('is put together once for all who see the same, and told from every other by its fingerprint', async () => {
    const first = await pypiRootOf(MANIFEST, OWNER, 'once');
    expect(await pypiRootOf(MANIFEST, { ...OWNER, principals: ['user:1'] }, 'once')).toBe(first);
    const others = [
      await pypiRootOf(MANIFEST, { ...OWNER, globs: ['b*'] }, 'once'),
      await pypiRootOf(MANIFEST, OWNER, 'again'),
    ];
    expect(new Set([first, ...others].map(({ fingerprint }) => fingerprint)).size).toBe(3);
  });

  it('holds up nobody else while hostile globs are held against many names', async () => {
    const names = Array.from({ length: 1_500 }, (_, at) => `${'a'.repeat(58)}${at}`);
    const globs = Array.from({ length: 100 }, (_, at) => `*${'a'.repeat(28 + (at % 5))}c${at}`);
    const manifest = { parts: [partOf('private', names)] };
    // Each time is five milliseconds of hundreds.
    expect(await turnsDuring(() => pypiRootOf(manifest, { ...OWNER, globs }, 'once'))).toBeGreaterThan(10);
  });
});
