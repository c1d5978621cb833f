import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import fc from 'fast-check';
import type { CondaRecord } from './record.js';
import {
  chunkTextOf,
  composeJson,
  composeRunExportsJson,
  composeRunExportsZst,
  composeZst,
  compressChunk,
  MAX_CHUNK_BYTES,
  runExportsTextOf,
} from './rope.js';

const SPACES = ' '.repeat(17);
const unzst = (bytes: Uint8Array) => zlib.zstdDecompressSync(bytes).toString();

const zstdBinary = (() => {
  try {
    execFileSync('zstd', ['--version'], { stdio: 'ignore' });
    return 'zstd';
  } catch {
    return undefined;
  }
})();

/** What the parts must become, written down without any compression. */
function expectedText(subdir: string, tarbz2: readonly string[], conda: readonly string[]): string {
  const commas = (texts: readonly string[]) => texts.flatMap((text, i) => (i > 0 ? [',', text] : [text]));
  const parts = [
    `{"info":{"subdir":"${subdir}"},"packages":{`,
    ...commas(tarbz2),
    '},"packages.conda":{',
    ...commas(conda),
    '},"removed":[],"repodata_version":1}',
  ];
  return parts.map((part) => SPACES + part).join('');
}

function check(subdir: string, tarbz2: readonly string[], conda: readonly string[]): Buffer {
  const chunks = [tarbz2.map(compressChunk), conda.map(compressChunk)] as const;
  const zst = composeZst(subdir, ...chunks);
  const text = expectedText(subdir, tarbz2, conda);
  expect(unzst(zst)).toBe(text);
  expect(composeJson(subdir, ...chunks).toString()).toBe(text);
  expect(framesIn(zst)).toBe(1);
  return zst;
}

// The streaming decoder of node stops after one frame, as some clients do, and tells how much it took.
function framesIn(zst: Buffer): number {
  const { engine } = zlib.zstdDecompressSync(zst, { info: true }) as unknown as { engine: { bytesWritten: number } };
  return engine.bytesWritten === zst.length ? 1 : 2;
}

describe('repodata from chunks', () => {
  it('without chunks is the empty document', () => {
    const zst = check('noarch', [], []);
    expect(JSON.parse(unzst(zst))).toEqual({
      info: { subdir: 'noarch' },
      packages: {},
      'packages.conda': {},
      removed: [],
      repodata_version: 1,
    });
  });

  it('has the records of all chunks under the right map, in the order of keys that clients stream', () => {
    const zst = check('linux-64', ['"a-1-0.tar.bz2":{"size":1}'], ['"a-1-0.conda":{"size":2}', '"b-1-0.conda":{}']);
    const value = JSON.parse(unzst(zst)) as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['info', 'packages', 'packages.conda', 'removed', 'repodata_version']);
    expect(value.packages).toEqual({ 'a-1-0.tar.bz2': { size: 1 } });
    expect(value['packages.conda']).toEqual({ 'a-1-0.conda': { size: 2 }, 'b-1-0.conda': {} });
  });

  // Texts that make every kind of block: incompressible, one byte repeated, periodic, natural, and longer than a block.
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }),
    fc.tuple(fc.constantFrom('a', '"', ' ', 'é'), fc.integer({ min: 1, max: 300_000 })).map(([c, n]) => c.repeat(n)),
    fc
      .tuple(fc.string({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 40_000 }))
      .map(([s, n]) => s.repeat(n)),
    fc.integer({ min: 1, max: 4000 }).chain((n) => fc.nat().map((seed) => recordsText(n, seed))),
    fc
      .uint8Array({ minLength: 1, maxLength: 200_000, size: 'max' })
      .map((bytes) => Buffer.from(bytes).toString('base64')),
  );

  it('decompresses to exactly the chunks and spaces, whatever the chunks are', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), fc.array(text, { maxLength: 8 }), (tarbz2, conda) => {
        check('linux-64', tarbz2, conda);
      }),
      { numRuns: 30 },
    );
  });

  (zstdBinary === undefined ? it.skip : it)('is read by the reference decoder', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), fc.array(text, { maxLength: 8 }), (tarbz2, conda) => {
        const zst = composeZst('win-64', tarbz2.map(compressChunk), conda.map(compressChunk));
        const back = execFileSync(zstdBinary ?? '', ['-d', '-c'], { input: zst, maxBuffer: 2 ** 28 });
        expect(back.toString()).toBe(expectedText('win-64', tarbz2, conda));
      }),
      { numRuns: 15 },
    );
  });

  it.each([
    ['the first', 0, 0b1, 'hhh'],
    ['the second', 1, 0b10, 'efg'],
    ['the third', 1, 0b11, 'abc'],
  ])('gives a chunk %s repeat offset of a fresh frame', (_, offsetCode, bits, repeated) => {
    // Compressors rarely begin with one, so this chunk is made by hand: `abcdefgh`, then a match of 3 at a repeat offset.
    const body = [8 << 3, ...Buffer.from('abcdefgh'), 1, 0b01010100, 8, offsetCode, 0, bits];
    const chunk = Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x68, (body.length << 3) | 5, 0, 0, ...body]);
    expect(unzst(chunk)).toBe(`abcdefgh${repeated}`);
    const before = compressChunk(recordsText(50, 5));
    const zst = composeZst('noarch', [before, chunk], [chunk]);
    const text = `abcdefgh${repeated}`;
    expect(unzst(zst)).toBe(expectedText('noarch', [recordsText(50, 5), text], [text]));
  });

  it('leaves the chunks as they were', () => {
    const chunk = compressChunk(recordsText(100, 1));
    const before = Buffer.from(chunk);
    composeZst('noarch', [chunk], [chunk]);
    expect(before.equals(chunk)).toBe(true);
  });

  it('refuses chunks that would break the document, and bytes that are no chunk', () => {
    expect(() => compressChunk('')).toThrow('no text');
    expect(() => compressChunk('x'.repeat(MAX_CHUNK_BYTES + 1))).toThrow('above');
    const chunk = compressChunk(recordsText(100, 1));
    for (const broken of [chunk.subarray(0, -1), chunk.subarray(1), Buffer.concat([chunk, chunk]), new Uint8Array(0)]) {
      expect(() => composeZst('noarch', [broken], [])).toThrow('damaged');
    }
    const checked = zlib.zstdCompressSync('x', { params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } });
    expect(() => composeZst('noarch', [checked], [])).toThrow('damaged');
  });

  it('joins chunks of the largest size', () => {
    const large = recordsText(60_000, 3).slice(0, MAX_CHUNK_BYTES);
    expect(large.length).toBe(MAX_CHUNK_BYTES);
    check('linux-64', [large, large], [large]);
  });
});

