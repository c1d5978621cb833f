import { generateKeyPairSync, sign } from 'node:crypto';

/** A certificate for `localhost` that signs itself, valid since yesterday for a month, and its key. Needs no program. */
export function makeCertificate(): { readonly cert: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  // ecdsa-with-SHA256; commonName = localhost; subjectAltName = DNS:localhost
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'));
  const localhost = Buffer.from('localhost');
  const common = der(0x30, Buffer.from('0603550403', 'hex'), der(0x0c, localhost));
  const name = der(0x30, der(0x31, common));
  const names = der(0x04, der(0x30, der(0x82, localhost)));
  const extensions = der(0xa3, der(0x30, der(0x30, Buffer.from('0603551d11', 'hex'), names)));
  const facts = der(
    0x30,
    Buffer.from('a003020102', 'hex'),
    der(0x02, Buffer.from([1])),
    algorithm,
    name,
    der(0x30, timeIn(-1), timeIn(30)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  );
  const signature = der(0x03, Buffer.from([0]), sign('sha256', facts, privateKey));
  const lines =
    der(0x30, facts, algorithm, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  const cert = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

function timeIn(days: number): Buffer {
  const at = new Date(Date.now() + days * 86_400_000).toISOString();
  return der(0x18, Buffer.from(`${at.slice(0, 19).replace(/[-T:]/g, '')}Z`));
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const size = body.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
