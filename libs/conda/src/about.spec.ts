import { aboutOf } from './about.js';

describe('aboutOf', () => {
  it.each([
    ['nothing', undefined, {}],
    ['texts', { summary: 'A lamp.', license: 'MIT' }, { license: 'MIT', summary: 'A lamp.' }],
    ['what is no text', { summary: 7, license: null, description: {} }, {}],
    ['other keys', { summary: 'A lamp.', root_pkgs: ['x'], extra: { a: 1 } }, { summary: 'A lamp.' }],
    ['one address', { home: 'https://lamp.test' }, { home: 'https://lamp.test' }],
    ['a list of one address', { home: ['https://lamp.test'] }, { home: 'https://lamp.test' }],
    [
      'several addresses',
      { dev_url: ['https://a.test', 'http://b.test'] },
      { dev_url: ['https://a.test', 'http://b.test'] },
    ],
    [
      'what a browser would run',
      { home: 'javascript:alert(1)', doc_url: ['data:text/html,x', 'https://a.test'] },
      { doc_url: 'https://a.test' },
    ],
    ['words', { keywords: ['light', 3, ''], tags: 'home' }, { keywords: ['light'], tags: ['home'] }],
    ['a NUL and half a character', { summary: 'a\u0000b\ud800' }, { summary: 'ab\ufffd' }],
  ])('reads %s', (_, about, said) => {
    expect(aboutOf(about as Record<string, unknown> | undefined)).toEqual(said);
  });

  it('is no longer than its limits, in sorted order', () => {
    const long = 'x'.repeat(100_000);
    const about = aboutOf({
      summary: long,
      description: long,
      home: `https://${long}`,
      keywords: Array(1_000).fill(long),
    });
    expect(Object.keys(about)).toEqual(['description', 'keywords', 'summary']);
    expect(JSON.stringify(about).length).toBeLessThan(6_000);
  });
});
