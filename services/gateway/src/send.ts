import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { INERT, INERT_UPLOAD } from './inert.js';
import { admitsRange, type ByteSpan, matchesETag, parseRange } from './range.js';

/** Something to be sent whole or in part. */
export interface Body {
  readonly sizeBytes: number;
  /** The bytes, if they are in memory. */
  readonly bytes?: Uint8Array | undefined;
  /** A stream of a span of them, if not. */
  readonly open?: ((span: ByteSpan) => Promise<Readable>) | undefined;
}

export interface Answer {
  /** Strong, with its quotes. */
  readonly etag: string;
  readonly contentType: string;
  readonly cacheControl: string;
  readonly vary?: string | undefined;
  /** Of text that was compressed by negotiation. */
  readonly contentEncoding?: string | undefined;
  /** Ms since 1970. */
  readonly modifiedMs?: number | undefined;
  /** Someone's upload: nothing that a browser would show or run. */
  readonly untrusted?: boolean;
  readonly body: Body;
  /** Counts a use of the credential: called when bytes are about to be sent, not for a 304, a HEAD or a refusal. */
  readonly spend?: (() => Promise<void>) | undefined;
  /** Counts a download: called when a GET is answered with all bytes, or with the first of them. */
  readonly countDownload?: (() => void) | undefined;
}

/**
 * Answers a GET or HEAD for which access was decided: 304, 200, 206 or 416, with head and body of small answers in one write.
 * Resolves when everything was handed to the socket; a client that goes away is no error. Gives false, and has sent nothing,
 * if `isCurrent` says that the decision does not hold any more.
 */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  isCurrent: () => boolean = () => true,
  spendOnce: (spend: () => Promise<void>) => Promise<void> = (spend) => spend(),
): Promise<boolean> {
  if (!isCurrent()) return false;
  const { headers } = request;
  const fields = fieldsOf(answer);
  if (matchesETag(headers['if-none-match'], answer.etag)) {
    response.writeHead(304, fields);
    response.end();
    return true;
  }
  const { sizeBytes } = answer.body;
  const asked = admitsRange(headers['if-range'] as string | undefined, answer.etag, answer.modifiedMs)
    ? parseRange(headers.range, sizeBytes)
    : undefined;
  if (asked === 'unsatisfiable') {
    response.writeHead(416, [...fields, 'Content-Range', `bytes */${sizeBytes}`, 'Content-Length', '0']);
    response.end();
    return true;
  }
  const span = asked ?? { start: 0, end: sizeBytes };
  fields.push('Content-Type', answer.contentType, 'Content-Length', String(span.end - span.start));
  if (asked !== undefined) fields.push('Content-Range', `bytes ${span.start}-${span.end - 1}/${sizeBytes}`);
  const { bytes, open } = answer.body;
  // Opened before the head is written: what cannot be read is still a clean error, and takes no use.
  const stream = request.method === 'HEAD' || bytes !== undefined || open === undefined ? undefined : await open(span);
  try {
    if (request.method !== 'HEAD' && answer.spend !== undefined) await spendOnce(answer.spend);
    if (!isCurrent()) {
      stream?.destroy();
      return false;
    }
  } catch (error) {
    stream?.destroy();
    throw error;
  }
  if (span.start === 0 && request.method !== 'HEAD') answer.countDownload?.();
  response.writeHead(asked === undefined ? 200 : 206, fields);
  if (stream === undefined) {
    if (request.method === 'HEAD' || bytes === undefined) response.end();
    else response.end(asked === undefined ? bytes : bytes.subarray(span.start, span.end));
    return true;
  }
  await pipeline(stream, response).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
  return true;
}

/** True for a client that closed its connection before it had everything. */
export function isGone(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET' || code === 'EPIPE';
}

function fieldsOf(answer: Answer): string[] {
  const fields = ['ETag', answer.etag, 'Cache-Control', answer.cacheControl, 'Referrer-Policy', 'no-referrer'];
  fields.push('X-Content-Type-Options', 'nosniff');
  fields.push('Content-Security-Policy', answer.untrusted === true ? INERT_UPLOAD : INERT);
  if (answer.vary !== undefined) fields.push('Vary', answer.vary);
  if (answer.contentEncoding !== undefined) fields.push('Content-Encoding', answer.contentEncoding);
  else fields.push('Accept-Ranges', 'bytes');
  if (answer.modifiedMs !== undefined) fields.push('Last-Modified', new Date(answer.modifiedMs).toUTCString());
  if (answer.untrusted === true) fields.push('Content-Disposition', 'attachment');
  return fields;
}

/** Go on to a place relative to this one: whatever stood before it in the URL, a token included, stays. */
export interface Redirect {
  readonly location: string;
}

/** Answers with a redirect that is not remembered: a package may appear at the address later. */
export function sendRedirect(response: ServerResponse, { location }: Redirect): void {
  response.writeHead(302, [
    'Location',
    location,
    'Cache-Control',
    'no-store',
    'Content-Length',
    '0',
    'Referrer-Policy',
    'no-referrer',
  ]);
  response.end();
}
