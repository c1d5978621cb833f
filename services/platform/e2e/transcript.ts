import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type BuiltFile } from '@vivarium/testkit/builders';
import { type Answered, ask, basic } from './ask.js';
import { formOf } from './publisher.js';

/** One command of a client, as the requests that it makes: made from recordings of the real ones. */
export interface Run {
  readonly client: string;
  /** What its user typed. */
  readonly run: string;
  readonly requests: readonly Exchange[];
}

/** A request of a client and what the client needs of its answer. */
export interface Exchange {
  readonly method: string;
  /** Below the root of the API, or `{post_url}`: where the last ticket sends. */
  readonly path: string;
  /** The credential; none unless given. */
  readonly as?: 'token' | 'password';
  readonly body?: unknown;
  /** The file that is sent as a form. */
  readonly file?: string;
  /** `nameless`: the part of the file has neither name nor type. */
  readonly form?: 'nameless';
  /** Or several that the client takes. */
  readonly status: number | readonly number[];
  /** Paths of keys that must be there: `a.b`; `a[].b` in each item of a list that is not empty. */
  readonly reply?: readonly string[];
}

/** The recorded runs, in an order in which each finds what it needs. `rename` makes up for what this machine cannot make. */
export function recordedRuns(rename: (text: string) => string = (text) => text): readonly Run[] {
  const text = readFileSync(new URL('./data/anaconda-transcript.jsonl', import.meta.url), 'utf8');
  return rename(text)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Run);
}

export interface Scene {
  readonly api: string;
  readonly login: string;
  readonly password: string;
  /** By the name under which they are sent. */
  readonly files: ReadonlyMap<string, BuiltFile>;
}

interface Ticket {
  readonly post_url: string;
  readonly form_data: Readonly<Record<string, string>>;
  readonly dist_id: string;
}

/** Sends recorded requests with the token and the ticket that the answers before gave, and says what a client would miss. */
export class Replay {
  #token = '';
  #ticket: Ticket | undefined;

  constructor(readonly scene: Scene) {}

  /** Complaints about the answers of one run; none if the client would have been served. Stops at the first answer that is wrong. */
  async complaints({ client, requests }: Run): Promise<readonly string[]> {
    for (const [at, exchange] of requests.entries()) {
      const answered = await this.#send(client, exchange);
      const wrong = complaintsOf(exchange, answered);
      if (wrong.length > 0) return [`${at + 1}. ${exchange.method} ${exchange.path}`, ...wrong];
      this.#remember(exchange, answered);
    }
    return [];
  }

  #send(client: string, exchange: Exchange): Promise<Answered> {
    const { method, path, as, body, file } = exchange;
    const agent = headersOf(client);
    const credential: Record<string, string> =
      as === undefined ? {} : { Authorization: as === 'token' ? `token ${this.#token}` : this.#basic() };
    if (file !== undefined) return this.#sendFile(exchange, file, { ...agent, ...credential });
    // As the client: the type is said with and without a body, and a request that may have one says that it is empty.
    const text = body === undefined ? (method === 'GET' || method === 'HEAD' ? undefined : '') : this.#fill(exchange);
    return ask(this.scene.api, {
      method,
      // The root has no slash at its end.
      rawPath: path === '/' ? '/api' : `/api${path}`,
      headers: { ...agent, 'Content-Type': 'application/json', Accept: 'application/json', ...credential },
      ...(text === undefined ? {} : { body: text }),
    });
  }

  #sendFile({ form, method }: Exchange, file: string, headers: Record<string, string>): Promise<Answered> {
    const { bytes } = this.#built(file);
    const ticket = this.#ticket;
    if (ticket === undefined) throw new Error(`no ticket for ${file}`);
    const { boundary, body } =
      form === 'nameless' ? namelessForm(ticket.form_data, bytes) : formOf(ticket.form_data, file, bytes);
    return ask(ticket.post_url, {
      method,
      headers: { ...headers, 'Content-Type': `multipart/form-data; boundary=${boundary}` },
      body,
    });
  }

  #basic(): string {
    return basic(this.scene.login, this.scene.password);
  }

  #fill({ path, body }: Exchange): string {
    return JSON.stringify(body, (_, value: unknown) => {
      if (value === '{api}') return this.scene.api;
      if (value === '{dist_id}') return this.#ticket?.dist_id;
      return value === '{sha256}' ? this.#built(decodeURIComponent(path)).sha256 : value;
    });
  }

  #built(path: string): BuiltFile {
    const found = [...this.scene.files].find(([name]) => path === name || path.endsWith(`/${name}`));
    if (found === undefined) throw new Error(`no file is made for ${path}`);
    return found[1];
  }

  #remember({ method, path, body }: Exchange, answered: Answered): void {
    if (answered.status !== 200 || method !== 'POST') return;
    // Tokens that are made on the side are printed, not kept.
    const isLogin = path === '/authentications' && String((body as { note?: string }).note).includes('client:');
    if (isLogin) this.#token = answered.json<{ token: string }>().token;
    if (path.startsWith('/stage/')) this.#ticket = answered.json<Ticket>();
  }
}

