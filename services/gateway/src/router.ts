import 'reflect-metadata';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { type Log, nestLog } from '@vivarium/boot/log';
import { type Fault, faultOf, isFault } from '@vivarium/fault/fault';
import { redactTokens } from '@vivarium/token/redact';
import express from 'express';
import { checkPath, checkQuery } from './anaconda/place.js';
import { arrivalOf } from './arrival.js';
import { inEvenTime } from './even-time.js';
import { type Dialect, faultAnswerOf, sendFault } from './fault-http.js';
import type { GatewayPorts, Router } from './gateway.js';
import { INERT } from './inert.js';
import { noSuchPage } from './listener.js';
import { gatewayModule } from './module.js';
import { type Route, routesOf } from './routes.js';
import { isGone } from './send.js';
import { drain } from './uploads-drain.js';
import { faultPageOf, wantsPage } from './web/fault-page.js';

export interface OpenRouter {
  readonly router: Router;
  /** Everything that it answers. */
  readonly routes: readonly Route[];
  close(): Promise<void>;
}

/** Opens Nest's router, which answers all that is no read of an index or artifact. It listens nowhere by itself. */
export async function openRouter(ports: GatewayPorts): Promise<OpenRouter> {
  const instance = express();
  // Set before the first route: Express reads them once. Two spellings of one address would be two ways past a rule.
  instance.set('case sensitive routing', true);
  instance.disable('x-powered-by');
  instance.disable('etag');
  const app = await NestFactory.create(gatewayModule(ports), new ExpressAdapter(instance), {
    // Bodies are read by the routes, each with its own limit.
    bodyParser: false,
    logger: nestLog(ports.log),
    abortOnError: false,
  });
  const faults = new Faults(ports.log);
  app.useGlobalFilters(faults);
  await app.init();
  return {
    router: (request, response) => {
      try {
        route(request, response, instance);
      } catch (error) {
        faults.answer(error, request, response);
      }
    },
    routes: routesOf(instance),
    close: () => app.close(),
  };
}

function route(request: IncomingMessage, response: ServerResponse, app: express.Express): void {
  checkPath(pathOf(request));
  checkQuery((request.url ?? '').slice(pathOf(request).length));
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Referrer-Policy', 'no-referrer');
  response.setHeader('Content-Security-Policy', INERT);
  if (request.method === 'OPTIONS') {
    // The same for every address: it must not tell what exists.
    response.writeHead(204, { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' });
    response.end();
    drain(request);
    return;
  }
  app(request, response);
}

/** The one place where an error becomes an answer, in the dialect of the client that speaks to the route. */
@Catch()
class Faults implements ExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<IncomingMessage>(), http.getResponse<ServerResponse>());
  }

  answer(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    if (isGone(error)) {
      response.destroy();
      return;
    }
    const fault = faultIn(error, request);
    // What a service failed at was logged there, with its cause.
    if (fault.code === 'internal' && fault.cause !== undefined) this.log.error({ error }, 'an API request failed');
    const { target, atMs } = arrivalOf(request);
    const answer = wantsPage(request) ? faultPageOf(fault) : faultAnswerOf(fault, dialectOf(request), target.family);
    inEvenTime(fault, atMs, () => {
      sendFault(response, answer, request.method);
      drain(request);
    });
  }
}

/** Nest says in its own way that no route fits. */
function faultIn(error: unknown, request: IncomingMessage): Fault {
  if (!isFault(error) && error instanceof HttpException && error.getStatus() === 404) {
    return noSuchPage(redactTokens(pathOf(request)));
  }
  return faultOf(error);
}

function dialectOf(request: IncomingMessage): Dialect {
  const path = pathOf(request);
  if (path.startsWith('/api/-/upload/')) return 'storage';
  if (path === '/api' || path.startsWith('/api/')) return 'anaconda';
  return path.startsWith('/pypi/') ? 'form-upload' : 'problem';
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/';
}
