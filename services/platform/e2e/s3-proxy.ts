import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a store may do on a bad day. */
export type S3Mood =
  | { readonly kind: 'well' }
  /** Each answer comes so much later. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** Takes connections and says nothing. */
  | { readonly kind: 'silent' }
  /** Refuses what would store something. */
  | { readonly kind: 'refusing'; readonly status: number; readonly code: string };

/** Stands between the product and S3. The signature covers the Host, which goes through as it came. */
export class S3Proxy {
  mood: S3Mood = { kind: 'well' };
  readonly #target: URL;
  readonly #server: Server;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((incoming, outgoing) => void this.#take(incoming, outgoing));
  }

  static async open(endpoint: string): Promise<S3Proxy> {
    const proxy = new S3Proxy(new URL(endpoint));
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { mood } = this;
    incoming.on('error', () => undefined);
    outgoing.on('error', () => undefined);
    if (mood.kind === 'silent') return;
    if (mood.kind === 'slow') await sleep(mood.delayMs);
    if (mood.kind === 'refusing' && (incoming.method === 'PUT' || incoming.method === 'POST')) {
      incoming.resume();
      const body = `<?xml version="1.0"?><Error><Code>${mood.code}</Code><Message>refused by the test</Message></Error>`;
      incoming.on('end', () => outgoing.writeHead(mood.status, { 'Content-Type': 'application/xml' }).end(body));
      return;
    }
    const onward = request({
      hostname: this.#target.hostname,
      port: this.#target.port,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.rawHeaders,
    });
    onward.on('error', () => outgoing.destroy());
    onward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.on('error', () => outgoing.destroy()).pipe(outgoing);
    });
    incoming.pipe(onward);
  }
}
