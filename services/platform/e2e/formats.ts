import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import type { Product } from '@vivarium/testkit/product';
import { type Answered, ask } from './ask.js';

/** From where somebody reads. */
export interface Standpoint {
  readonly product: Product;
  readonly channel: string;
  /** In the URL, as `/t/<token>`. */
  readonly token?: string | undefined;
  readonly label?: string;
}

export const HTML = 'text/html';
export const JSON_V1 = 'application/vnd.pypi.simple.v1+json';
export const HTML_V1 = 'application/vnd.pypi.simple.v1+html';

/** Where the channel is for a conda client: without a slash at its end. */
export function condaBase({ product, channel, token, label }: Standpoint): string {
  const secret = token === undefined ? '/conda' : `/t/${token}`;
  return `${product.url}${secret}/${channel}${label === undefined ? '' : `/label/${label}`}`;
}

/** Where the channel is for a Python client: without a slash at its end. */
export function simpleBase({ product, channel, token, label }: Standpoint): string {
  const secret = token === undefined ? '' : `/t/${token}`;
  return `${product.pypi}${secret}/${channel}${label === undefined ? '' : `/label/${label}`}/simple`;
}

export type CondaFormats = Readonly<Record<'json' | 'json, gzipped' | 'zst' | 'shards', readonly string[]>>;
export type SimpleFormats = Readonly<
  Record<'root html' | 'root json' | 'pages html' | 'pages json', readonly string[]>
>;

/** Names of the files of one subdir, in every format that conda clients read. Throws an Error unless each answers 200. */
export async function condaFormats(from: Standpoint, subdir = 'noarch'): Promise<CondaFormats> {
  const base = `${condaBase(from)}/${subdir}`;
  const plain = await found(`${base}/repodata.json`);
  const gzipped = await found(`${base}/repodata.json`, { 'Accept-Encoding': 'gzip' });
  const compressed = await found(`${base}/repodata.json.zst`);
  return {
    json: namesInRepodata(plain.bytes),
    'json, gzipped': namesInRepodata(
      gzipped.headers['content-encoding'] === 'gzip' ? gunzipSync(gzipped.bytes) : gzipped.bytes,
    ),
    zst: namesInRepodata(zstdDecompressSync(compressed.bytes)),
    shards: await namesInShards(base),
  };
}

interface ShardIndex {
  readonly info: { readonly shards_base_url: string; readonly base_url: string; readonly subdir: string };
  readonly shards: Readonly<Record<string, Uint8Array>>;
}

/** Package name → address of its shard. */
export async function shardsOf(base: string): Promise<ReadonlyMap<string, string>> {
  const { bytes } = await found(`${base}/repodata_shards.msgpack.zst`);
  const { info, shards } = decode(zstdDecompressSync(bytes)) as ShardIndex;
  const folder = new URL(info.shards_base_url, `${base}/`).href;
  return new Map(
    Object.entries(shards).map(([name, hash]) => [name, `${folder}${Buffer.from(hash).toString('hex')}.msgpack.zst`]),
  );
}

async function namesInShards(base: string): Promise<string[]> {
  const names: string[] = [];
  for (const url of (await shardsOf(base)).values()) {
    const { bytes } = await found(url);
    names.push(...namesOf(decode(zstdDecompressSync(bytes)) as Repodata));
  }
  return names.sort();
}

interface Repodata {
  readonly packages: Readonly<Record<string, unknown>>;
  readonly 'packages.conda': Readonly<Record<string, unknown>>;
}

function namesInRepodata(bytes: Uint8Array): string[] {
  return namesOf(JSON.parse(Buffer.from(bytes).toString('utf8')) as Repodata);
}

function namesOf(repodata: Repodata): string[] {
  return [...Object.keys(repodata.packages), ...Object.keys(repodata['packages.conda'])].sort();
}

/** Names of the projects, and of one project's files, in every format that Python clients read. */
export async function simpleFormats(from: Standpoint): Promise<SimpleFormats> {
  const base = simpleBase(from);
  const html = await found(`${base}/`, { Accept: HTML });
  const json = await found(`${base}/`, { Accept: JSON_V1 });
  const projects = json.json<{ projects: { name: string }[] }>().projects.map(({ name }) => name);
  const pages = await Promise.all(projects.map((project) => projectFiles(from, project)));
  return {
    'root html': [...html.text().matchAll(/<a [^>]*>([^<]*)<\/a>/g)].map(([, name]) => name ?? '').sort(),
    'root json': [...projects].sort(),
    'pages html': pages.flatMap((page) => page.html).sort(),
    'pages json': pages.flatMap((page) => page.json).sort(),
  };
}

export interface SimpleFile {
  readonly filename: string;
  readonly url: string;
  readonly hashes: { readonly sha256: string };
  readonly 'core-metadata'?: { readonly sha256: string } | boolean;
}

/** The files of one project as its page in JSON tells them. */
export async function simpleFiles(from: Standpoint, project: string): Promise<readonly SimpleFile[]> {
  const page = await found(`${simpleBase(from)}/${project}/`, { Accept: JSON_V1 });
  return page.json<{ files: SimpleFile[] }>().files;
}

async function projectFiles(from: Standpoint, project: string) {
  const page = await found(`${simpleBase(from)}/${project}/`, { Accept: HTML });
  return {
    html: [...page.text().matchAll(/<a [^>]*>([^<]*)<\/a>/g)].map(([, name]) => name ?? ''),
    json: (await simpleFiles(from, project)).map(({ filename }) => filename),
  };
}

async function found(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  const answered = await ask(url, { headers });
  if (answered.status !== 200) throw new Error(`${url} answered ${answered.status}: ${answered.text().slice(0, 500)}`);
  return answered;
}
