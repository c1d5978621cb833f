import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Health } from '@vivarium/boot/health';
import type { RolePorts } from '@vivarium/boot/ports';
import { Fault, faultOf } from '@vivarium/fault/fault';
import { type Conda, looksLikeConda } from './conda.js';
import { credentialOf } from './credential.js';
import type { IsCurrent } from './currency.js';
import { inEvenTime } from './even-time.js';
import { faultAnswerOf, sendFault } from './fault-http.js';
import { countRequest } from './metrics.js';
import type { Peer } from './peer.js';
import type { Pypi } from './pypi.js';
import type { ReadRequest } from './read-request.js';
import { inRequestSpan } from './request-span.js';
import { type Answer, isGone, type Redirect, send, sendRedirect } from './send.js';
import { parseTarget, type Target } from './target.js';

export interface ListenerParts {
  readonly ports: RolePorts;
  readonly conda: Conda;
  readonly pypi: Pypi;
  readonly peer: Peer;
  readonly health: Health;
  /** Begins to watch for news, before a decision. */
  readonly watch: () => IsCurrent;
  /** Everything that is no read of an index or artifact: Nest's router. It gets the target as it was read here. */
  readonly others: (request: IncomingMessage, response: ServerResponse, target: Target) => void;
}

/**
 * The listener in front of Nest's router. Reads of indexes and artifacts, which are nearly all requests, are answered here;
 * the rest goes on. The token is cut from the URL before anything else happens.
 */
export function createListener(parts: ListenerParts): RequestListener {
  return (request, response) => {
    // A probe asks by an address that no client knows, so its Host says nothing.
    if (request.url?.startsWith('/health/') && parts.health.answer(request, response)) return;
    let target: Target;
    try {
      const { hosts } = parts.ports.config;
      target = parseTarget(parts.peer.hostOf(request), request.url ?? '', hosts);
    } catch (error) {
      request.url = '/';
      sendFault(response, faultAnswerOf(faultOf(error), 'problem', 'web'), request.method);
      return;
    }
    request.url = target.path + target.query;
    const startedMs = performance.now();
    response.once('close', () => countRequest(target.family, request.method, response.statusCode, startedMs));
    const reads = readsOf(request, target);
    inRequestSpan(reads ?? target.family, request, response, () => {
      if (reads === undefined) parts.others(request, response, target);
      else void answer(parts, reads, request, response, target, startedMs);
    });
  };
}

type Reads = 'conda' | 'pypi';

const TRIES = 5;

function readsOf(request: IncomingMessage, { family, path, pathToken }: Target): Reads | undefined {
  if (request.method !== 'GET' && request.method !== 'HEAD') return undefined;
  if (family === 'conda' || family === 'pypi') return family;
  if (family === 'web' && pathToken === undefined && looksLikeConda(path)) return 'conda';
  return undefined;
}

async function answer(
  parts: ListenerParts,
  reads: Reads,
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  startedMs: number,
): Promise<void> {
  try {
    const read = readRequestOf(parts, request, response, target);
    const spendOnce = once();
    // Whatever was waited for, something may have been revoked or hidden meanwhile: then it is decided again.
    for (let tries = 1; ; tries++) {
      const isCurrent = parts.watch();
      const found: Answer | Redirect | Promise<Answer | Redirect> =
        reads === 'conda' ? parts.conda.answer(read) : parts.pypi.answer(read);
      const ready = found instanceof Promise ? await found : found;
      if ('location' in ready) return sendRedirect(response, ready);
      if (await send(request, response, ready, isCurrent, spendOnce)) return;
      if (tries === TRIES) throw new Fault('unavailable', 'This is changing too fast to be read. Try again.');
    }
  } catch (error) {
    refuse(parts, reads, error, request, response, startedMs);
  }
}

/** However often it is decided, one request is one use. */
function once(): (spend: () => Promise<void>) => Promise<void> {
  let isSpent = false;
  return async (spend) => {
    if (isSpent) return;
    await spend();
    isSpent = true;
  };
}

function readRequestOf(
  parts: ListenerParts,
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
): ReadRequest {
  const { headers } = request;
  const { authorization, cookie, accept } = headers;
  const encoding = headers['accept-encoding'];
  return {
    path: target.path,
    credential: credentialOf({ pathToken: target.pathToken, authorization, cookie }, 'repository'),
    address: parts.peer.addressOf(request),
    accept,
    acceptsGzip:
      typeof encoding === 'string' &&
      /(^|[\s,])gzip($|[\s,;])/.test(encoding) &&
      !/gzip\s*;\s*q=0(\.0*)?($|[\s,])/.test(encoding),
    format: target.query === '' ? undefined : (new URLSearchParams(target.query).get('format') ?? undefined),
    head: response,
  };
}

function refuse(
  parts: ListenerParts,
  reads: Reads,
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  startedMs: number,
): void {
  if (isGone(error)) return;
  const fault = faultOf(error);
  if (fault.code === 'internal') parts.ports.log.error({ error }, 'a read failed');
  // Asking for the upload address with GET is a wrong method, not a wrong value.
  inEvenTime(fault, startedMs, () => sendFault(response, faultAnswerOf(fault, 'problem', reads), request.method));
}

/** For the router: a path that nothing serves. */
export function noSuchPage(path: string): Fault {
  return new Fault('not_found', `There is nothing at ${path.slice(0, 200)}.`);
}
