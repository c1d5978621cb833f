import { changeProfile, profileIn } from './profile.js';

describe('a profile', () => {
  it('keeps what is not said anew, and forgets what is taken back', () => {
    const before = { company: 'Acme', url: 'https://acme.test' };
    expect(changeProfile(before, { location: 'Here', url: '' })).toEqual({ company: 'Acme', location: 'Here' });
    expect(changeProfile(before, {})).toEqual(before);
  });

  it.each([
    [{ shoe: 'x' }, 'is no part of a profile'],
    [{ constructor: 'x' }, 'is no part of a profile'],
    [{ company: 'x'.repeat(201) }, 'at most 200 characters'],
    [{ location: 'a\nb' }, 'no controls'],
    [{ description: 'a\u0000b' }, 'no controls'],
    [{ url: 'javascript:alert(1)' }, 'http or https'],
    [{ url: 'https://' }, 'http or https'],
  ])('is not %j', (change, words) => {
    expect(() => changeProfile({}, change)).toThrow(words);
  });

  it('may have lines in its description', () => {
    expect(changeProfile({}, { description: 'a\nb' })).toEqual({ description: 'a\nb' });
  });

  it('is read from a row as far as it is one', () => {
    expect([profileIn(null), profileIn('x'), profileIn({ url: 'u', other: 5 })]).toEqual([{}, {}, { url: 'u' }]);
  });
});
