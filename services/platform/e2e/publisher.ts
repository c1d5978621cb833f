import { createHash, randomBytes } from 'node:crypto';
import type { Product } from '@vivarium/testkit/product';
import { type Answered, ask, basic } from './ask.js';
import type { Secrets } from './secrets.js';

/** What is published, as the client describes it to the server. */
export interface Distribution {
  readonly type: 'conda' | 'pypi';
  readonly name: string;
  readonly version: string;
  /** With its subdir for conda. */
  readonly basename: string;
  readonly bytes: Uint8Array;
  readonly attrs: Readonly<Record<string, unknown>>;
}

export interface UploadOptions {
  readonly labels?: readonly string[];
  /** `anaconda upload --private`, which counts when the package is new. */
  readonly isPrivate?: boolean;
  /** The account to publish to; one's own unless given. */
  readonly owner?: string;
}

export interface Ticket {
  readonly post_url: string;
  readonly form_data: Readonly<Record<string, string>>;
  readonly dist_id: string;
}

/** One of the requests of an upload was not answered as the client needs it. */
export class UploadRefused extends Error {
  constructor(
    readonly step: string,
    readonly status: number,
    readonly text: string,
    /** The header of that name: when the client may try again. */
    readonly retryAfter?: string,
  ) {
    super(`${step} answered ${status}: ${text.slice(0, 500)}`);
  }
}

export interface TokenWish {
  readonly name: string;
  readonly scopes?: readonly string[];
  readonly maxAgeSeconds?: number;
  /** An organization that shall own it. */
  readonly organization?: string;
}

/** Speaks to the API as the `anaconda` client does, request by request, with the account or token of one person. */
export class Publisher {
  readonly #product: Product;
  readonly #secrets: Secrets;
  readonly login: string;
  readonly #token: string | undefined;
  readonly #gateway: string;

  /** `gateway` is the origin of the gateway that is spoken to; the first unless given. */
  constructor(product: Product, secrets: Secrets, login: string, token?: string, gateway = product.url) {
    this.#product = product;
    this.#secrets = secrets;
    this.login = login;
    this.#token = token;
    this.#gateway = gateway;
  }

