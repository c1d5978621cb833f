import {
  renderProjectHtml,
  renderProjectJson,
  renderRootHtml,
  renderRootJson,
  type SimpleFile,
  type SimpleProject,
} from './simple.js';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const file = (filename: string, more: Partial<SimpleFile> = {}): SimpleFile => ({
  filename,
  sha256: A,
  sizeBytes: 12345,
  uploadedAt: '2026-08-22T10:11:12.123456Z',
  yanked: false,
  ...more,
});
const project: SimpleProject = {
  name: 'demo-pkg',
  versions: ['1.10', '1.9+g1', '1.9', '2.0rc1'],
  files: [
    file('demo_pkg-1.10.tar.gz', { yanked: true }),
    file('demo_pkg-1.9-py3-none-any.whl', { requiresPython: '>=3.8,<4', metadataSha256: B }),
    file('demo_pkg-1.9+g1-py3-none-any.whl', { metadataSha256: B, yanked: 'said "no" & <left>\nthen more' }),
  ],
};
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

describe('renderProjectJson', () => {
  it('has the shape of api-version 1.4', () => {
    expect(JSON.parse(text(renderProjectJson(project)))).toEqual({
      meta: { 'api-version': '1.4' },
      name: 'demo-pkg',
      'project-status': { status: 'active' },
      versions: ['1.9', '1.9+g1', '1.10', '2.0rc1'],
      files: [
        {
          filename: 'demo_pkg-1.9-py3-none-any.whl',
          url: `../../files/${A}/demo_pkg-1.9-py3-none-any.whl`,
          hashes: { sha256: A },
          'requires-python': '>=3.8,<4',
          'core-metadata': { sha256: B },
          'gpg-sig': false,
          yanked: false,
          size: 12345,
          'upload-time': '2026-08-22T10:11:12.123456Z',
          provenance: null,
        },
        expect.objectContaining({
          url: `../../files/${A}/demo_pkg-1.9%2Bg1-py3-none-any.whl`,
          yanked: 'said "no" & <left>\nthen more',
        }),
        expect.objectContaining({ filename: 'demo_pkg-1.10.tar.gz', 'core-metadata': false, yanked: true }),
      ],
    });
  });

  it('never has the key that crashes old pip', () => {
    expect(text(renderProjectJson(project))).not.toContain('dist-info-metadata');
  });

  it('says true where a file was yanked without a reason', () => {
    const page = JSON.parse(
      text(renderProjectJson({ ...project, files: [file('demo_pkg-1.9.tar.gz', { yanked: '' })] })),
    );
    expect(page.files[0].yanked).toBe(true);
  });

  it('gives the same bytes for the same rows in any order', () => {
    const shuffled = {
      ...project,
      versions: [...project.versions, '1.9'].reverse(),
      files: [...project.files].reverse(),
    };
    expect(text(renderProjectJson(shuffled))).toBe(text(renderProjectJson(project)));
    expect(text(renderProjectHtml(shuffled))).toBe(text(renderProjectHtml(project)));
  });

  it('answers an empty project with an empty page', () => {
    const empty = { name: 'demo-pkg', versions: [], files: [] };
    expect(JSON.parse(text(renderProjectJson(empty)))).toMatchObject({ versions: [], files: [] });
    expect(text(renderProjectHtml(empty))).not.toContain('<a ');
  });

  it.each<[string, Partial<SimpleFile>, RegExp]>([
    ['a time with more than six fraction digits', { uploadedAt: '2026-08-22T10:11:12.1234567Z' }, /upload time/],
    ['a time without Z', { uploadedAt: '2026-08-22T10:11:12+00:00' }, /upload time/],
    ['a digest that is none', { sha256: 'x' }, /SHA-256/],
    ['a digest of metadata that is none', { metadataSha256: A.toUpperCase() }, /SHA-256/],
    ['a size that is none', { sizeBytes: 1.5 }, /size 1.5/],
    ['a file name that is none', { filename: 'demo.exe' }, /demo.exe/],
  ])('refuses a row with %s', (_title, more, reason) => {
    const rows = { ...project, files: [file('demo_pkg-1.9.tar.gz', more)] };
    for (const render of [renderProjectJson, renderProjectHtml]) {
      expect(() => render(rows)).toThrow(
        expect.objectContaining({ code: 'invalid', message: expect.stringMatching(reason) }),
      );
    }
  });
});

describe('renderProjectHtml', () => {
  it('keeps its shape byte for byte', () => {
    expect(text(renderProjectHtml(project))).toBe(
      [
        '<!DOCTYPE html>',
        '<html>',
        '<head>',
        '<meta name="pypi:repository-version" content="1.4">',
        '<meta name="pypi:project-status" content="active">',
        '<title>Links for demo-pkg</title>',
        '</head>',
        '<body>',
        '<h1>Links for demo-pkg</h1>',
        `<a href="../../files/${A}/demo_pkg-1.9-py3-none-any.whl#sha256=${A}" data-requires-python="&gt;=3.8,&lt;4" data-dist-info-metadata="sha256=${B}" data-core-metadata="sha256=${B}" data-size="12345" data-upload-time="2026-08-22T10:11:12.123456Z">demo_pkg-1.9-py3-none-any.whl</a><br />`,
        `<a href="../../files/${A}/demo_pkg-1.9%2Bg1-py3-none-any.whl#sha256=${A}" data-yanked="said &quot;no&quot; &amp; &lt;left&gt;&#10;then more" data-dist-info-metadata="sha256=${B}" data-core-metadata="sha256=${B}" data-size="12345" data-upload-time="2026-08-22T10:11:12.123456Z">demo_pkg-1.9+g1-py3-none-any.whl</a><br />`,
        `<a href="../../files/${A}/demo_pkg-1.10.tar.gz#sha256=${A}" data-yanked="" data-size="12345" data-upload-time="2026-08-22T10:11:12.123456Z">demo_pkg-1.10.tar.gz</a><br />`,
        '</body>',
        '</html>',
        '',
      ].join('\n'),
    );
  });
});

describe('the list of projects', () => {
  it('is ordered in both forms', () => {
    expect(text(renderRootJson(['b', 'a-c', 'a', 'b']))).toBe(
      '{"meta":{"api-version":"1.4"},"projects":[{"name":"a"},{"name":"a-c"},{"name":"b"}]}',
    );
    expect(text(renderRootHtml(['b', 'a']))).toContain('\n<a href="a/">a</a><br />\n<a href="b/">b</a><br />\n</body>');
  });
});
