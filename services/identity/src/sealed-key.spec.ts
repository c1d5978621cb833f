import { createPublicKey, randomBytes, sign, verify } from 'node:crypto';
import { makeSealedKey, openSealedKey } from './sealed-key.js';

describe('a sealed key', () => {
  const sealingKey = randomBytes(32);
  const { publicJwk, sealedKey } = makeSealedKey('k1', sealingKey);

  it('opens under its sealing key and signs for its public half', () => {
    const privateKey = openSealedKey('k1', sealedKey, sealingKey);
    if (privateKey === undefined) throw new Error('it does not open');
    const signature = sign(null, Buffer.from('hello'), privateKey);
    const publicKey = createPublicKey({ key: { ...publicJwk }, format: 'jwk' });
    expect(verify(null, Buffer.from('hello'), publicKey, signature)).toBe(true);
  });

  it('publishes nothing private', () => {
    expect(publicJwk).toEqual({ kty: 'OKP', crv: 'Ed25519', x: expect.stringMatching(/^[\w-]{43}$/) });
  });

  it('stays closed under another sealing key, for another kid, and when a bit was changed', () => {
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
