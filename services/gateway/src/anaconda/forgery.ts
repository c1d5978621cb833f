import type { IncomingMessage } from 'node:http';
import { Fault } from '@vivarium/fault/fault';
import type { Credential } from '../credential.js';
import { type JsonBody, readJson } from './json-body.js';

const SAFE: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Browsers add cookies and what they remember of Basic by themselves, to requests that another site's page makes too. So a
 * change by cookie must carry a header that only our own pages can add, or come from our own origin; one by Basic, be it
 * a password or a token, must at least not come from another one. Throws Fault('forbidden').
 */
export function refuseForgery(request: IncomingMessage, credential: Credential, publicUrl: string): void {
  if (SAFE.has(request.method)) return;
  const { origin, authorization = '' } = request.headers;
  const isByBasic = /^basic /i.test(authorization);
  if (credential.kind === 'none' || (credential.kind === 'token' && !isByBasic)) return;
  const isOurs = origin === new URL(publicUrl).origin;
  if (isOurs || (origin === undefined && credential.kind !== 'session')) return;
  if (credential.kind === 'session' && request.headers['x-vivarium-csrf'] === '1') return;
  throw new Fault(
    'forbidden',
    'A change by a browser session must come from our own pages, or carry the header "X-Vivarium-CSRF: 1".',
  );
}

/**
 * A body of JSON with a login and password in it, which no other site may have made a browser send: signing a visitor in, or
 * up, as somebody else is a forgery too, and a form of another site cannot send this type. Throws Fault('invalid'),
 * Fault('forbidden').
 */
export async function readOwnJson(request: IncomingMessage, publicUrl: string): Promise<JsonBody> {
  if (!/^application\/json($|[ ;])/i.test(request.headers['content-type'] ?? '')) {
    throw new Fault('invalid', 'Send login and password as application/json.');
  }
  const body = await readJson(request);
  refuseForgery(request, { kind: 'password', login: '', password: '' }, publicUrl);
  return body;
}
