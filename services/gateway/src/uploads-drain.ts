import type { IncomingMessage } from 'node:http';

const LIMIT_BYTES = 64 * 2 ** 20;
const LIMIT_MS = 60_000;

/**
 * Reads past what is left of a body that was answered early: most clients send all of it before they look at the answer,
 * and would see a reset connection instead. Past 64 MB or a minute the connection is cut.
 */
export function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return;
  let leftBytes = LIMIT_BYTES;
  const cut = (): void => void request.destroy();
  const timer = setTimeout(cut, LIMIT_MS);
  timer.unref();
  request.on('error', () => undefined);
  request.on('data', (chunk: Buffer) => {
    leftBytes -= chunk.byteLength;
    if (leftBytes < 0) cut();
  });
  request.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
  request.resume();
}
