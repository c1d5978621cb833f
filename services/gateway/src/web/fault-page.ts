import type { IncomingMessage } from 'node:http';
import type { Fault } from '@vivarium/fault/fault';
import { arrivalOf } from '../arrival.js';
import { type FaultAnswer, faultAnswerOf, sayable } from '../fault-http.js';
import { html } from './html.js';
import { PAGE_HEADERS, pageOf } from './page.js';

/** True for a browser that looks at one of our pages. Programs that ask there get JSON, as everywhere. */
export function wantsPage(request: IncomingMessage): boolean {
  const { family } = arrivalOf(request).target;
  return family === 'web' && /(^|,)\s*text\/html\s*(;|,|$)/i.test(request.headers.accept ?? '');
}

/** A fault as a small page, made of the fault alone: what is hidden and what is missing must not look different. */
export function faultPageOf(fault: Fault): FaultAnswer {
  const { status, reason, headers } = faultAnswerOf(fault, 'problem', 'web');
  const hint =
    fault.code === 'unauthenticated'
      ? html`<p>To sign in, make a token and send it with the request; <a href="/#token">the first page</a> shows how.</p>`
      : html`<p><a href="/">Go to the first page.</a></p>`;
  const body = pageOf(reason, html`<p>${sayable(fault)}</p>\n${hint}`);
  // Not Basic: a browser would keep what is typed then, and add it to requests that other sites make it send.
  const challenge = status === 401 ? { 'WWW-Authenticate': 'Bearer realm="vivarium"' } : {};
  const length = { 'Content-Length': String(Buffer.byteLength(body)) };
  return { status, reason, headers: { ...headers, ...PAGE_HEADERS, ...challenge, ...length }, body };
}