  /** The same person at another gateway. */
  at(gateway: string): Publisher {
    return new Publisher(this.#product, this.#secrets, this.login, this.#token, gateway);
  }

  /** Signs in with a password, as `anaconda login` does. */
  static async signIn(product: Product, secrets: Secrets, login: string, password: string): Promise<Publisher> {
    const name = `login ${randomBytes(4).toString('hex')}`;
    const answered = await askForToken(product, basic(login, password), { name });
    return new Publisher(product, secrets, login, tokenIn(answered, secrets, name));
  }

  /** The first administrator. */
  static admin(product: Product, secrets: Secrets): Promise<Publisher> {
    return Publisher.signIn(product, secrets, product.admin.login, product.admin.password);
  }

  /** Makes a user, as a superuser may, and signs in as that user. */
  async makeUser(login: string): Promise<Publisher & { readonly password: string }> {
    const password = this.#secrets.keep(`password of ${login}`, randomBytes(12).toString('hex'));
    const body = { login, email: `${login}@example.org`, password, superuser: false };
    const made = await this.call('POST', '/users', body);
    if (made.status !== 200 && made.status !== 201) throw refused('POST /users', made);
    return Object.assign(await Publisher.signIn(this.#product, this.#secrets, login, password), { password });
  }

  /** One call of the API, with the headers of the client. */
  call(method: string, path: string, body?: unknown): Promise<Answered> {
    const headers: Record<string, string> = {
      'User-Agent': 'Anaconda-Client/1.16.0 (+https://anaconda.org)',
      'x-binstar-api-version': '1.16.0',
      'Content-Type': 'application/json',
      Accept: 'application/json',
    };
    const authorization = this.#authorization();
    if (authorization !== undefined) headers.Authorization = authorization;
    return ask(this.#gateway, {
      method,
      rawPath: `/api${path}`,
      headers: { ...headers, Host: this.#host() },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** As `call`; throws an UploadRefused unless the status is this one. */
  async expectCall(status: number, method: string, path: string, body?: unknown): Promise<Answered> {
    const answered = await this.call(method, path, body);
    if (answered.status !== status) throw refused(`${method} ${path}`, answered);
    return answered;
  }

  /** Makes a token, as `anaconda auth --create` does; with one's own token, since passwords may be tried only so often. */
  async makeToken(wish: TokenWish): Promise<string> {
    return tokenIn(await this.askForToken(wish), this.#secrets, wish.name);
  }

  /** The request for a token, whatever its answer. */
  askForToken(wish: TokenWish): Promise<Answered> {
    return askForToken(this.#product, this.#authorization() ?? '', wish);
  }

  async removeToken(name: string): Promise<void> {
    await this.expectCall(201, 'DELETE', `/authentications/name/${encodeURIComponent(name)}`);
  }

  /** `anaconda package --create`. */
  async createPackage(name: string, options: { readonly isPrivate: boolean; readonly type?: string }): Promise<void> {
    const attrs = { summary: 's', package_types: [options.type ?? 'conda'], license: NO_LICENSE };
    const body = { public: !options.isPrivate, publish: false, public_attrs: attrs };
    await this.expectCall(200, 'POST', `/package/${this.login}/${name}`, body);
  }

  async setVisibility(name: string, visibility: 'public' | 'authenticated' | 'private'): Promise<void> {
    await this.expectCall(200, 'PATCH', `/package/${this.login}/${name}`, { visibility });
  }

  /** The whole upload of one file. Throws an UploadRefused at the first answer that the client would not take. */
  async upload(distribution: Distribution, options: UploadOptions = {}): Promise<void> {
    await this.register(distribution, options);
    const ticket = await this.stage(distribution, options);
    await this.send(ticket, distribution);
    await this.commit(distribution, ticket, options);
  }

  /** Makes the package and the release if they are not there. */
  async register({ type, name, version }: Distribution, options: UploadOptions = {}): Promise<void> {
    const owner = options.owner ?? this.login;
    const pack = await this.call('GET', `/package/${owner}/${name}`);
    if (pack.status === 404) {
      const attrs = { name, summary: `${name}, made for a test`, package_types: [type], license: NO_LICENSE };
      const body = { public: options.isPrivate !== true, publish: false, public_attrs: attrs };
      await this.expectCall(200, 'POST', `/package/${owner}/${name}`, body);
    } else if (pack.status !== 200) {
      throw refused(`GET /package/${owner}/${name}`, pack);
    }
    const release = await this.call('GET', `/release/${owner}/${name}/${version}`);
    if (release.status === 404) {
      const body = { requirements: [], announce: null, description: '', version };
      await this.expectCall(200, 'POST', `/release/${owner}/${name}/${version}`, body);
    } else if (release.status !== 200) {
      throw refused(`GET /release/${owner}/${name}/${version}`, release);
    }
  }

  /** Announces the file; `overrides` replaces fields of the announcement. */
  async stage(
    distribution: Distribution,
    options: UploadOptions = {},
    overrides: Readonly<Record<string, unknown>> = {},
  ): Promise<Ticket> {
    const body = {
      distribution_type: distribution.type,
      description: null,
      attrs: distribution.attrs,
      dependencies: null,
      channels: options.labels ?? [],
      sha256: digestOf('sha256', distribution.bytes).toString('hex'),
      ...overrides,
    };
    const path = `/stage/${options.owner ?? this.login}/${pathOf(distribution)}`;
    return (await this.expectCall(200, 'POST', path, body)).json<Ticket>();
  }

  /** Sends the bytes to where the ticket says, without any credential; `md5` replaces the digest that is sent with them. */
  async send(ticket: Ticket, { basename, bytes }: Distribution, md5?: string): Promise<void> {
    const answered = await this.post(ticket, basename, bytes, md5);
    if (answered.status !== 201) throw refused('POST of the bytes', answered);
  }

  post(ticket: Ticket, basename: string, bytes: Uint8Array, md5?: string): Promise<Answered> {
    const { boundary, body } = formOf(ticket.form_data, basename, bytes, md5);
    return ask(this.#gateway + new URL(ticket.post_url).pathname, {
      method: 'POST',
      headers: {
        Host: this.#host(),
        'Content-Type': `multipart/form-data; boundary=${boundary}`,
        'User-Agent': 'python-requests/2.32.5',
      },
      body,
    });
  }

  async commit(distribution: Distribution, ticket: Ticket, options: UploadOptions = {}): Promise<Answered> {
    const path = `/commit/${options.owner ?? this.login}/${pathOf(distribution)}`;
    return this.expectCall(200, 'POST', path, { dist_id: ticket.dist_id });
  }

  #authorization(): string | undefined {
    return this.#token === undefined ? undefined : `token ${this.#token}`;
  }

  /** A gateway answers for the Host of the first only. */
  #host(): string {
    return new URL(this.#product.url).host;
  }
}

const NO_LICENSE = { name: null, url: null, family: null };

/** The multipart body in the exact order of the client: the fields, two about the file, the file without a type. */
export function formOf(
  fields: Readonly<Record<string, string>>,
  filename: string,
  bytes: Uint8Array,
  md5 = digestOf('md5', bytes).toString('base64'),
): { readonly boundary: string; readonly body: Buffer } {
  const boundary = randomBytes(16).toString('hex');
  const all = { ...fields, 'Content-Length': String(bytes.length), 'Content-MD5': md5 };
  const parts = Object.entries(all).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const file = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n\r\n`;
  return {
    boundary,
    body: Buffer.concat([Buffer.from(parts.join('') + file), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  };
}

function refused(step: string, answered: Answered): UploadRefused {
  return new UploadRefused(step, answered.status, answered.text(), answered.headers['retry-after']);
}

function tokenIn(answered: Answered, secrets: Secrets, name: string): string {
  if (answered.status !== 200) throw refused('POST /authentications', answered);
  return secrets.keep(`token ${name}`, answered.json<{ token: string }>().token);
}

/** The request of a login, or of `anaconda auth --create`. */
export function askForToken(product: Product, authorization: string, wish: TokenWish): Promise<Answered> {
  const body = {
    scopes: wish.scopes ?? null,
    note: wish.name,
    note_url: product.api,
    hostname: 'test',
    user: wish.organization ?? null,
    'max-age': wish.maxAgeSeconds ?? null,
    strength: 'strong',
    'fail-if-exists': true,
  };
  return ask(`${product.api}/authentications`, {
    method: 'POST',
    headers: {
      Authorization: authorization,
      'Content-Type': 'application/json',
      Accept: 'application/json',
    },
    body: JSON.stringify(body),
  });
}

function pathOf({ name, version, basename }: Distribution): string {
  return `${name}/${version}/${basename.split('/').map(encodeURIComponent).join('/')}`;
}

function digestOf(algorithm: 'md5' | 'sha256', bytes: Uint8Array): Buffer {
  return createHash(algorithm).update(bytes).digest();
}
