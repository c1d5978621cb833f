import { Agent, type IncomingMessage, request } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Answer {
  readonly status: number;
  /** Names and values in turn, as they came. */
  readonly rawFields: readonly string[];
  readonly etag: string | undefined;
  readonly body: Buffer;
  /** `performance.now()` when the last byte of the body of the request was handed to the socket. */
  readonly sentAt: number;
  /** `performance.now()` when the head of the answer was there. */
  readonly headAt: number;
  /** `performance.now()` when the last byte of the answer was there. */
  readonly receivedAt: number;
}

export interface Ask {
  readonly method?: string;
  readonly fields?: Readonly<Record<string, string>>;
  /** What to send: bytes, or a stream whose length stands in the fields. */
  readonly body?: Uint8Array | Readable;
}

// One connection that is kept for each thing that happens at the same time, as a client has it.
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const PATIENCE_MS = 30 * 60_000;

/** Sends a request and reads the whole answer, whatever its status. Throws an Error if there is none. */
export async function fetchWhole(url: string, { method = 'GET', fields = {}, body }: Ask = {}): Promise<Answer> {
  const length = body instanceof Uint8Array ? { 'Content-Length': String(body.byteLength) } : {};
  const asked = request(url, { method, agent, headers: { ...length, ...fields }, timeout: PATIENCE_MS });
  const answered = new Promise<{ response: IncomingMessage; headAt: number }>((resolve, reject) => {
    asked.on('response', (response) => resolve({ response, headAt: performance.now() }));
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error(`no answer from ${method} ${new URL(url).pathname}`)));
  });
  // Awaited below; a server that refuses early must not be an unhandled rejection meanwhile.
  answered.catch(() => undefined);
  const sentAt = await send(asked, body);
  const { response, headAt } = await answered;
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part);
  return {
    status: response.statusCode ?? 0,
    rawFields: response.rawHeaders,
    etag: response.headers.etag,
    body: Buffer.concat(parts),
    sentAt,
    headAt,
    receivedAt: performance.now(),
  };
}

async function send(asked: ReturnType<typeof request>, body: Ask['body']): Promise<number> {
  if (body === undefined || body instanceof Uint8Array) {
    await new Promise<void>((resolve) => {
      asked.on('error', () => resolve());
      asked.end(body, () => resolve());
    });
  } else {
    await pipeline(body, asked).catch(() => undefined);
  }
  return performance.now();
}
