import { Fault } from '@vivarium/fault/fault';

/** The most bytes that a zstd frame header takes. */
export const ZSTD_HEADER_BYTES = 18;

export interface ZstdFrameHeader {
  readonly headerBytes: number;
  /** How much a reader must remember to decompress the frame. */
  readonly windowBytes: number;
  /** Size of the decompressed frame, if its writer knew it. */
  readonly contentBytes: number | undefined;
}

/**
 * What a zstd frame says of itself in its first bytes (18 are always enough). `name` is how the frame is called in messages.
 * Throws Fault('invalid') if there is no frame, if it is a skippable one, or if it needs a dictionary.
 * Source: RFC 8878 §3.1.1.1.
 */
export function parseZstdHeader(bytes: Uint8Array, name: string): ZstdFrameHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 6 || view.getUint32(0, true) !== 0xfd2fb528)
    throw bad(name, 'it does not begin with a zstd frame');
  const descriptor = view.getUint8(4);
  if ((descriptor & 8) !== 0) throw bad(name, 'it uses a reserved bit');
  if ((descriptor & 3) !== 0) throw bad(name, 'it needs a dictionary');
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeAt = singleSegment ? 5 : 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  const headerBytes = sizeAt + sizeBytes;
  if (bytes.length < headerBytes) throw bad(name, 'it is cut short');
  const contentBytes = contentBytesOf(view, sizeAt, sizeBytes);
  const windowBytes = singleSegment ? (contentBytes ?? 0) : windowBytesOf(view.getUint8(5));
  return { headerBytes, windowBytes, contentBytes };
}

function contentBytesOf(view: DataView, at: number, sizeBytes: number): number | undefined {
  switch (sizeBytes) {
    case 0:
      return undefined;
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}

function windowBytesOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function bad(name: string, reason: string): Fault {
  return new Fault('invalid', `${name} cannot be read: ${reason}. Build the package again.`);
}
