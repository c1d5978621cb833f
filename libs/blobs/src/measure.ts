import { Fault } from '@vivarium/fault/fault';

/** A body as a stream of chunks, whichever way it was given, and how many bytes have gone by. */
export interface MeasuredBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  sizeBytes(): number;
}

/**
 * Counts a body's bytes as they are read. Reading throws Fault('invalid') as soon as it is longer than `contentLength`,
 * and at its end if it was shorter: a body cut off by a lost connection must not pass for a whole one.
 */
export function measure(body: Uint8Array | AsyncIterable<Uint8Array>, contentLength: number | undefined): MeasuredBody {
  let sizeBytes = 0;
  async function* read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body instanceof Uint8Array ? [body] : body) {
      sizeBytes += chunk.byteLength;
      if (contentLength !== undefined && sizeBytes > contentLength) throw wrongLength(contentLength, sizeBytes);
      yield chunk;
    }
    if (contentLength !== undefined && sizeBytes !== contentLength) throw wrongLength(contentLength, sizeBytes);
  }
  return { chunks: read(), sizeBytes: () => sizeBytes };
}

function wrongLength(announced: number, received: number): Fault {
  const how = received > announced ? 'more than that came' : `${received} came`;
  return new Fault('invalid', `The body was announced with ${announced} bytes but ${how}: send it again, whole.`);
}
