import { isFault } from '@vivarium/fault/fault';
import fc from 'fast-check';
import { isProjectName, normalizeProjectName } from './name.js';

describe('normalizeProjectName', () => {
  it.each([
    ['foo', 'foo'],
    ['Foo', 'foo'],
    ['foo_bar', 'foo-bar'],
    ['foo.bar', 'foo-bar'],
    ['Foo.-_Bar', 'foo-bar'],
    ['a', 'a'],
    ['7zip', '7zip'],
    ['zope.interface', 'zope-interface'],
  ])('spells %s as %s', (text, normal) => {
    expect(normalizeProjectName(text)).toBe(normal);
  });

  it.each(['', '-', '_foo', 'foo-', 'foo bar', 'foo\n', 'fóo', 'foo/bar', '\u212a', 'a'.repeat(215)])(
    'refuses %j as a project name',
    (text) => {
      expect(isProjectName(text)).toBe(false);
      expect(() => normalizeProjectName(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
    },
  );

  it('names the value at fault, cut short', () => {
    try {
      normalizeProjectName(`-${'x'.repeat(500)}`);
      throw new Error('accepted');
    } catch (error) {
      expect(isFault(error)).toBe(true);
      expect((error as Error).message).toContain('-xxx');
      expect((error as Error).message.length).toBeLessThan(300);
    }
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,40}[A-Za-z0-9])?$/), (text) => {
        const once = normalizeProjectName(text);
        expect(normalizeProjectName(once)).toBe(once);
        expect(once).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      }),
    );
  });
});
