import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { jest } from '@jest/globals';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { recordSaid } from '@vivarium/testkit/run-record';
import { ask } from './ask.js';
import { condaPackage } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(120_000);

interface Span {
  readonly traceId: string;
  readonly name: string;
  /** Who made it: `@vivarium/gateway`, `@vivarium/rpc`, an instrumentation. */
  readonly scope: string;
}

/** A receiver of traces, in JSON. */
class Receiver {
  readonly spans: Span[] = [];
  /** Everything that was sent, as it was sent. */
  text = '';
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      void buffer(request).then((bytes) => {
        this.#take(bytes.toString('utf8'));
        response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(text: string): void {
    this.text += text;
    recordSaid('spans', 'its own receiver', text);
    const sent = JSON.parse(text) as {
      resourceSpans: { scopeSpans: { scope: { name: string }; spans: { traceId: string; name: string }[] }[] }[];
    };
    for (const { scopeSpans } of sent.resourceSpans) {
      for (const { scope, spans } of scopeSpans) {
        this.spans.push(...spans.map(({ traceId, name }) => ({ traceId, name, scope: scope.name })));
      }
    }
  }

  /** Ids of the traces that hold a span of each of these scopes. */
  tracesThrough(...scopes: readonly string[]): readonly string[] {
    const ids = new Set(this.spans.map(({ traceId }) => traceId));
    return [...ids].filter((id) =>
      scopes.every((scope) => this.spans.some((span) => span.traceId === id && span.scope === scope)),
    );
  }
}

const secrets = new Secrets();
const receiver = new Receiver();
let product: Product;
let token: string;

const GATEWAY = '@vivarium/gateway';
const BUS = '@vivarium/rpc';
const DATABASE = '@opentelemetry/instrumentation-pg';

beforeAll(async () => {
  const endpoint = await receiver.listen();
  product = await startProduct({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '100' } });
  const admin = await Publisher.admin(product, secrets);
  await admin.upload(condaPackage({ name: 'traced', version: '1.0' }));
  token = await admin.makeToken({ name: 'traced', scopes: ['repos'] });
});

afterAll(async () => {
  await product?.stop();
  await receiver.close();
});

it('follows a read from the request over the bus into the database, as one trace', async () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
  const { status } = await ask(`${product.url}/t/${token}/admin/noarch/traced-1.0-0.conda`, { headers });
  expect(status).toBe(200);
  await until(() => receiver.tracesThrough(GATEWAY, BUS, DATABASE).includes(traceId));
  expect(
    receiver.spans.filter((span) => span.traceId === traceId && span.scope === GATEWAY).map(({ name }) => name),
  ).toEqual(['GET conda']);
});

it('follows an upload too', async () => {
  const admin = await Publisher.admin(product, secrets);
  await admin.upload(condaPackage({ name: 'traced', version: '2.0' }));
  await until(() => receiver.spans.some(({ scope, name }) => scope === BUS && name.endsWith('Stages/Commit')));
  const commit = receiver.spans.find(({ scope, name }) => scope === BUS && name.endsWith('Stages/Commit'));
  await until(() => receiver.spans.some((span) => span.traceId === commit?.traceId && span.scope === DATABASE));
});

it('puts no token, password or ticket into a span', async () => {
  await ask(`${product.url}/pypi/t/${token}/admin/simple/`);
  await ask(`${product.url}/conda/admin/noarch/repodata.json`, { headers: { Authorization: `token ${token}` } });
  await sleep(500);
  expect(receiver.text).toContain('traceId');
  expect(secrets.foundIn(receiver.text)).toEqual([]);
  expect(receiver.text).not.toMatch(/\/-\/upload\/[A-Za-z0-9_-]{20}/);
  expect(secrets.foundIn(`${receiver.text}/t/${token}/`)).toEqual(['token traced']);
});

it('tells none of the secrets in its output', () => {
  expect(secrets.toldBy(product)).toEqual([]);
});

async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > deadline) {
      const seen = [...new Set(receiver.spans.map(({ scope, name }) => `${scope} ${name}`))];
      throw new Error(`not after five seconds; seen:\n${seen.join('\n')}`);
    }
    await sleep(50);
  }
}
