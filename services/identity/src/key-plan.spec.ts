import fc from 'fast-check';
import { type KeyTimes, missingKeySignsFrom, outlivedKeys, signerOf } from './key-plan.js';

const policy = { lifetimeMs: 86_400_000, cacheMs: 600_000 };
const key = (kid: string, signsFromMs: number): KeyTimes => ({ kid, signsFromMs });

describe('the plan of signing keys', () => {
  it('lets the very first key sign at once, and makes the next one for the end of its life', () => {
    expect(missingKeySignsFrom([], 1_000, policy)).toBe(1_000);
    expect(missingKeySignsFrom([key('a', 1_000)], 1_000, policy)).toBe(86_401_000);
    expect(missingKeySignsFrom([key('a', 1_000), key('b', 86_401_000)], 1_000, policy)).toBeUndefined();
  });

  it('publishes a new key one cache life before it signs, also after a long stop', () => {
    const keys = [key('a', 0), key('b', 86_400_000)];
    const now = 10 * 86_400_000;
    expect(signerOf(keys, now)?.kid).toBe('b');
    expect(missingKeySignsFrom(keys, now, policy)).toBe(now + 600_000);
  });

  it('keeps a replaced key until everything it signed and every copy of the old set has expired', () => {
    const keys = [key('b', 5_000_000), key('a', 0), key('c', 90_000_000)];
    expect(outlivedKeys(keys, 5_600_000, policy)).toEqual([]);
    expect(outlivedKeys(keys, 5_600_001, policy).map((each) => each.kid)).toEqual(['a']);
  });

  it('never signs with a key that a remembered set may lack', () => {
    const lifetimes = fc.record({ lifetimeMs: fc.integer({ min: 0, max: 5_000 }), cacheMs: fc.constant(100) });
    fc.assert(
      fc.property(lifetimes, fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 40 }), (random, steps) => {
        const keys: (KeyTimes & { publishedMs: number })[] = [];
        let now = 0;
        for (const step of steps) {
          now += step;
          for (;;) {
            const signsFromMs = missingKeySignsFrom(keys, now, random);
            if (signsFromMs === undefined) break;
            keys.push({ kid: String(keys.length), signsFromMs, publishedMs: now });
          }
          const signer = signerOf(keys, now);
          expect(signer).toBeDefined();
          if (signer === undefined || signer.kid === '0') continue;
          expect(now - signer.publishedMs).toBeGreaterThanOrEqual(random.cacheMs);
          expect(outlivedKeys(keys, now, random)).not.toContain(signer);
        }
      }),
    );
  });
});