describe('the text of a chunk', () => {
  const record = { name: 'foo', depends: [], run_exports: { weak: ['x'] } } as unknown as CondaRecord;

  it('is sorted by file name and key, and leaves run exports out', () => {
    const reversed = Object.fromEntries(Object.entries(record).reverse()) as unknown as CondaRecord;
    const records = new Map([
      ['foo-1.0-1.conda', record],
      ['foo-1.0-0.conda', reversed],
    ]);
    expect(chunkTextOf(records)).toBe(
      '"foo-1.0-0.conda":{"depends":[],"name":"foo"},"foo-1.0-1.conda":{"depends":[],"name":"foo"}',
    );
    expect(chunkTextOf(new Map())).toBe('');
  });
});

describe('run exports', () => {
  const known = { name: 'foo', run_exports: { weak: ['foo >=1'] } } as unknown as CondaRecord;
  const unknown = { name: 'foo' } as unknown as CondaRecord;

  it('are listed by file name, where they are known', () => {
    const text = runExportsTextOf(
      new Map([
        ['foo-1.0-1.conda', { ...known, run_exports: {} }],
        ['foo-1.0-2.conda', unknown],
        ['foo-1.0-0.conda', known],
      ]),
    );
    const chunks = [compressChunk(text)];
    const json = composeRunExportsJson('noarch', [], chunks);
    expect(JSON.parse(json.toString())).toEqual({
      info: { subdir: 'noarch', version: 1 },
      packages: {},
      'packages.conda': {
        'foo-1.0-0.conda': { run_exports: { weak: ['foo >=1'] } },
        'foo-1.0-1.conda': { run_exports: {} },
      },
    });
    expect(unzst(composeRunExportsZst('noarch', [], chunks))).toBe(json.toString());
    expect(runExportsTextOf(new Map([['foo-1.0-2.conda', unknown]]))).toBe('');
  });
});

const data = path.resolve(import.meta.dirname, '../../../../shared/data/repodata');

(existsSync(data) ? it : it.skip)('real repodata, cut anywhere between records, is the same repodata', () => {
  for (const name of readdirSync(data)) {
    const { packages } = JSON.parse(readFileSync(path.join(data, name), 'utf8')) as {
      packages: Record<string, CondaRecord>;
    };
    const entries = Object.entries(packages);
    fc.assert(
      fc.property(fc.array(fc.nat(entries.length - 1), { maxLength: 40 }), (cuts) => {
        const edges = [0, ...new Set(cuts.filter((cut) => cut > 0).sort((a, b) => a - b)), entries.length];
        const texts = edges.slice(1).map((end, i) => chunkTextOf(new Map(entries.slice(edges[i], end))));
        const zst = check('linux-64', texts, texts.slice(0, 2));
        expect((JSON.parse(unzst(zst)) as { packages: unknown }).packages).toEqual(packages);
      }),
      { numRuns: 2 },
    );
  }
});

function recordsText(count: number, seed: number): string {
  return Array.from({ length: count }, (_, i) => {
    const k = (i * 7919 + seed) % 104_729;
    return `"pkg-${k % 977}-1.${k % 50}-h${k}_0.conda":{"build":"h${k}_0","depends":["python >=3.${k % 13}"],"size":${k},"sha256":"${(k * 104_729).toString(16).padStart(64, 'b')}"}`;
  }).join(',');
}
