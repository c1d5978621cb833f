import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { faultOf } from '@vivarium/fault/fault';

/** One thing that must answer before a role takes work. Throws if it does not. */
export interface HealthCheck {
  readonly name: string;
  readonly check: () => Promise<void>;
}

const CHECK_LIMIT_MS = 2_000;

/** `GET /health/live` (the process answers) and `GET /health/ready` (it may be sent work). */
export class Health {
  #checks: readonly HealthCheck[] = [];
  #ready = false;

  /** From now on readiness is a matter of these checks; before, and after `drain`, it is a plain no. */
  begin(checks: readonly HealthCheck[]): void {
    this.#checks = checks;
    this.#ready = true;
  }

  drain(): void {
    this.#ready = false;
  }

  /** Answers the two addresses; false for any other. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const path = request.url?.split('?')[0];
    if (path === '/health/live') {
      reply(response, 200, { status: 'live' });
      return true;
    }
    if (path !== '/health/ready') return false;
    void this.#readiness().then(({ status, body }) => reply(response, status, body));
    return true;
  }

  async #readiness(): Promise<{ status: number; body: unknown }> {
    if (!this.#ready) return { status: 503, body: { status: 'starting or stopping' } };
    const waiting = (await Promise.all(this.#checks.map(failing))).filter((line) => line !== undefined);
    return waiting.length === 0
      ? { status: 200, body: { status: 'ready' } }
      : { status: 503, body: { status: 'waiting', waiting } };
  }
}

/** A server for roles that have no other: health only. */
export function healthServer(health: Health): Server {
  return createServer((request, response) => {
    if (!health.answer(request, response))
      reply(response, 404, { error: 'only /health/live and /health/ready are here' });
  });
}

async function failing({ name, check }: HealthCheck): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`${name}: no answer in ${CHECK_LIMIT_MS} ms`), CHECK_LIMIT_MS);
  });
  try {
    return await Promise.race([check().then(() => undefined), late]);
  } catch (error) {
    return `${name}: ${faultOf(error).message}`;
  } finally {
    clearTimeout(timer);
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(text)),
    'Cache-Control': 'no-store',
  });
  response.end(text);
}
