import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { AssertionKey } from '@vivarium/rpc/assertion-key';

const NONCE_SIZE_BYTES = 12;
const TAG_SIZE_BYTES = 16;

export type PrivateJwk = AssertionKey['privateJwk'];

/** A private key encrypted by AES-256-GCM under a key of 32 bytes, and bound to its `kid`: nonce, tag, ciphertext. */
export function sealKey(kid: string, privateJwk: PrivateJwk, sealingKey: Uint8Array): Uint8Array<ArrayBuffer> {
  const nonce = randomBytes(NONCE_SIZE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce);
  cipher.setAAD(Buffer.from(kid));
  const sealed = [cipher.update(JSON.stringify(privateJwk), 'utf8'), cipher.final()];
  return new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), ...sealed]));
}

/** The private key, or undefined if it was sealed under another key, for another `kid`, or changed since. */
export function openSealedKey(kid: string, sealed: Uint8Array, sealingKey: Uint8Array): PrivateJwk | undefined {
  const tagAt = NONCE_SIZE_BYTES + TAG_SIZE_BYTES;
  try {
    const decipher = createDecipheriv('aes-256-gcm', sealingKey, sealed.subarray(0, NONCE_SIZE_BYTES), {
      authTagLength: TAG_SIZE_BYTES,
    });
    decipher.setAAD(Buffer.from(kid));
    decipher.setAuthTag(sealed.subarray(NONCE_SIZE_BYTES, tagAt));
    const opened = Buffer.concat([decipher.update(sealed.subarray(tagAt)), decipher.final()]);
    return JSON.parse(opened.toString('utf8')) as PrivateJwk;
  } catch {
    return undefined;
  }
}
