import { createHash, randomBytes } from 'node:crypto';
import type { Blobs } from '@vivarium/blobs/blobs';
import { stagingKey } from '@vivarium/blobs/keys';
import { Fault } from '@vivarium/fault/fault';

/** Bytes that wait under a key of their own until they are committed. Digests in lower case hex. */
export interface StagedBytes {
  readonly stagingKey: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
}

/** What a client said of the bytes beforehand. */
export interface Announced {
  readonly maxBytes: number;
  readonly sizeBytes?: number | undefined;
  readonly sha256?: string | undefined;
  readonly md5?: string | undefined;
}

/**
 * Stores a body under a key that nobody can guess, hashing it while it comes. What does not agree with what was announced
 * is not stored. Throws Fault('invalid') for that, Fault('too_large').
 */
export async function stageBytes(
  blobs: Blobs,
  chunks: AsyncIterable<Uint8Array>,
  announced: Announced,
  look: (chunk: Uint8Array) => void | Promise<void> = () => undefined,
): Promise<StagedBytes> {
  const key = stagingKey(randomBytes(16).toString('hex'));
  const [sha256, md5] = [createHash('sha256'), createHash('md5')];
  let sizeBytes = 0;
  let digests = { sha256: '', md5: '' };
  async function* checked(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > announced.maxBytes) throw tooLarge(announced.maxBytes);
      sha256.update(chunk);
      md5.update(chunk);
      const looked = look(chunk);
      if (looked !== undefined) await looked;
      yield chunk;
    }
    digests = { sha256: sha256.digest('hex'), md5: md5.digest('hex') };
    // Within the body: a put whose body throws stores nothing.
    agree(announced, { ...digests, sizeBytes });
  }
  await blobs.put(key, checked());
  return { stagingKey: key, ...digests, sizeBytes };
}

/** Throws Fault('invalid') if the bytes are not what was announced. */
export function agree(announced: Omit<Announced, 'maxBytes'>, got: Omit<StagedBytes, 'stagingKey'>): void {
  if (announced.sizeBytes !== undefined && announced.sizeBytes !== got.sizeBytes) {
    throw new Fault('invalid', `${announced.sizeBytes} bytes were announced, but ${got.sizeBytes} came. Upload again.`);
  }
  for (const name of ['sha256', 'md5'] as const) {
    const wanted = announced[name];
    if (wanted !== undefined && wanted.toLowerCase() !== got[name]) throw damaged(name, wanted, got[name]);
  }
}

/** The digest that was sent is not that of the bytes that came. */
export function damaged(name: string, wanted: string, got: string): Fault {
  return new Fault(
    'invalid',
    `The ${name} of the file is ${got}, but ${wanted.slice(0, 200)} was announced: it was damaged on the way, or is another file. Upload again.`,
  );
}

function tooLarge(maxBytes: number): Fault {
  return new Fault('too_large', `The file is larger than ${maxBytes} bytes, the most that this server takes.`);
}
