import { spawnSync } from 'node:child_process';
import { bzip2, bzip2Block, bzip2Stream, zerosBlock } from './poison-bzip2.js';
import { findProgram } from './programs.js';

const program = findProgram('bzip2');

(program === undefined ? describe.skip : describe)('our own bzip2, read by the reference', () => {
  const unpacked = (packed: Buffer) => {
    const { status, stdout, stderr } = spawnSync(program ?? '', ['-dc'], { input: packed, maxBuffer: 2 ** 28 });
    expect([stderr.toString(), status]).toEqual(['', 0]);
    return stdout;
  };

  it('gives back texts, runs and nothing', () => {
    for (const text of ['', 'a', 'banana', 'zero'.repeat(300), `${'\0'.repeat(3000)}end`]) {
      expect(unpacked(bzip2(Buffer.from(text))).toString()).toBe(text);
    }
  });

  it('gives the zeros of a bomb, 46 MB from a block of some 50 bytes', () => {
    const block = zerosBlock(180_000);
    expect(block.bytes.length).toBeLessThan(80);
    const zeros = unpacked(bzip2Stream([bzip2Block(Buffer.from('head')), block]));
    expect(zeros.length).toBe(4 + 45_900_000);
    expect(zeros.subarray(4).every((byte) => byte === 0)).toBe(true);
  });

  it('gives the zeros of a padded block, whose ratio looks honest', () => {
    const block = zerosBlock(20_000, true);
    expect((255 * 20_000) / block.bytes.length).toBeLessThan(250);
    expect(unpacked(bzip2Stream([block, block])).length).toBe(2 * 255 * 20_000);
  });
});
