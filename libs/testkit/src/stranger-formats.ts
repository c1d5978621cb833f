import { gunzipSync, zstdDecompressSync } from 'node:zlib';

/** One way in which the names of a channel are told. */
export interface Format {
  readonly name: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes of a 200 as text in which a name can be looked for. */
  readonly textOf: (bytes: Buffer) => string;
}

const HTML = { Accept: 'text/html' };
const JSON_V1 = { Accept: 'application/vnd.pypi.simple.v1+json' };
const GZIP = { 'Accept-Encoding': 'gzip' };

/** Every index of a channel as a stranger asks for it. */
export function formatsOf(channel: string): readonly Format[] {
  const [noarch, simple] = [`/conda/${channel}/noarch`, `/pypi/${channel}/simple/`];
  const unzstd = (bytes: Buffer): string => plain(zstdDecompressSync(bytes));
  const gunzip = (bytes: Buffer): string => plain(gunzipSync(bytes));
  return [
    { name: 'repodata.json', path: `${noarch}/repodata.json`, headers: {}, textOf: plain },
    { name: 'repodata.json, gzipped', path: `${noarch}/repodata.json`, headers: GZIP, textOf: gunzip },
    { name: 'repodata.json.zst', path: `${noarch}/repodata.json.zst`, headers: {}, textOf: unzstd },
    { name: 'index of shards', path: `${noarch}/repodata_shards.msgpack.zst`, headers: {}, textOf: unzstd },
    { name: 'simple, html', path: simple, headers: HTML, textOf: plain },
    { name: 'simple, json', path: simple, headers: JSON_V1, textOf: plain },
    { name: 'simple, json, gzipped', path: simple, headers: { ...JSON_V1, ...GZIP }, textOf: gunzip },
  ];
}

function plain(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
