import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isFault } from '@vivarium/fault/fault';
import type { Blobs } from './blobs.js';
import { byteSourceOf } from './bytesource.js';

const MIB = 1024 * 1024;

/**
 * What every driver of the blob store must do, as tests against a store that `make` opens empty.
 * `make` may be called once; the suite closes what it gives.
 */
export function describeBlobs(name: string, make: () => Promise<Blobs>): void {
  describe(`blobs: ${name}`, () => {
    let blobs: Blobs;
    beforeAll(async () => {
      blobs = await make();
    }, 60_000);
    afterAll(() => blobs.close());

    describe('put and get', () => {
      it('gives back what was put, with its size, and nothing of what was not', async () => {
        const bytes = randomBytes(100_000);
        expect(await blobs.put('plain/one', bytes)).toEqual({ stored: true, sizeBytes: 100_000 });
        const body = await blobs.get('plain/one');
        expect([body.sizeBytes, body.lengthBytes]).toEqual([100_000, 100_000]);
        expect((await body.bytes(100_000)).equals(bytes)).toBe(true);
        expect((await blobs.head('plain/one'))?.sizeBytes).toBe(100_000);
        await expect(blobs.get('plain/none')).rejects.toMatchObject({ code: 'not_found' });
        expect(await blobs.head('plain/none')).toBeUndefined();
      });

      it('keeps an empty blob', async () => {
        expect(await blobs.put('plain/empty', new Uint8Array())).toEqual({ stored: true, sizeBytes: 0 });
        const body = await blobs.get('plain/empty');
        expect(body.sizeBytes).toBe(0);
        expect(await collect(body.stream())).toHaveLength(0);
        expect(await (await blobs.get('plain/empty')).bytes(0)).toHaveLength(0);
      });

      it('says when a blob was last changed', async () => {
        const before = Date.now();
        await blobs.put('plain/dated', Buffer.from('now'));
        const { modifiedAtMs } = (await blobs.head('plain/dated')) ?? { modifiedAtMs: 0 };
        // S3 counts whole seconds.
        expect(modifiedAtMs).toBeGreaterThanOrEqual(before - 2_000);
        expect(modifiedAtMs).toBeLessThanOrEqual(Date.now() + 2_000);
      });

      it('replaces a blob, and a reader that has begun goes on with the old bytes', async () => {
        const [old, fresh] = [randomBytes(3 * MIB), randomBytes(MIB)];
        await blobs.put('plain/replaced', old);
        const reader = (await blobs.get('plain/replaced')).stream()[Symbol.asyncIterator]();
        const first: Buffer = (await reader.next()).value;
        await blobs.put('plain/replaced', fresh);
        const rest = await collect({ [Symbol.asyncIterator]: () => reader });
        expect(Buffer.concat([first, rest]).equals(old)).toBe(true);
        expect((await (await blobs.get('plain/replaced')).bytes(MIB)).equals(fresh)).toBe(true);
      });

      it('refuses to hold more at once than the caller allows', async () => {
        await blobs.put('plain/large', Buffer.alloc(1_000));
        await expect((await blobs.get('plain/large')).bytes(999)).rejects.toMatchObject({ code: 'too_large' });
      });

      it('lets go of a blob that nobody reads', async () => {
        await blobs.put('plain/unread', Buffer.alloc(5 * MIB));
        for (let round = 0; round < 300; round++) await (await blobs.get('plain/unread')).discard();
        expect((await (await blobs.get('plain/unread')).bytes(5 * MIB)).length).toBe(5 * MIB);
      });

      it('streams 64 MiB in and out with flat memory', async () => {
        const hash = createHash('sha256');
        const chunk = randomBytes(MIB);
        const memory = watchMemory();
        async function* body() {
          for (let index = 0; index < 64; index++) {
            chunk.writeUInt32LE(index);
            hash.update(chunk);
            if (index % 7 === 6) memory.sample();
            yield Buffer.from(chunk);
          }
        }
        const result = await blobs.put('plain/stream', body(), { contentLength: 64 * MIB });
        expect(result).toEqual({ stored: true, sizeBytes: 64 * MIB });
        const back = createHash('sha256');
        let readBytes = 0;
        for await (const part of (await blobs.get('plain/stream')).stream()) {
          back.update(part);
          readBytes += part.length;
          if (readBytes % (9 * MIB) < part.length) memory.sample();
        }
        expect(back.digest('hex')).toBe(hash.digest('hex'));
        expect(memory.mostBytes()).toBeLessThan(48 * MIB);
      }, 60_000);
    });

    describe('ranges', () => {
      const bytes = randomBytes(2 * MIB);
      beforeAll(() => blobs.put('ranges/one', bytes));

      it.each([
        ['the first byte', 0, 1],
        ['the middle', 1_000_000, 1_500_000],
        ['the last byte', 2 * MIB - 1, 2 * MIB],
        ['everything', 0, 2 * MIB],
        ['an end behind the last byte', 2 * MIB - 10, 5 * MIB],
      ])('gives %s', async (_, start, end) => {
        const expected = bytes.subarray(start, end);
        const body = await blobs.get('ranges/one', { start, end });
        expect([body.sizeBytes, body.lengthBytes]).toEqual([2 * MIB, expected.length]);
        expect((await collect(body.stream())).equals(expected)).toBe(true);
        const again = await blobs.get('ranges/one', { start, end });
        expect((await again.bytes(2 * MIB)).equals(expected)).toBe(true);
      });

      it.each([
        ['that starts behind the last byte', 2 * MIB, 3 * MIB],
        ['that is empty', 10, 10],
        ['that runs backwards', 10, 5],
        ['with a negative start', -1, 5],
        ['of fractions', 0.5, 5],
      ])('refuses a range %s', async (_, start, end) => {
        await expect(blobs.get('ranges/one', { start, end })).rejects.toMatchObject({ code: 'invalid' });
      });

      it('says not_found, not invalid, for a range of nothing', async () => {
        await expect(blobs.get('ranges/none', { start: 0, end: 5 })).rejects.toMatchObject({ code: 'not_found' });
      });

      it('reads a blob at random through a byte source', async () => {
        const source = await byteSourceOf(blobs, 'ranges/one');
        expect(source.sizeBytes).toBe(2 * MIB);
        const places = [
          [2 * MIB - 22, 2 * MIB],
          [2 * MIB - 60_000, 2 * MIB - 22],
          [0, 30],
          [30, 5_000],
          [262_140, 262_150],
          [100_000, 1_900_000],
          [5, 5],
          [0, 2 * MIB],
        ] as const;
        for (const [start, end] of places) {
          expect((await source.read(start, end)).equals(bytes.subarray(start, end))).toBe(true);
        }
        await expect(source.read(0, 2 * MIB + 1)).rejects.toMatchObject({ code: 'invalid' });
        await expect(byteSourceOf(blobs, 'ranges/none')).rejects.toMatchObject({ code: 'not_found' });
      });
    });

    describe('put if absent', () => {
      it('stores once and then leaves what is there', async () => {
        const first = Buffer.from('first');
        expect(await blobs.put('absent/one', first, { ifAbsent: true })).toMatchObject({ stored: true });
        const second = await blobs.put('absent/one', Buffer.from('second'), { ifAbsent: true });
        expect(second).toEqual({ stored: false, sizeBytes: 6 });
        expect(await (await blobs.get('absent/one')).bytes(100)).toEqual(first);
        await blobs.delete('absent/one');
        expect(await blobs.put('absent/one', first, { ifAbsent: true })).toMatchObject({ stored: true });
      });

      it.each([
        ['small bodies', 10],
        ['streams of several parts', 9 * MIB],
      ])(
        'lets exactly one of 20 win a race, with %s',
        async (_, sizeBytes) => {
          const key = `absent/race-${sizeBytes}`;
          const bodies = Array.from({ length: 20 }, (_, index) => Buffer.alloc(sizeBytes, index + 1));
          const results = await Promise.all(
            bodies.map((body) => blobs.put(key, sizeBytes > MIB ? chunksOf(body) : body, { ifAbsent: true })),
          );
          const winners = bodies.filter((_, index) => results[index]?.stored);
          expect(winners).toHaveLength(1);
          const kept = await (await blobs.get(key)).bytes(sizeBytes);
          expect(winners[0]?.equals(kept)).toBe(true);
        },
        60_000,
      );
    });

    describe('a body that fails', () => {
      it.each([
        ['early', 1],
        ['after several parts', 20],
      ])('%s leaves nothing, and its own error is thrown', async (_, mebibytes) => {
        async function* body() {
          for (let index = 0; index < mebibytes; index++) yield Buffer.alloc(MIB);
          throw new Error('the client went away');
        }
        await expect(blobs.put('failed/one', body())).rejects.toThrow('the client went away');
        await expect(blobs.put('failed/one', body(), { ifAbsent: true })).rejects.toThrow('the client went away');
        expect(await blobs.head('failed/one')).toBeUndefined();
        expect(await keysOf(blobs, 'failed/')).toEqual([]);
      });

      it('leaves what was there before', async () => {
        await blobs.put('failed/kept', Buffer.from('kept'));
        async function* body() {
          yield Buffer.from('not ');
          throw new Error('the client went away');
        }
        await expect(blobs.put('failed/kept', body())).rejects.toThrow('the client went away');
        expect((await (await blobs.get('failed/kept')).bytes(10)).toString()).toBe('kept');
        await blobs.delete('failed/kept');
      });

      it.each([
        ['shorter', 11],
        ['longer', 9],
      ])('to be as long as announced (%s) is refused and leaves nothing', async (_, contentLength) => {
        for (const body of [Buffer.alloc(10), chunksOf(Buffer.alloc(10))]) {
          await expect(blobs.put('failed/length', body, { contentLength })).rejects.toMatchObject({ code: 'invalid' });
        }
        expect(await blobs.head('failed/length')).toBeUndefined();
      });

      it('is never seen half: readers find the old bytes or the new', async () => {
        const sizeBytes = 9 * MIB;
        await blobs.put('failed/whole', Buffer.alloc(sizeBytes, 1));
        let writing = true;
        const seen = new Set<string>();
        const reader = (async () => {
          while (writing) {
            const bytes = await (await blobs.get('failed/whole')).bytes(sizeBytes);
            seen.add(`${bytes.length}:${bytes[0] === bytes.at(-1)}`);
          }
        })();
        for (let round = 2; round < 6; round++)
          await blobs.put('failed/whole', chunksOf(Buffer.alloc(sizeBytes, round)));
        writing = false;
        await reader;
        expect([...seen]).toEqual([`${sizeBytes}:true`]);
        await blobs.delete('failed/whole');
      }, 60_000);
    });

    describe('list, delete, copy', () => {
      it('lists what starts with a prefix, wherever the prefix ends', async () => {
        const keys = ['list/a', 'list/ab', 'list/b/c', 'list/b/d/e', 'list/ba', 'lister'];
        for (const key of keys) await blobs.put(key, Buffer.from(key));
        expect(await keysOf(blobs, 'list/')).toEqual(keys.slice(0, 5));
        expect(await keysOf(blobs, 'list/b')).toEqual(['list/b/c', 'list/b/d/e', 'list/ba']);
        expect(await keysOf(blobs, 'list/b/')).toEqual(['list/b/c', 'list/b/d/e']);
        expect(await keysOf(blobs, 'list')).toEqual(keys);
        expect(await keysOf(blobs, 'list/zzz')).toEqual([]);
        expect(await keysOf(blobs, 'nowhere/')).toEqual([]);
        for await (const { key, sizeBytes } of blobs.list('list/')) expect(sizeBytes).toBe(key.length);
        expect(await keysOf(blobs, '')).toEqual(expect.arrayContaining(keys));
      });

      it('lists more than one page of a server', async () => {
        const keys = Array.from({ length: 1_100 }, (_, index) => `pages/${String(index).padStart(5, '0')}`);
        for (let at = 0; at < keys.length; at += 50) {
          await Promise.all(keys.slice(at, at + 50).map((key) => blobs.put(key, Buffer.from('x'))));
        }
        expect(await keysOf(blobs, 'pages/')).toEqual(keys);
      }, 60_000);

      it('deletes, and deletes again', async () => {
        await blobs.put('gone/one', Buffer.from('x'));
        await blobs.delete('gone/one');
        await blobs.delete('gone/one');
        await blobs.delete('gone/never/was');
        expect(await blobs.head('gone/one')).toBeUndefined();
        await expect(blobs.get('gone/one')).rejects.toMatchObject({ code: 'not_found' });
      });

      it('copies: both stay, either may go, and a copy onto itself or over another is fine', async () => {
        const bytes = randomBytes(100_000);
        await blobs.put('copy/from', bytes);
        await blobs.put('copy/to', Buffer.from('older'));
        for (let round = 0; round < 2; round++) await blobs.copy('copy/from', 'copy/to');
        await blobs.delete('copy/from');
        expect((await (await blobs.get('copy/to')).bytes(MIB)).equals(bytes)).toBe(true);
        await blobs.put('copy/to', Buffer.from('newer'));
        await blobs.copy('copy/to', 'copy/third');
        await blobs.put('copy/to', Buffer.from('newest'));
        expect((await (await blobs.get('copy/third')).bytes(MIB)).toString()).toBe('newer');
        await expect(blobs.copy('copy/from', 'copy/to')).rejects.toMatchObject({ code: 'not_found' });
        expect((await (await blobs.get('copy/to')).bytes(MIB)).toString()).toBe('newest');
      });

      it('dates a copy by the copying', async () => {
        await blobs.put('copy/dated', Buffer.from('x'));
        await sleep(1_100);
        const before = Date.now();
        await blobs.copy('copy/dated', 'copy/later');
        expect((await blobs.head('copy/later'))?.modifiedAtMs).toBeGreaterThanOrEqual(Math.floor(before / 1000) * 1000);
      });
    });

    describe('keys', () => {
      it.each([
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        '../a',
        'a/../b',
        'a/..',
        'a..b',
        './a',
        'a/./b',
        '.tmp/x',
        'A',
        'a b',
        'a\\b',
        'a\0b',
        'a%2fb',
        'ä',
        '-a',
        '~ab/x',
        'a/~ab/x',
        'a\n',
        `a/${'b'.repeat(201)}`,
        `${'a/'.repeat(300)}a`,
      ])('refuses %j everywhere', async (key) => {
        const invalid = { code: 'invalid' };
        await expect(blobs.put(key, Buffer.from('x'))).rejects.toMatchObject(invalid);
        await expect(blobs.get(key)).rejects.toMatchObject(invalid);
        await expect(blobs.head(key)).rejects.toMatchObject(invalid);
        await expect(blobs.delete(key)).rejects.toMatchObject(invalid);
        await expect(blobs.copy(key, 'a')).rejects.toMatchObject(invalid);
        await expect(blobs.copy('a', key)).rejects.toMatchObject(invalid);
      });

      it('refuses a prefix that no key starts with', async () => {
        for (const prefix of ['../', '/', 'a//', '.', 'A']) {
          await expect(keysOf(blobs, prefix)).rejects.toMatchObject({ code: 'invalid' });
        }
      });

      it('takes every character that a key may have', async () => {
        const key = `odd/0_a.b-c/${'z'.repeat(200)}/x.y_z-0`;
        await blobs.put(key, Buffer.from('x'));
        expect(await keysOf(blobs, 'odd/')).toEqual([key]);
      });
    });

    it('finds itself in order, and leaves no trace of having looked among the keys', async () => {
      const before = (await keysOf(blobs, '')).filter((key) => !key.startsWith('probe/'));
      await blobs.check();
      expect((await keysOf(blobs, '')).filter((key) => !key.startsWith('probe/'))).toEqual(before);
    });
  });
}

/** Opens a store that cannot work, and gives the sentence that its check says. */
export async function complaintOf(blobs: Blobs): Promise<string> {
  try {
    await blobs.check();
    return '';
  } catch (error) {
    return isFault(error) && error.code === 'unavailable' ? error.message : `not a fault: ${String(error)}`;
  } finally {
    await blobs.close();
  }
}

async function keysOf(blobs: Blobs, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list(prefix)) keys.push(key);
  return keys.sort();
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

/** The most that live memory grew, in bytes, over the samples taken. Garbage is collected first: only what is held counts. */
function watchMemory(): { sample(): void; mostBytes(): number } {
  setFlagsFromString('--expose-gc');
  const collectGarbage: () => void = runInNewContext('gc');
  const heldBytes = () => {
    collectGarbage();
    const { arrayBuffers, heapUsed } = process.memoryUsage();
    return arrayBuffers + heapUsed;
  };
  const start = heldBytes();
  let most = 0;
  return {
    sample() {
      most = Math.max(most, heldBytes() - start);
    },
    mostBytes: () => most,
  };
}
