import { constants, crc32, deflateRawSync } from 'node:zlib';

/** A deflate stream, with what it unpacks to. */
export interface Deflated {
  readonly packed: Buffer;
  readonly sizeBytes: number;
  readonly crc32: number;
}

/** Deflates `head`, then `piece` as many times as said, without ever holding what that unpacks to. */
export function deflateAgain(head: Uint8Array, piece: Uint8Array, times: number): Deflated {
  const flushed = { finishFlush: constants.Z_FULL_FLUSH };
  const again = deflateRawSync(piece, flushed);
  let crc = crc32(head);
  for (let i = 0; i < times; i++) crc = crc32(piece, crc);
  return {
    packed: Buffer.concat([deflateRawSync(head, flushed), ...Array<Buffer>(times).fill(again), deflateRawSync('')]),
    sizeBytes: head.length + piece.length * times,
    crc32: crc,
  };
}

/** A gzip file of it. Source: RFC 1952. */
export function gzipOf({ packed, sizeBytes, crc32: crc }: Deflated): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(sizeBytes % 2 ** 32, 4);
  return Buffer.concat([Buffer.from('1f8b08000000000000ff', 'hex'), packed, trailer]);
}
