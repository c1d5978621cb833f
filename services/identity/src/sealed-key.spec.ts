import { randomBytes } from 'node:crypto';
import { makeAssertionKey } from '@vivarium/rpc/assertion-key';
import { openSealedKey, sealKey } from './sealed-key.js';

describe('a sealed key', () => {
  const sealingKey = randomBytes(32);

  it('opens under its sealing key', async () => {
    const { privateJwk } = await makeAssertionKey(0);
    expect(openSealedKey('k1', sealKey('k1', privateJwk, sealingKey), sealingKey)).toEqual(privateJwk);
  });

  it('shows nothing of itself, and never the same twice', async () => {
    const { privateJwk } = await makeAssertionKey(0);
    const sealed = [sealKey('k1', privateJwk, sealingKey), sealKey('k1', privateJwk, sealingKey)].map(hexOf);
    expect(sealed[0]).not.toBe(sealed[1]);
    expect(sealed[0]).not.toContain(hexOf(Buffer.from(privateJwk.d ?? '')));
  });

  it('stays closed under another sealing key, for another kid, and when a bit was changed', async () => {
    const sealedKey = sealKey('k1', (await makeAssertionKey(0)).privateJwk, sealingKey);
    expect(openSealedKey('k1', sealedKey, randomBytes(32))).toBeUndefined();
    expect(openSealedKey('k2', sealedKey, sealingKey)).toBeUndefined();
    for (const at of [0, 12, 28, sealedKey.length - 1]) {
      const changed = sealedKey.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(openSealedKey('k1', changed, sealingKey)).toBeUndefined();
    }
    expect(openSealedKey('k1', new Uint8Array(5), sealingKey)).toBeUndefined();
  });
});

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
