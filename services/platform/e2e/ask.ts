import { type IncomingHttpHeaders, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { recordAnswer } from './record-answer.js';

export interface Asked {
  readonly method?: string;
  /** `Host` too, unlike with fetch. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | string | undefined;
  /** Sent as it stands, instead of the path of the URL: with dot segments, double slashes and all. */
  readonly rawPath?: string;
}

export interface Answered {
  readonly status: number;
  /** The words after the status. */
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in the order they came, without those that tell the time or belong to the connection. */
  readonly told: readonly string[];
  /** When the head was there, in monotonic milliseconds. */
  readonly headMs: number;
  /** As it came: nothing is decompressed. */
  readonly bytes: Buffer;
  text(): string;
  json<T>(): T;
}

const PASSING_HEADERS = new Set(['date', 'connection', 'keep-alive']);

/** Sends one request on a connection of its own, without redirects, defaults or any tidying of the path, and gives the answer whole. */
export function ask(url: string, asked: Asked = {}): Promise<Answered> {
  const { hostname, port, pathname, search } = new URL(url);
  // As all clients send it: a server may cut a connection that ends with its answer before it has read the whole request.
  const headers = { Connection: 'keep-alive', ...asked.headers } as Record<string, string>;
  if (asked.body !== undefined) headers['Content-Length'] ??= String(Buffer.byteLength(asked.body));
  return new Promise((resolve, reject) => {
    const outgoing = request({
      hostname,
      port,
      path: asked.rawPath ?? pathname + search,
      method: asked.method ?? 'GET',
      headers,
      agent: false,
      timeout: 60_000,
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${hostname}:${port} in 60 s`)));
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const headMs = performance.now();
      buffer(incoming).then((bytes) => {
        const { statusCode = 0, statusMessage = '', headers: heard, rawHeaders } = incoming;
        const pairs = rawHeaders.flatMap((name, at) =>
          at % 2 === 0 && !PASSING_HEADERS.has(name.toLowerCase()) ? [`${name}: ${rawHeaders[at + 1]}`] : [],
        );
        const text = () => bytes.toString('utf8');
        recordAnswer(statusCode, [`${statusCode} ${statusMessage}`, ...pairs], bytes);
        resolve({
          status: statusCode,
          reason: statusMessage,
          headers: heard,
          told: pairs,
          headMs,
          bytes,
          text,
          json: <T>() => JSON.parse(text()) as T,
        });
      }, reject);
    });
    outgoing.end(asked.body);
  });
}

/** The value of an Authorization header for this user name and password. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
