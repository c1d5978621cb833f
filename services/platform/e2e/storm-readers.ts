import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import type { Read } from '@vivarium/testkit/history';
import type { Product } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';
import { HTML, JSON_V1 } from './formats.js';

interface Repodata {
  readonly packages: Readonly<Record<string, unknown>>;
  readonly 'packages.conda': Readonly<Record<string, unknown>>;
}

/** Stops the round: nothing was told, and a client would ask again. */
class Unanswered extends Error {}

const CHANNEL = 'admin';
// Readers must not take the machine from those whom they watch.
const PAUSE_MS = 25;

/** Reads all formats of a channel at one gateway, round after round, as somebody with a token or as a stranger, and keeps what it saw. */
export class StormReader {
  /** What was seen, by what was read: `conda`, `projects`, and each project. */
  readonly seen = new Map<string, Read[]>();
  /** What nobody should have been told. */
  readonly wrong: string[] = [];
  readonly statuses = new Map<string, number>();
  readonly #gateway: string;
  readonly #host: string;
  readonly #place: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #isStranger: boolean;
  /** Shards never change. */
  readonly #shards = new Map<string, readonly string[]>();
  #projects: readonly string[] = [];
  #round = 0;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(product: Product, gateway: string, place: string, token: string | undefined) {
    this.#gateway = gateway;
    this.#host = new URL(product.url).host;
    this.#place = place;
    this.#isStranger = token === undefined;
    this.#headers = token === undefined ? {} : { Authorization: `token ${token}` };
  }

  start(): void {
    this.#running = (async () => {
      while (!this.#isStopped) await this.#once();
    })();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** What each format shows now of one thing. Throws an Error if it is not shown. */
  async all(what: string): Promise<ReadonlyMap<string, readonly string[]>> {
    this.seen.clear();
    this.#projects = [what];
    if (what === 'conda') {
      for (const format of ['json', 'json, gzipped'] as const) await this.#condaJson(format);
      await this.#condaZst();
      await this.#condaShards();
    } else if (what === 'projects') {
      await this.#rootJson();
      await this.#rootHtml();
    } else await this.#page();
    return new Map((this.seen.get(what) ?? []).map(({ format, names }) => [format, names]));
  }

  async #once(): Promise<void> {
    this.#round++;
    const steps = [
      () => this.#condaJson('json'),
      () => this.#condaJson('json, gzipped'),
      () => this.#condaZst(),
      () => this.#condaShards(),
      () => this.#condaJson('json'),
      () => this.#rootJson(),
      () => this.#rootHtml(),
      () => this.#rootJson(),
      () => this.#page(),
    ];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        if (!(error instanceof Unanswered)) this.wrong.push(`${this.#place}: ${error}`);
      }
      await sleep(PAUSE_MS);
    }
  }

  async #condaJson(format: 'json' | 'json, gzipped'): Promise<void> {
    const accept = format === 'json' ? {} : { 'Accept-Encoding': 'gzip' };
    await this.#note('conda', format, async () => {
      const { bytes, headers } = await this.#get(`/conda/${CHANNEL}/noarch/repodata.json`, accept);
      return namesOf(JSON.parse((headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()));
    });
  }

  async #condaZst(): Promise<void> {
    await this.#note('conda', 'zst', async () => {
      const { bytes } = await this.#get(`/conda/${CHANNEL}/noarch/repodata.json.zst`);
      return namesOf(JSON.parse(zstdDecompressSync(bytes).toString()));
    });
  }

  async #condaShards(): Promise<void> {
    const invokedMs = performance.now();
    const { bytes } = await this.#get(`/conda/${CHANNEL}/noarch/repodata_shards.msgpack.zst`);
    // The index is what was seen: the shards that it names never change.
    const returnedMs = performance.now();
    const { shards } = decode(zstdDecompressSync(bytes)) as { shards: Record<string, Uint8Array> };
    const names: string[] = [];
    for (const hash of Object.values(shards)) names.push(...(await this.#shard(Buffer.from(hash).toString('hex'))));
    this.#keep('conda', { format: 'shards', invokedMs, returnedMs, names });
  }

  async #shard(hash: string): Promise<readonly string[]> {
    const known = this.#shards.get(hash);
    if (known !== undefined) return known;
    const { bytes } = await this.#get(`/conda/${CHANNEL}/noarch/shards/${hash}.msgpack.zst`);
    const names = namesOf(decode(zstdDecompressSync(bytes)) as Repodata);
    this.#shards.set(hash, names);
    return names;
  }

  async #rootJson(): Promise<void> {
    await this.#note('projects', 'json', async () => {
      const answered = await this.#get(`/pypi/${CHANNEL}/simple/`, { Accept: JSON_V1 });
      this.#projects = answered.json<{ projects: { name: string }[] }>().projects.map(({ name }) => name);
      return this.#projects;
    });
  }

  async #rootHtml(): Promise<void> {
    await this.#note('projects', 'html', async () =>
      linksIn(await this.#get(`/pypi/${CHANNEL}/simple/`, { Accept: HTML })),
    );
  }

  /** The pages of one project that the root has shown; the next one in the next round. */
  async #page(): Promise<void> {
    const project = this.#projects[this.#round % this.#projects.length];
    if (project === undefined) return;
    const path = `/pypi/${CHANNEL}/simple/${project}/`;
    const json = async () => {
      const answered = await this.#get(path, { Accept: JSON_V1 });
      return answered.json<{ files: { filename: string }[] }>().files.map(({ filename }) => filename);
    };
    await this.#note(project, 'json', json);
    await this.#note(project, 'html', async () => linksIn(await this.#get(path, { Accept: HTML })));
    await this.#note(project, 'json', json);
  }

  async #note(what: string, format: string, look: () => Promise<readonly string[]>): Promise<void> {
    const invokedMs = performance.now();
    const names = await look();
    this.#keep(what, { format, invokedMs, returnedMs: performance.now(), names });
  }

  #keep(what: string, read: Omit<Read, 'place' | 'round'>): void {
    const kept = this.seen.get(what) ?? [];
    kept.push({ ...read, place: this.#place, round: this.#round, mayBeOld: this.#isStranger });
    this.seen.set(what, kept);
  }

  async #get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
    let answered: Answered;
    try {
      answered = await ask(this.#gateway + path, { headers: { Host: this.#host, ...this.#headers, ...headers } });
    } catch (error) {
      // The gateway is dead at the moment, or died over this answer.
      this.#count('none');
      throw new Unanswered(String(error));
    }
    this.#count(String(answered.status));
    if (answered.status === 200) return answered;
    const text = `${path} was answered ${answered.status}: ${answered.text().slice(0, 300)}`;
    if (answered.status === 503 && answered.headers['retry-after'] !== undefined) throw new Unanswered(text);
    throw new Error(text);
  }

  #count(status: string): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
  }
}

function namesOf(repodata: Repodata): readonly string[] {
  return [...Object.keys(repodata.packages), ...Object.keys(repodata['packages.conda'])];
}

function linksIn(answered: Answered): readonly string[] {
  return [...answered.text().matchAll(/<a [^>]*>([^<]*)<\/a>/g)].map(([, name]) => name ?? '');
}
