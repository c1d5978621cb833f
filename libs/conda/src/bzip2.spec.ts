import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { decompressBzip2 } from './bzip2.js';
import { bzip2Of, sourceOf } from './package.fixture.js';

async function unpacked(packed: Uint8Array): Promise<Buffer> {
  const pieces: Buffer[] = [];
  await decompressBzip2(sourceOf(packed), (piece) => pieces.push(Buffer.from(piece)));
  return Buffer.concat(pieces);
}

describe('bzip2', () => {
  it('gives back any bytes, in one block or many', async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 600 }),
      fc.array(fc.constantFrom(0, 1, 2), { maxLength: 2000 }).map((list) => Uint8Array.from(list)),
      fc
        .array(fc.tuple(fc.nat(3), fc.nat(600)), { maxLength: 6 })
        .map((runs) => Buffer.concat(runs.map(([byte, length]) => Buffer.alloc(length, byte)))),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 40, max: 3000 }), async (text, blockBytes) => {
        expect(await unpacked(bzip2Of(text, blockBytes))).toEqual(Buffer.from(text));
      }),
      { numRuns: 150 },
    );
  });

  const bzip2 = whichBzip2();
  (bzip2 === undefined ? it.skip : it)('reads what the reference compressor writes', async () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 48271) % 2147483647;
      return seed;
    };
    const text = Buffer.concat([
      Buffer.from(Array.from({ length: 1_200_000 }, () => random() & 255)),
      Buffer.alloc(3_000_000, 0),
      Buffer.from(Array.from({ length: 400_000 }, () => `${random() % 977} `).join('')),
    ]);
    const packed = execFileSync(bzip2 ?? '', ['-c'], { input: text, maxBuffer: 1 << 28 });
    expect((await unpacked(packed)).equals(text)).toBe(true);
  });

  it('refuses a second stream, which only some clients read', async () => {
    const packed = Buffer.concat([bzip2Of(Buffer.from('hello ')), bzip2Of(Buffer.from('world'))]);
    await expect(unpacked(packed)).rejects.toThrow('follows its first stream');
  });

  it('refuses every single changed byte, cut and appended byte', async () => {
    const packed = bzip2Of(Buffer.from('the quick brown fox '.repeat(5)));
    const text = await unpacked(packed);
    for (let at = 0; at < packed.length; at++) {
      const changed = Buffer.from(packed);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      // The level may change without a change of the text.
      if (at === 3) continue;
      await expect(unpacked(changed)).rejects.toMatchObject({ code: 'invalid' });
      if (at > 0) await expect(unpacked(packed.subarray(0, at))).rejects.toMatchObject({ code: 'invalid' });
    }
    await expect(unpacked(Buffer.concat([packed, Buffer.from('x')]))).rejects.toMatchObject({ code: 'invalid' });
    expect(text.length).toBe(100);
  });

  it('stops where the sink says so, although one block would unpack to megabytes', async () => {
    const packed = bzip2Of(Buffer.alloc(200_000), 200_000);
    expect(packed.length).toBeLessThan(2000);
    let seen = 0;
    const stop = decompressBzip2(sourceOf(packed), (piece) => {
      seen += piece.length;
      if (seen > 100_000) throw new Error('enough');
    });
    await expect(stop).rejects.toThrow('enough');
    expect(seen).toBeLessThan(200_000);
  });
});

function whichBzip2(): string | undefined {
  try {
    execFileSync('bzip2', ['--help'], { stdio: 'ignore' });
    return 'bzip2';
  } catch {
    return undefined;
  }
}
