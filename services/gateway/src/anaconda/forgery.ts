import type { IncomingMessage } from 'node:http';
import { Fault } from '@vivarium/fault/fault';
import type { Credential } from '../credential.js';

const SAFE: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Browsers add cookies and remembered passwords by themselves, to requests that another site's page makes too. So a change
 * by cookie must carry a header that only our own pages can add, or come from our own origin; a password must at least not
 * come from another one. Throws Fault('forbidden').
 */
export function refuseForgery(request: IncomingMessage, credential: Credential, publicUrl: string): void {
  if (SAFE.has(request.method)) return;
  if (credential.kind !== 'session' && credential.kind !== 'password') return;
  const { origin } = request.headers;
  const isOurs = origin === new URL(publicUrl).origin;
  if (isOurs || (origin === undefined && credential.kind === 'password')) return;
  if (credential.kind === 'session' && request.headers['x-vivarium-csrf'] === '1') return;
  throw new Fault(
    'forbidden',
    'A change by a browser session must come from our own pages, or carry the header "X-Vivarium-CSRF: 1".',
  );
}
