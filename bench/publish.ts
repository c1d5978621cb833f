import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { BuiltFile } from '@vivarium/testkit/builders';
import { type Answer, fetchWhole } from './http-client.js';

/** A file to publish; its bytes are in memory, or in a file. */
export interface Artifact {
  readonly kind: 'conda' | 'pypi';
  readonly name: string;
  readonly version: string;
  /** With the subdir before it, for conda. */
  readonly basename: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
  readonly bytes?: Buffer;
  readonly file?: string;
}

/** When the steps of a publish were over, by `performance.now()`. */
export interface Published {
  /** The last byte of the upload was handed to the socket. */
  readonly sentAt: number;
  /** The upload was answered. */
  readonly storedAt: number;
  /** The commit was sent, and answered. */
  readonly commitSentAt: number;
  readonly committedAt: number;
}

/** The artifact of a package made by the test kit's builders. */
export function artifactOf(
  kind: Artifact['kind'],
  name: string,
  version: string,
  built: BuiltFile & { readonly subdir?: string },
): Artifact {
  const { bytes, sha256, md5, filename, subdir } = built;
  const basename = subdir === undefined ? filename : `${subdir}/${filename}`;
  return { kind, name, version, basename, sha256, md5, sizeBytes: bytes.length, bytes };
}

/** Publishes as the `anaconda` client does: package, release, stage, form, commit. */
export class Publisher {
  readonly #api: string;
  readonly #owner: string;
  readonly #token: string;
  readonly #known = new Set<string>();

  constructor(api: string, owner: string, token: string) {
    this.#api = api;
    this.#owner = owner;
    this.#token = token;
  }

  /** Throws an Error with the server's own words if a step is refused. */
  async publish(artifact: Artifact): Promise<Published> {
    const { kind, name, version, basename, sha256 } = artifact;
    await this.ensurePackage(name, kind);
    await this.#ensure(`release/${this.#owner}/${name}/${version}`, { requirements: [], announce: null });
    const path = `${this.#owner}/${name}/${version}/${encodeURIComponent(basename)}`;
    const staged = JSON.parse(
      (
        await this.call('POST', `stage/${path}`, {
          distribution_type: kind,
          description: null,
          attrs: {},
          dependencies: null,
          channels: [],
          sha256,
        })
      ).body.toString(),
    );
    const stored = await postForm(staged.post_url, staged.form_data, artifact);
    if (stored.status !== 201) throw refused('the upload', stored);
    const commitSentAt = performance.now();
    const committed = await this.call('POST', `commit/${path}`, { dist_id: staged.dist_id });
    return {
      sentAt: stored.sentAt,
      storedAt: stored.receivedAt,
      commitSentAt,
      committedAt: committed.receivedAt,
    };
  }

  /** Makes the package unless this client knows that it is there. */
  ensurePackage(name: string, kind: Artifact['kind'], access: 'public' | 'private' = 'public'): Promise<void> {
    return this.#ensure(`package/${this.#owner}/${name}`, {
      public: access === 'public',
      publish: false,
      public_attrs: { summary: 'made for a benchmark', package_types: [kind], license: {} },
    });
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await fetchWhole(`${this.#api}/${path}`, {
      method,
      fields: { Authorization: `token ${this.#token}`, 'Content-Type': 'application/json', Accept: 'application/json' },
      ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
    });
    if (answer.status !== 200 && answer.status !== 201) throw refused(`${method} /${path}`, answer);
    return answer;
  }

  async #ensure(path: string, body: unknown): Promise<void> {
    if (this.#known.has(path)) return;
    await this.call('POST', path, body);
    this.#known.add(path);
  }
}

/** The value of an Authorization header for a password, as a login sends it. */
export function basicOf({ login, password }: { readonly login: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`;
}

/** Makes a token for these scopes; null means all. */
export async function createToken(
  api: string,
  authorization: string,
  name: string,
  scopes: readonly string[] | null,
): Promise<string> {
  const body = { scopes, note: name, note_url: api, hostname: 'bench', user: null, strength: 'strong' };
  const answer = await fetchWhole(`${api}/authentications`, {
    method: 'POST',
    fields: { Authorization: authorization, 'Content-Type': 'application/json' },
    body: Buffer.from(JSON.stringify({ ...body, 'max-age': null, 'fail-if-exists': true })),
  });
  if (answer.status !== 200) throw refused('the token', answer);
  return JSON.parse(answer.body.toString()).token;
}

async function postForm(url: string, form: Readonly<Record<string, string>>, artifact: Artifact): Promise<Answer> {
  const boundary = 'bench-7d1c0f6a4b';
  const { basename, md5, sizeBytes, bytes, file } = artifact;
  const fields = {
    ...form,
    'Content-Length': String(sizeBytes),
    'Content-MD5': Buffer.from(md5, 'hex').toString('base64'),
  };
  const before = Buffer.from(
    [
      ...Object.entries(fields).map(
        ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
      ),
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${basename}"\r\n\r\n`,
    ].join(''),
  );
  const after = Buffer.from(`\r\n--${boundary}--\r\n`);
  const length = before.length + sizeBytes + after.length;
  return fetchWhole(url, {
    method: 'POST',
    fields: { 'Content-Type': `multipart/form-data; boundary=${boundary}`, 'Content-Length': String(length) },
    body: file === undefined ? Buffer.concat([before, bytes ?? Buffer.alloc(0), after]) : streamOf(before, file, after),
  });
}

function streamOf(before: Buffer, file: string, after: Buffer): Readable {
  return Readable.from(
    (async function* () {
      yield before;
      yield* createReadStream(file, { highWaterMark: 1024 * 1024 });
      yield after;
    })(),
    { objectMode: false },
  );
}

function refused(what: string, { status, body }: Answer): Error {
  return new Error(`${what} was answered ${status}: ${body.toString().slice(0, 500)}`);
}
