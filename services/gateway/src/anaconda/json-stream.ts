import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isGone } from '../send.js';

/** One answer of a service that gives a list in parts, and how to get the next. */
export interface Page<T> {
  readonly rows: readonly T[];
  readonly next: (() => Promise<Page<T>>) | undefined;
}

/**
 * Answers 200 with a JSON array of all rows, between `before` and `after`. Pages are asked for as fast as the client
 * reads, so that a long list takes no more memory than a short one. The first page is there already: what fails before it
 * is a clean error, what fails later cuts the connection.
 */
export async function sendRows<T>(
  response: ServerResponse,
  first: Page<T>,
  around: { readonly before: string; readonly after: string } = { before: '', after: '' },
): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/json' });
  await pipeline(Readable.from(textOf(first, around)), response).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
}

/** Answers 200 with one JSON object a line, asking for pages as `sendRows` does. */
export async function sendLines<T>(response: ServerResponse, first: Page<T>): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'application/jsonl' });
  await pipeline(Readable.from(linesOf(first)), response).catch((error: unknown) => {
    if (!isGone(error)) throw error;
  });
}

async function* linesOf<T>(first: Page<T>): AsyncGenerator<string> {
  for (let page: Page<T> | undefined = first; page !== undefined; page = await page.next?.()) {
    if (page.rows.length > 0) yield page.rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  }
}

async function* textOf<T>(first: Page<T>, around: { before: string; after: string }): AsyncGenerator<string> {
  let separator = `${around.before}[`;
  for (let page: Page<T> | undefined = first; page !== undefined; page = await page.next?.()) {
    const rows = page.rows.map((row) => JSON.stringify(row));
    if (rows.length === 0) continue;
    yield `${separator}${rows.join(',')}`;
    separator = ',';
  }
  yield `${separator === ',' ? '' : separator}]${around.after}`;
}
