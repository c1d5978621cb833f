import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Product } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { JSON_V1 } from './formats.js';
import { type Distribution, Publisher, UploadRefused } from './publisher.js';
import type { Secrets } from './secrets.js';

/** What is there before anything goes wrong, for the readers. */
export const PUBLIC = condaPackage({ name: 'seen-by-all', version: '1.0', sizeBytes: 200_000 });
export const PRIVATE = condaPackage({ name: 'kept-back', version: '1.0', sizeBytes: 200_000 });
const PRIVATE_WHEEL = wheel({ name: 'kept-back-wheel', version: '1.0' });

const UPLOADERS = 4;
const PAUSE_MS = 50;
// Ten tries a minute are all that a login has, and one that nobody could answer counts.
const SIGN_IN_EVERY_MS = 4_000;

interface Reader {
  readonly name: string;
  readonly ask: () => Promise<Answered>;
  /** What is wrong with a 200; undefined if nothing is. */
  readonly fault: (answered: Answered) => string | undefined;
  readonly pauseMs?: number;
}

/** How often something was answered so. */
type Tally = Map<string, number>;

/**
 * People who go on working while something breaks: strangers and holders of a token who read through every gateway, one who
 * signs in, and publishers who repeat what was not acknowledged, as `anaconda upload --skip-existing` run again would.
 */
export class OutageLoad {
  readonly acknowledged: Distribution[] = [];
  /** What no client should have been told. */
  readonly wrong: string[] = [];
  readonly #reads: Tally = new Map();
  readonly #uploads: Tally = new Map();
  readonly #readers: readonly Reader[];
  readonly #lastGood = new Map<string, number>();
  readonly #product: Product;
  readonly #admin: Publisher;
  #slowestMs = 0;
  #isStopped = false;
  #running: Promise<unknown> = Promise.resolve();

  private constructor(product: Product, admin: Publisher, secrets: Secrets, token: string) {
    this.#product = product;
    this.#admin = admin;
    this.#readers = readersOf(product, secrets, token);
  }

  /** Publishes what the readers read, and starts nothing yet. */
  static async prepare(product: Product, admin: Publisher, secrets: Secrets): Promise<() => OutageLoad> {
    await admin.upload(PUBLIC);
    await admin.upload(PRIVATE, { isPrivate: true });
    await admin.upload(PRIVATE_WHEEL, { isPrivate: true });
    const token = await admin.makeToken({ name: `reader ${randomBytes(4).toString('hex')}` });
    return () => new OutageLoad(product, admin, secrets, token);
  }

  start(): void {
    const gateways = this.#product.gateways;
    this.#running = Promise.all([
      ...this.#readers.map((reader) => this.#read(reader)),
      ...Array.from({ length: UPLOADERS }, (_, at) =>
        this.#publish(at, this.#admin.at(gateways[at % gateways.length] ?? '')),
      ),
    ]);
  }

  /** Resolves when every reader and every publisher got what it wanted after this moment. Throws an Error after `withinMs`. */
  async untilWell(withinMs: number): Promise<number> {
    const began = performance.now();
    for (;;) {
      const waiting = [...this.#readers.map(({ name }) => name), ...publisherNames()].filter(
        (name) => (this.#lastGood.get(name) ?? 0) < began,
      );
      if (waiting.length === 0) return performance.now() - began;
      if (performance.now() - began > withinMs) {
        const wrong = this.wrong.slice(-5).join('\n');
        throw new Error(`not well after ${withinMs} ms: ${waiting.join(', ')}\n${this.summary()}\n${wrong}`);
      }
      await sleep(50);
    }
  }

  /** Ends it, each upload that was begun included. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  summary(): string {
    const list = (tally: Tally) =>
      [...tally]
        .toSorted()
        .map(([what, times]) => `${what} ${times}`)
        .join(', ');
    return [
      `reads: ${list(this.#reads)}`,
      `uploads: ${this.acknowledged.length} acknowledged; steps refused: ${list(this.#uploads) || 'none'}`,
      `slowest answer ${Math.round(this.#slowestMs)} ms`,
    ].join(' | ');
  }

  async #read(reader: Reader): Promise<void> {
    const { name, ask: askOnce, fault, pauseMs = PAUSE_MS } = reader;
    while (!this.#isStopped) {
      const began = performance.now();
      try {
        const answered = await askOnce();
        count(this.#reads, String(answered.status));
        const bad = isRetryable(answered.status, answered.headers['retry-after'])
          ? undefined
          : answered.status === 200
            ? fault(answered)
            : answered.text().slice(0, 300);
        if (bad !== undefined) this.wrong.push(`${name} was answered ${answered.status}: ${bad}`);
        else if (answered.status === 200) this.#lastGood.set(name, began);
      } catch (error) {
        // The head was sent before the store went away: a client sees that the body is cut, and asks again.
        const isCut = error instanceof Error && error.message === 'aborted';
        count(this.#reads, isCut ? 'cut' : 'none');
        if (!isCut) this.wrong.push(`${name} got no answer: ${error}`);
      }
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - began);
      await sleep(pauseMs);
    }
  }

  async #publish(at: number, publisher: Publisher): Promise<void> {
    const run = randomBytes(3).toString('hex');
    for (let number = 0; !this.#isStopped; number++) {
      // Every other file is one of a package that is there; the rest are new.
      const name = number % 2 === 0 ? `shared-${at}` : `new-${run}-${at}-${number}`;
      const version = `1.${number}.${Number.parseInt(run, 16)}`;
      const file = (number + at) % 3 === 0 ? wheel({ name: `py-${name}`, version }) : condaPackage({ name, version });
      const began = performance.now();
      if (!(await this.#publishOnce(publisher, file))) return;
      this.acknowledged.push(file);
      this.#lastGood.set(publisherNames()[at] ?? '', began);
      await sleep(PAUSE_MS);
    }
  }

  /** False if it was refused for good. */
  async #publishOnce(publisher: Publisher, file: Distribution): Promise<boolean> {
    for (;;) {
      const began = performance.now();
      try {
        const there = await publisher.call(
          'GET',
          `/dist/${publisher.login}/${file.name}/${file.version}/${file.basename}`,
        );
        if (there.status === 200) return true;
        if (there.status !== 404)
          throw new UploadRefused('GET /dist', there.status, there.text(), there.headers['retry-after']);
        await publisher.upload(file);
        return true;
      } catch (error) {
        this.#slowestMs = Math.max(this.#slowestMs, performance.now() - began);
        const [status, step] =
          error instanceof UploadRefused ? [error.status, error.step.split('/')[1] ?? error.step] : [0, String(error)];
        count(this.#uploads, `${step} ${status}`);
        if (!(error instanceof UploadRefused) || !isRetryable(status, error.retryAfter)) {
          this.wrong.push(`the upload of ${file.basename} was answered: ${error}`);
          return false;
        }
      }
      await sleep(1_000);
    }
  }
}

