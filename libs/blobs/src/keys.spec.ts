import { checkKey } from './blobs.js';
import { blobKey, blobOf, floorKey, headKey, indexKey, stagingKey } from './keys.js';

const hash = 'ab'.repeat(32);

describe('keys', () => {
  it.each([
    [blobKey(hash), `blobs/sha256/ab/${hash}`],
    [blobKey(hash, 3), `blobs/sha256/ab/${hash}-3`],
    [indexKey(hash), `index/${hash}`],
    [headKey(hash), `heads/${hash}`],
    [stagingKey('0f9a'), 'staging/0f9a'],
    [floorKey('42'), 'floors/42'],
  ])('%s is where it is drawn', (key, drawn) => {
    expect(key).toBe(drawn);
    expect(() => checkKey(key)).not.toThrow();
  });

  it('reads a blob key back', () => {
    for (const object of [0, 1, 12_345]) expect(blobOf(blobKey(hash, object))).toEqual({ sha256: hash, object });
    for (const other of [
      `blobs/sha256/cd/${hash}`,
      `blobs/sha256/ab/${hash}-0`,
      `index/${hash}`,
      `blobs/sha256/ab/${hash}x`,
    ]) {
      expect(blobOf(other)).toBeUndefined();
    }
  });

  it.each([
    () => blobKey(hash.toUpperCase()),
    () => blobKey('../../etc/passwd'),
    () => blobKey(hash, -1),
    () => indexKey(''),
    () => stagingKey('../floors/1'),
    () => stagingKey(''),
    () => floorKey('a/b'),
  ])('refuses what is no hash, number or id (%#)', (make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});
