import { randomBytes } from 'node:crypto';
import { mintSessionSecret, randomText } from './session-secret.js';

describe('a session secret', () => {
  it('is recognisable, as long as it must be, and never the same', () => {
    const secrets = Array.from({ length: 200 }, () => mintSessionSecret(randomBytes));
    for (const secret of secrets) expect(secret).toMatch(/^vis-[a-z0-9]{32}$/);
    expect(new Set(secrets).size).toBe(200);
  });

  it('uses every character of its alphabet alike', () => {
    const counts = Map.groupBy(randomText(randomBytes, 'abcde', 50_000), (character) => character);
    for (const each of counts.values()) expect(Math.abs(each.length - 10_000)).toBeLessThan(600);
    expect(counts.size).toBe(5);
  });

  it('takes no byte that would favour a character', () => {
    const bytes = [255, 0, 255, 1, 2];
    expect(randomText(() => Uint8Array.of(bytes.shift() ?? 0), 'abcde', 3)).toBe('abc');
  });
});