function publisherNames(): readonly string[] {
  return Array.from({ length: UPLOADERS }, (_, at) => `publisher ${at + 1}`);
}

function isRetryable(status: number, retryAfter: string | undefined): boolean {
  return status === 503 && /^\d+$/.test(retryAfter ?? '');
}

function readersOf(product: Product, secrets: Secrets, token: string): readonly Reader[] {
  const { host } = new URL(product.url);
  const [publicName, privateName] = [PUBLIC, PRIVATE].map(({ basename }) => basename.replace('noarch/', ''));
  const own = { Authorization: `token ${token}` };
  const names = (answered: Answered) => Object.keys(answered.json<{ 'packages.conda': object }>()['packages.conda']);
  const same = (wanted: Uint8Array) => (answered: Answered) =>
    answered.bytes.equals(wanted) ? undefined : 'other bytes';
  const readers: Reader[] = [];
  for (const [at, gateway] of product.gateways.entries()) {
    const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
      ask(gateway + path, { headers: { Host: host, ...headers } });
    const add = (name: string, askOnce: () => Promise<Answered>, fault: Reader['fault']) =>
      readers.push({ name: `${name} at gateway ${at + 1}`, ask: askOnce, fault });
    add(
      'an owner reading repodata',
      () => get('/conda/admin/noarch/repodata.json', own),
      (answered) => (names(answered).includes(privateName ?? '') ? undefined : 'only what strangers see'),
    );
    add(
      'an owner reading compressed repodata',
      () => get(`/t/${token}/admin/noarch/repodata.json.zst`),
      (answered) => (answered.bytes.length > 100 ? undefined : 'next to nothing'),
    );
    add('an owner downloading', () => get(`/conda/admin/${PRIVATE.basename}`, own), same(PRIVATE.bytes));
    add(
      'an owner reading a page',
      () => get('/pypi/admin/simple/kept-back-wheel/', { ...own, Accept: JSON_V1 }),
      (answered) => (answered.text().includes(PRIVATE_WHEEL.sha256) ? undefined : 'a page without its file'),
    );
    add(
      'an owner asking the API',
      () => get('/api/package/admin/kept-back', own),
      (answered) => (answered.json<{ name: string }>().name === 'kept-back' ? undefined : answered.text()),
    );
    add(
      'a stranger reading repodata',
      () => get('/conda/admin/noarch/repodata.json'),
      (answered) => {
        const seen = names(answered);
        if (seen.includes(privateName ?? '')) return 'what is private';
        return seen.includes(publicName ?? '') ? undefined : 'nothing of what is public';
      },
    );
    add('a stranger downloading', () => get(`/conda/admin/${PUBLIC.basename}`), same(PUBLIC.bytes));
  }
  readers.push({
    name: 'a person signing in',
    pauseMs: SIGN_IN_EVERY_MS,
    ask: async () => {
      const answered = await signIn(product);
      if (answered.status === 200) secrets.keep('a sign-in', answered.json<{ token: string }>().token);
      return answered;
    },
    fault: () => undefined,
  });
  return readers;
}

function signIn(product: Product): Promise<Answered> {
  const { login, password } = product.admin;
  return ask(`${product.api}/authentications`, {
    method: 'POST',
    headers: {
      Authorization: `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({ scopes: null, note: `sign-in ${randomBytes(6).toString('hex')}`, 'fail-if-exists': true }),
  });
}

function count(tally: Tally, what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}
