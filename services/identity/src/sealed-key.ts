import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

const NONCE_SIZE_BYTES = 12;
const TAG_SIZE_BYTES = 16;

/** The public half of an Ed25519 key. Source: RFC 8037. */
export interface PublicJwk {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
}

export interface NewKey {
  readonly publicJwk: PublicJwk;
  readonly sealedKey: Uint8Array<ArrayBuffer>;
}

/** A new Ed25519 key pair, its private half encrypted by AES-256-GCM under `sealingKey` and bound to its `kid`. */
export function makeSealedKey(kid: string, sealingKey: Uint8Array): NewKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { kty = '', crv = '', x = '' } = publicKey.export({ format: 'jwk' });
  const nonce = randomBytes(NONCE_SIZE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', sealingKey, nonce);
  cipher.setAAD(Buffer.from(kid));
  const sealed = [cipher.update(privateKey.export({ type: 'pkcs8', format: 'der' })), cipher.final()];
  return {
    publicJwk: { kty, crv, x },
    sealedKey: new Uint8Array(Buffer.concat([nonce, cipher.getAuthTag(), ...sealed])),
  };
}

/** The private key, or undefined if it was sealed under another key, for another `kid`, or changed since. */
export function openSealedKey(kid: string, sealed: Uint8Array, sealingKey: Uint8Array): KeyObject | undefined {
  try {
    const decipher = createDecipheriv('aes-256-gcm', sealingKey, sealed.subarray(0, NONCE_SIZE_BYTES), {
      authTagLength: TAG_SIZE_BYTES,
    });
    decipher.setAAD(Buffer.from(kid));
    decipher.setAuthTag(sealed.subarray(NONCE_SIZE_BYTES, NONCE_SIZE_BYTES + TAG_SIZE_BYTES));
    const der = Buffer.concat([decipher.update(sealed.subarray(NONCE_SIZE_BYTES + TAG_SIZE_BYTES)), decipher.final()]);
    return createPrivateKey({ key: der, type: 'pkcs8', format: 'der' });
  } catch {
    return undefined;
  }
}
