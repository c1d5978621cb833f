import { parseMetadata } from './metadata.js';

const metadata = (text: string) => parseMetadata(new TextEncoder().encode(text));
const HEAD = 'Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n';

describe('parseMetadata', () => {
  it('reads fields, repeated fields and the body', () => {
    const read = metadata(
      `${HEAD}Summary: A thing\nRequires-Python: >=3.8\nClassifier: A\nClassifier: B\nRequires-Dist: bar; python_version < "3"\nProject-URL: Home, https://example.com\nProvides-Extra: test\n\n# Foo\n\nText: not a field\n`,
    );
    expect(read).toMatchObject({
      metadataVersion: '2.1',
      name: 'foo',
      version: '1.0',
      summary: 'A thing',
      requiresPython: '>=3.8',
      classifiers: ['A', 'B'],
      requiresDist: ['bar; python_version < "3"'],
      projectUrls: ['Home, https://example.com'],
      providesExtra: ['test'],
      description: '# Foo\n\nText: not a field\n',
    });
    expect(read.licenseFiles).toEqual([]);
    expect('license' in read).toBe(false);
  });

  it.each(['1.0', '1.1', '1.2', '2.0', '2.1', '2.2', '2.3', '2.4', '2.5', '2.6', '2.17'])(
    'accepts version %s',
    (version) => {
      expect(metadata(`Metadata-Version: ${version}\nName: foo\nVersion: 1\n`).metadataVersion).toBe(version);
    },
  );

  it.each(['3.0', '0.9', '2', 'x', '21.0', '2.1.1'])('refuses version %s', (version) => {
    expect(() => metadata(`Metadata-Version: ${version}\nName: foo\nVersion: 1\n`)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(JSON.stringify(version)) }),
    );
  });

  it('ignores the case of field names and knows every line end of Python’s parser', () => {
    const read = metadata('METADATA-version: 2.1\r\nname: foo\rVERSION: 1.0\r\n\r\nbody\r\n');
    expect(read).toMatchObject({ name: 'foo', version: '1.0', description: 'body\r\n' });
  });

  it('keeps exotic white space, as installers do', () => {
    expect(metadata('Metadata-Version: 2.1\nName: foo\u00a0\nVersion: 1.0\n').name).toBe('foo\u00a0');
  });

  it('does not split lines where Python’s parser does not', () => {
    expect(metadata(`${HEAD}Summary: a\u2028Requires-Python: >=9\u0085x\n`).requiresPython).toBeUndefined();
  });

  it('unfolds a description kept in a field, in both historical forms', () => {
    expect(metadata(`${HEAD}Description: one\n        two\n          three\n`).description).toBe('one\ntwo\n  three');
    expect(metadata(`${HEAD}Description: one\n       |two\n       |\n`).description).toBe('one\ntwo\n');
  });

  it('treats UNKNOWN and empty fields as absent', () => {
    const read = metadata(`${HEAD}Summary: UNKNOWN\nLicense:\nPlatform: UNKNOWN\n`);
    expect([read.summary, read.license, read.platforms]).toEqual([undefined, undefined, []]);
  });

  it('ends the fields at a line that is no field, as Python’s parser does', () => {
    const read = metadata(`${HEAD}License: MIT\nno field here\nRequires-Python: >=9\n`);
    expect([read.license, read.requiresPython]).toEqual(['MIT', undefined]);
    expect(read.description).toBe('no field here\nRequires-Python: >=9\n');
  });

  it.each([
    ['Name: foo\nVersion: 1\n', /"Metadata-Version"/],
    ['Metadata-Version: 2.1\nVersion: 1\n', /"Name"/],
    ['Metadata-Version: 2.1\nName: foo\n\nVersion: 1\n', /"Version"/],
    ['Metadata-Version: 2.1\nName: UNKNOWN\nVersion: 1\n', /"Name"/],
    [`${HEAD}Name: bar\n`, /"name" 2 times/],
    [`${HEAD}Requires-Python: >=3\nRequires-Python: >=2\n`, /"requires-python" 2 times/],
    [`${HEAD}From me\nRequires-Python: >=3\n`, /"From me", which is no field/],
    [`${HEAD}: x\n`, /": x", which is no field/],
    [` folded: x\n${HEAD}`, /begins with white space/],
    [`\ufeff${HEAD}`, /"Metadata-Version"/],
    ['', /"Metadata-Version"/],
  ])('refuses %j', (text, reason) => {
    expect(() => metadata(text)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringMatching(reason) }),
    );
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => parseMetadata(Uint8Array.of(0x4e, 0xff))).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('refuses what is too large, and reads what is just large in linear time', () => {
    expect(() => parseMetadata(new Uint8Array(8 * 1024 * 1024 + 1))).toThrow(
      expect.objectContaining({ code: 'too_large' }),
    );
    const started = performance.now();
    expect(metadata(`${HEAD}Summary: x${' '.repeat(4_000_000)}x\n`).summary?.length).toBe(4_000_002);
    expect(metadata(`${HEAD}Description: x${'\n        y'.repeat(500_000)}\n`).description?.length).toBe(1_000_001);
    expect(() => metadata(`${HEAD}${'a:\n'.repeat(100_001)}`)).toThrow(/more than 100000 fields/);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
