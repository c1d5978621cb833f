import { createHash } from 'node:crypto';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { decode } from '@msgpack/msgpack';
import { type Answered, ask } from './ask.js';
import { condaBase, HTML, JSON_V1, type Standpoint, shardsOf, simpleBase } from './formats.js';
import type { Distribution } from './publisher.js';

export type Published = Distribution & { readonly sha256: string };

/**
 * Where a client finds a file: `everywhere`, with its bytes behind every address that is given for it; `nowhere`; or a
 * sentence that says which places have it and which do not. `from` must be at rest: nothing is published meanwhile.
 */
export async function shownIn(from: Standpoint, file: Published): Promise<string> {
  const places = Object.entries(file.type === 'conda' ? await condaPlaces(from, file) : await pypiPlaces(from, file));
  const there = places.filter(([, isThere]) => isThere).map(([place]) => place);
  if (there.length === places.length) return 'everywhere';
  if (there.length === 0) return 'nowhere';
  return `in ${there.join(', ')}; not in ${places.flatMap(([place, isThere]) => (isThere ? [] : [place])).join(', ')}`;
}

type Places = Readonly<Record<string, boolean>>;

interface Repodata {
  readonly packages: Readonly<Record<string, { readonly sha256: string | Uint8Array }>>;
  readonly 'packages.conda': Readonly<Record<string, { readonly sha256: string | Uint8Array }>>;
}

async function condaPlaces(from: Standpoint, file: Published): Promise<Places> {
  const [subdir = '', filename = ''] = file.basename.split('/');
  const base = `${condaBase(from)}/${subdir}`;
  const names = (repodata: Repodata) => {
    const { sha256 = '' } = repodata['packages.conda'][filename] ?? repodata.packages[filename] ?? {};
    // In text in digits, in a shard as bytes.
    return (typeof sha256 === 'string' ? sha256 : Buffer.from(sha256).toString('hex')) === file.sha256;
  };
  const zipped = await found(`${base}/repodata.json`, { 'Accept-Encoding': 'gzip' });
  const isZipped = zipped.headers['content-encoding'] === 'gzip';
  const shard = (await shardsOf(base)).get(file.name);
  return {
    'repodata.json': names((await found(`${base}/repodata.json`)).json<Repodata>()),
    'repodata.json, gzipped': names(JSON.parse((isZipped ? gunzipSync(zipped.bytes) : zipped.bytes).toString('utf8'))),
    'repodata.json.zst': names(
      JSON.parse(zstdDecompressSync((await found(`${base}/repodata.json.zst`)).bytes).toString('utf8')),
    ),
    shards: shard !== undefined && names(decode(zstdDecompressSync((await found(shard)).bytes)) as Repodata),
    artifact: await holds(`${base}/${filename}`, file.sha256),
    'artifact for the API': await holds(downloadOf(from, file), file.sha256),
  };
}

async function pypiPlaces(from: Standpoint, file: Published): Promise<Places> {
  const base = simpleBase(from);
  const project = file.name.toLowerCase().replace(/[-_.]+/g, '-');
  const html = await ask(`${base}/${project}/`, { headers: { Accept: HTML } });
  const json = await ask(`${base}/${project}/`, { headers: { Accept: JSON_V1 } });
  const inHtml = /<a [^>]*href="([^"]*)"[^>]*>([^<]*)<\/a>/g;
  const link = [...html.text().matchAll(inHtml)].find(([, , name]) => name === file.basename)?.[1];
  const listed =
    json.status === 200
      ? json
          .json<{ files: { filename: string; url: string }[] }>()
          .files.find((each) => each.filename === file.basename)
      : undefined;
  const bytesAt = (href: string | undefined): Promise<boolean> =>
    href === undefined
      ? Promise.resolve(false)
      : holds(new URL(href, `${base}/${project}/`).href.replace(/#.*$/, ''), file.sha256);
  const metadata = await ask(`${from.product.pypi}/${from.channel}/files/${file.sha256}/${file.basename}.metadata`);
  return {
    'list in html': (await found(`${base}/`, { Accept: HTML })).text().includes(`>${project}</a>`),
    'list in json': (await found(`${base}/`, { Accept: JSON_V1 }))
      .json<{ projects: { name: string }[] }>()
      .projects.some(({ name }) => name === project),
    'page in html, with the bytes': await bytesAt(link),
    'page in json, with the bytes': await bytesAt(listed?.url),
    metadata: metadata.status === 200 && metadata.text().includes(`Version: ${file.version}`),
    'artifact for the API': await holds(downloadOf(from, file), file.sha256),
  };
}

function downloadOf({ product, channel }: Standpoint, { name, version, basename }: Published): string {
  return `${product.api}/download/${channel}/${name}/${version}/${basename}`;
}

async function holds(url: string, sha256: string): Promise<boolean> {
  const { status, bytes } = await ask(url);
  return status === 200 && createHash('sha256').update(bytes).digest('hex') === sha256;
}

async function found(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> {
  const answered = await ask(url, { headers });
  if (answered.status !== 200) throw new Error(`${url} answered ${answered.status}: ${answered.text().slice(0, 500)}`);
  return answered;
}
