// Before the first spec of a run: a place for the record of the run, and a receiver of traces whose address the products
// get. The record holds secrets of the run's own products, which end with it; so does the record, unless VIVARIUM_RECORD
// names the one of whoever started this run.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

export default async function begin() {
  const given = process.env.VIVARIUM_RECORD ?? '';
  const folder = given === '' ? mkdtempSync(join(tmpdir(), 'vivarium-record-')) : given;
  const spans = new Spans(join(folder, 'spans.ndjson'));
  process.env.VIVARIUM_RECORD = folder;
  process.env.VIVARIUM_RECORD_SPANS = await spans.listen();
  // For the other end of the run, which is in the same process.
  globalThis.endVivariumRecord = async () => {
    await spans.close();
    if (given === '') rmSync(folder, { recursive: true, force: true });
  };
}

/** Takes traces in JSON, and keeps each text in them once: ids and times apart, traces say the same thing all the time. */
class Spans {
  #file;
  #known = new Set();
  #server = createServer(async (request, response) => {
    try {
      this.#take(JSON.parse((await buffer(request)).toString('utf8')));
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    } catch {
      response.writeHead(400).end();
    }
  });

  constructor(file) {
    this.#file = file;
  }

  listen() {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${this.#server.address().port}`));
    });
  }

  close() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  #take(value, key = '') {
    if (typeof value === 'string') this.#keep(value, key);
    else if (typeof value === 'object' && value !== null) {
      for (const [name, each] of Object.entries(value)) this.#take(each, Array.isArray(value) ? key : name);
    }
  }

  #keep(text, key) {
    if (text.length < 8 || /Id$|UnixNano$/.test(key) || this.#known.has(text)) return;
    this.#known.add(text);
    appendFileSync(this.#file, `${JSON.stringify({ source: key, text })}\n`);
  }
}
