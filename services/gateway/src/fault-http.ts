import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Fault, FaultCode } from '@vivarium/fault/fault';
import { redactTokens } from '@vivarium/token/redact';
import { INERT } from './inert.js';
import { RateLimited } from './rate-limit.js';
import type { Family } from './target.js';
import { UnknownHost } from './target.js';

/** How each way of failing is told over HTTP, for every dialect. */
const STATUS: Readonly<Record<FaultCode, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  rate_limited: 429,
  unavailable: 503,
  internal: 500,
};

export function statusOf(fault: Fault): number {
  return fault instanceof UnknownHost ? 421 : STATUS[fault.code];
}

export type Dialect =
  /** Reads by conda and Python clients: problem+json, which conda and uv show. */
  | 'problem'
  /** The `anaconda` client reads one key, `error`. */
  | 'anaconda'
  /** The upload of bytes to a ticket: XML, as the client expects of an object store. */
  | 'storage'
  /** twine and uv: the reason phrase, and JSON of exactly this content type. */
  | 'form-upload';

export interface FaultAnswer {
  readonly status: number;
  /** For the status line, where twine, poetry and pdm look. Latin-1, one line. */
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answer that tells a fault in a client's dialect. */
export function faultAnswerOf(fault: Fault, dialect: Dialect, family: Family): FaultAnswer {
  const status = statusOf(fault);
  const headers: Record<string, string> = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': INERT,
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
  };
  if (status === 401) headers['WWW-Authenticate'] = challengeOf(family);
  if (status === 503 || status === 429) {
    headers['Retry-After'] = String(fault instanceof RateLimited ? fault.retryAfterSeconds : 2);
  }
  const title = STATUS_CODES[status] ?? 'Error';
  const { type, body } = bodyOf(fault, dialect, status, title);
  headers['Content-Type'] = type;
  headers['Content-Length'] = String(Buffer.byteLength(body));
  return { status, reason: dialect === 'form-upload' ? phraseOf(sayable(fault)) : title, headers, body };
}

/** The message of a fault without tokens: it names what was asked for, and a token may stand anywhere in an address. */
export function sayable({ message }: Fault): string {
  return redactTokens(message);
}

/** Sends it; a HEAD gets the same head. */
export function sendFault(response: ServerResponse, answer: FaultAnswer, method: string | undefined): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(answer.status, answer.reason, answer.headers);
  response.end(method === 'HEAD' ? undefined : answer.body);
}

function bodyOf(fault: Fault, dialect: Dialect, status: number, title: string): { type: string; body: string } {
  const [message, code] = [sayable(fault), fault.code];
  switch (dialect) {
    case 'problem':
      return {
        type: 'application/problem+json',
        // `reason` and `message` are what older conda prints.
        body: JSON.stringify({ type: 'about:blank', title, status, detail: message, code, reason: title, message }),
      };
    case 'anaconda':
      return { type: 'application/json', body: JSON.stringify({ error: message, code }) };
    case 'storage':
      return {
        type: 'application/xml',
        body: `<Error><Code>${storageCode(fault)}</Code><Message>${escapeXml(message)}</Message></Error>`,
      };
    case 'form-upload':
      return { type: 'application/json', body: JSON.stringify({ message, code: `${status} ${message}`, title }) };
    default:
      return dialect satisfies never;
  }
}

function challengeOf(family: Family): string {
  // pip, uv and twine know Basic; conda and the API know a bearer of a token. The API and the pages never offer Basic: a
  // browser would remember it and add it to what other sites' pages send.
  if (family === 'api' || family === 'web') return 'Bearer realm="vivarium"';
  return family === 'pypi' ? 'Basic realm="vivarium"' : 'Bearer realm="vivarium", Basic realm="vivarium"';
}

/** The `anaconda` client shows its own sentence for a wrong digest, by this code. */
function storageCode(fault: Fault): string {
  if (fault.code === 'invalid' && /md5|checksum|sha256/i.test(fault.message)) return 'InvalidDigest';
  return fault.code === 'too_large' ? 'EntityTooLarge' : fault.code === 'forbidden' ? 'AccessDenied' : 'InvalidRequest';
}

function escapeXml(text: string): string {
  return text.replace(/[<>&"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

function phraseOf(message: string): string {
  return message.replace(/[^\x20-\x7e]/g, '?').slice(0, 300);
}
