// The thread of `legacy-blake2.ts`.
import { parentPort } from 'node:worker_threads';
import { blake2b } from '@noble/hashes/blake2.js';
import type { FromHasher, ToHasher } from './legacy-blake2.js';

const hashes = new Map<number, ReturnType<typeof blake2b.create>>();

parentPort?.on('message', (message: ToHasher) => {
  const { id } = message;
  const hash = hashes.get(id) ?? blake2b.create({ dkLen: 32 });
  if ('chunk' in message) {
    hashes.set(id, hash.update(message.chunk));
    answer({ id, takenBytes: message.chunk.byteLength });
    return;
  }
  hashes.delete(id);
  if (message.end === 'digest') answer({ id, digest: Buffer.from(hash.digest()).toString('hex') });
});

function answer(message: FromHasher): void {
  parentPort?.postMessage(message);
}