function headersOf(client: string): Record<string, string> {
  const version = { 'anaconda 1.11': '1.11.3', 'rattler-build': '1.12.2' }[client] ?? '1.14.2';
  const agent =
    client === 'rattler-build' ? 'rattler-build/0.73.0' : `Anaconda-Client/${version} (+https://anaconda.org)`;
  return { 'User-Agent': agent, 'x-binstar-api-version': version };
}

/** As rattler sends it. */
function namelessForm(fields: Readonly<Record<string, string>>, bytes: Uint8Array) {
  const boundary = randomBytes(16).toString('hex');
  const part = (name: string) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n`;
  const head = Object.entries(fields).map(([name, value]) => `${part(name)}${value}\r\n`);
  return {
    boundary,
    body: Buffer.concat([Buffer.from(head.join('') + part('file')), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

/** What the client would stumble over. */
export function complaintsOf({ method, path, status, reply }: Exchange, answered: Answered): readonly string[] {
  const statuses = typeof status === 'number' ? [status] : status;
  const text = answered.text();
  if (!statuses.includes(answered.status))
    return [`${answered.status} instead of ${statuses.join(' or ')}: ${text.slice(0, 300)}`];
  if (answered.status === 204 || method === 'HEAD') return text === '' ? [] : ['a body where none may be'];
  if (path === '{post_url}' || path.startsWith('/download/')) return [];
  const complaints: string[] = [];
  if (!/^application\/json\b/.test(String(answered.headers['content-type']))) {
    complaints.push(`the type is ${answered.headers['content-type']}`);
  }
  // Clients up to 1.13 nag when a server says that it speaks a newer version than theirs.
  if (!['undefined', '0.2.1'].includes(String(answered.headers['x-binstar-api-version'])))
    complaints.push('it names a version');
  const value: unknown = JSON.parse(text);
  const wanted = answered.status >= 400 ? ['error'] : (reply ?? []);
  complaints.push(
    ...wanted.filter((key) => !isThere(value, key.split('.'))).map((key) => `no ${key} in ${text.slice(0, 300)}`),
  );
  if (answered.status >= 400 && typeof (value as { error?: unknown }).error !== 'string')
    complaints.push('the error is no text');
  if (path.startsWith('/stage/') && answered.status === 200) complaints.push(...ticketComplaints(value as Ticket));
  if (path === '/authentications' && method === 'GET') complaints.push(...expiryComplaints(value));
  return complaints;
}

function isThere(value: unknown, keys: readonly string[]): boolean {
  const [first, ...rest] = keys;
  if (first === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  const name = first.replace(/\[\]$/, '');
  if (name !== '' && !(name in value)) return false;
  const inner: unknown = name === '' ? value : (value as Record<string, unknown>)[name];
  if (!first.endsWith('[]')) return isThere(inner, rest);
  return Array.isArray(inner) && inner.length > 0 && inner.every((each) => isThere(each, rest));
}

/** A number in the form ends the client with an error of its own; null ends rattler's. */
function ticketComplaints({ post_url, form_data, dist_id }: Ticket): readonly string[] {
  const isWhole = URL.canParse(post_url) && typeof dist_id === 'string';
  return isWhole && Object.values(form_data).every((value) => typeof value === 'string')
    ? []
    : ['the ticket is no texts'];
}

/** Without a zone the client cannot compare it with now. */
function expiryComplaints(value: unknown): readonly string[] {
  const expiries = (value as readonly { expires: string | null }[]).map(({ expires }) => expires);
  return expiries
    .filter((each) => each !== null && !/(Z|[+-]\d\d:\d\d)$/.test(each))
    .map((each) => `${each} has no zone`);
}
