import { negotiateSimple, SIMPLE_CONTENT_TYPES, type SimpleFormat } from './negotiate.js';

const PIP = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01';
const UV = 'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01';
const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8';

describe('negotiateSimple', () => {
  it.each<[string | undefined, SimpleFormat]>([
    [undefined, 'html'],
    ['', 'html'],
    ['*/*', 'html'],
    ['text/html', 'html'],
    ['text/*', 'html'],
    ['application/vnd.pypi.simple.v1+html', 'html-v1'],
    ['application/vnd.pypi.simple.latest+html', 'html-v1'],
    ['application/vnd.pypi.simple.v1+json', 'json'],
    ['application/vnd.pypi.simple.latest+json', 'json'],
    ['Application/VND.pypi.simple.V1+JSON', 'json'],
    [PIP, 'json'],
    [UV, 'json'],
    ['application/vnd.pypi.simple.v1+json, */*;q=0.1', 'json'],
    [BROWSER, 'html'],
    ['application/json', 'html'],
    ['image/png', 'html'],
    ['application/*', 'html-v1'],
    ['text/html;q=0.5, application/vnd.pypi.simple.v1+json;q=0.6', 'json'],
    ['text/html;q=0.6, application/vnd.pypi.simple.v1+json;q=0.5', 'html'],
    ['text/html, application/vnd.pypi.simple.v1+json', 'html'],
    ['application/vnd.pypi.simple.v1+html, application/vnd.pypi.simple.v1+json', 'html-v1'],
    ['application/vnd.pypi.simple.v1+json;q=0, */*', 'html'],
    ['text/html;q=0, */*', 'html-v1'],
    ['text/html;q=0, application/vnd.pypi.simple.v1+html;q=0, */*;q=0.1', 'json'],
    ['application/vnd.pypi.simple.v1+json;q=2', 'html'],
    ['application/vnd.pypi.simple.v2+json, application/vnd.pypi.simple.v1+json;q=0.5', 'json'],
    [';;;,,,;q=', 'html'],
    [`${'a/b,'.repeat(10_000)}${PIP}`, 'html'],
  ])('answers Accept %j with %s', (accept, format) => {
    expect(negotiateSimple(accept)).toBe(format);
  });

  it.each<[string, SimpleFormat]>([
    ['application/vnd.pypi.simple.v1+json', 'json'],
    ['application/vnd.pypi.simple.v1 json', 'json'],
    ['application/vnd.pypi.simple.latest+html', 'html-v1'],
    ['text/html', 'html'],
  ])('lets ?format=%s win', (query, format) => {
    for (const accept of [undefined, PIP, BROWSER]) expect(negotiateSimple(accept, query)).toBe(format);
  });

  it('ignores an unknown ?format', () => {
    expect(negotiateSimple(PIP, 'application/json')).toBe('json');
    expect(negotiateSimple(BROWSER, '')).toBe('html');
  });

  it('names the three types as clients compare them', () => {
    expect(Object.values(SIMPLE_CONTENT_TYPES).map((type) => type.split(';')[0])).toEqual([
      'application/vnd.pypi.simple.v1+json',
      'application/vnd.pypi.simple.v1+html',
      'text/html',
    ]);
  });
});
