import type { CondaResource } from '@vivarium/conda/path';
import type { Route } from '@vivarium/gateway/routes';
import type { PypiResource } from '@vivarium/pypi/path';
import type { Product } from '@vivarium/testkit/product';
import { mintToken } from '@vivarium/token/format';
import pg from 'pg';
import { databaseUrlOf } from './database-url.js';
import type { Publisher } from './publisher.js';

/** What is asked for. Names of a hidden thing and of a missing one are of one length, so that only the name can differ. */
export interface Place {
  readonly channel: string;
  readonly organization: string;
  /** Also the name of a label that no other package carries. */
  readonly package: string;
  /** Of the wheel. */
  readonly sha256: string;
  /** Of the shard. */
  readonly shard: string;
}

/** One address that the product answers: a route of its router, or a kind of read. */
export interface Address {
  readonly method: string;
  /** As it stands in the table. */
  readonly shape: string;
  /** The path, filled in. */
  at(place: Place): string;
  /** Whether the path says which channel is meant. */
  readonly isPlaced: boolean;
}

const CONDA: Readonly<Record<CondaResource['kind'], readonly string[]>> = {
  repodata: ['noarch/repodata.json', 'noarch/repodata.json.zst'],
  'shard-index': ['noarch/repodata_shards.msgpack.zst'],
  shard: ['noarch/shards/{shard}.msgpack.zst'],
  'run-exports': ['noarch/run_exports.json', 'noarch/run_exports.json.zst'],
  artifact: ['noarch/{package}-1.0-0.conda'],
  channeldata: ['channeldata.json'],
  notices: ['notices.json'],
  absent: ['noarch/{package}.txt'],
};

const PYPI: Readonly<Record<PypiResource['kind'], readonly string[]>> = {
  root: ['', '/', '/simple', '/simple/'],
  project: ['/{package}', '/simple/{package}', '/simple/{package}/', '/simple/{package}/{package}/'],
  file: ['/files/{sha256}/{package}-1.0-py3-none-any.whl', '/files/{sha256}/{package}-1.0-py3-none-any.whl.metadata'],
  upload: ['/legacy/'],
};

/** Every kind of read, with and without a label, where it has one. */
export function readAddresses(): readonly Address[] {
  const labels = ['', '/label/main'];
  const conda = Object.values(CONDA)
    .flat()
    .flatMap((end) => labels.map((label) => `/conda/{channel}${label}/${end}`));
  // Without the prefix, as conda asks at the bare address of the server.
  const bare = ['/{channel}/noarch/repodata.json', '/{channel}/noarch/{package}-1.0-0.conda'];
  const pypi = Object.values(PYPI)
    .flat()
    .map((end) => `/pypi/{channel}${end}`);
  const labelled = [...PYPI.root.slice(2), ...PYPI.project.slice(1), ...PYPI.file].map(
    (end) => `/pypi/{channel}/label/main${end}`,
  );
  return [...conda, ...bare, ...pypi, ...labelled].map((shape) => ({
    method: 'GET',
    shape,
    at: (place) => filled(shape, place),
    isPlaced: true,
  }));
}

const PARAMETERS: Readonly<Record<string, string>> = {
  ':channel': '{channel}',
  ':owner': '{channel}',
  ':login': '{channel}',
  ':organization': '{organization}',
  ':group': 'owners',
  ':id': '00000000-0000-4000-8000-000000000000',
  '*label': '{package}',
  ':package': '{package}',
  ':version': '1.0',
  ':ticket': `${'0'.repeat(32)}-${'0'.repeat(64)}`,
  '*basename': 'noarch/{package}-1.0-0.conda',
  '*name': 'no-such-token',
};

/** What is asked for behind the path, where that is not said in it. */
const QUERIES: Readonly<Record<string, string>> = {
  '/api/can-i': '?verb=read&resource={channel}/{package}',
  '/api/audit': '?owner={channel}&limit=3',
  '/api/search': '?name={package}',
  '/api/authentications': '?org={organization}',
};

/** The address of a route. Throws an Error for a parameter that is not known here: what stands for it must be thought of. */
export function routeAddress({ method, path }: Route): Address {
  const shape = path.replace(/[:*]\w+/g, (name) => {
    const value = PARAMETERS[name];
    if (value === undefined) throw new Error(`nobody said what to ask for at "${name}" of ${method} ${path}`);
    return value;
  });
  const whole = `${shape}${method === 'GET' ? (QUERIES[path] ?? '') : ''}`;
  return { method, shape: path, at: (place) => filled(whole, place), isPlaced: whole.includes('{') };
}

function filled(shape: string, place: Place): string {
  return shape.replace(/\{(channel|organization|package|sha256|shard)\}/g, (_, name: keyof Place) => place[name]);
}

// Of the form of a token, and nobody's.
const NO_TOKEN = mintToken((sizeBytes) => new Uint8Array(sizeBytes).fill(1));

/** What every change is sent with: all that some route wants, so that it is the asker who is refused and not the form. */
export function changeOf(place: Place): string {
  return JSON.stringify({
    distribution_type: 'conda',
    dist_id: '0'.repeat(32),
    note: '',
    login: 'swept-login',
    password: 'a long password of nobody',
    email: 'swept@example.org',
    public: true,
    visibility: 'public',
    permission: 'write',
    public_attrs: { summary: 'swept' },
    name: 'swept',
    package: place.package,
    packages: [place.package],
    version: '1.0',
    to: 'bob',
    to_owner: 'bob',
    confirm: place.organization,
    tokens: [{ token: NO_TOKEN }],
  });
}

const BOUNDARY = 'swept';
const PARTS: readonly (readonly [string, string])[] = [
  ['name="stage"', '0'.repeat(32)],
  ['name="content"; filename="swept-1.0-py3-none-any.whl"', 'bytes'],
  ['name="file"; filename="swept-1.0-0.conda"', 'bytes'],
];

/** The same for the routes that take forms. */
export const FORM = {
  type: `multipart/form-data; boundary=${BOUNDARY}`,
  body: `${PARTS.map(([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; ${name}\r\n\r\n${value}\r\n`).join('')}--${BOUNDARY}--\r\n`,
};

/** Spellings of one path that some reader may take for it. `name` is what stands for the thing asked for. */
export const SPELLINGS: Readonly<Record<string, (path: string, name: string) => string>> = {
  'percent-encoded letter': (path, name) => path.replaceAll(name, `%${hexOf(name)}${name.slice(1)}`),
  'percent-encoded letter, capitals': (path, name) =>
    path.replaceAll(name, `%${hexOf(name).toUpperCase()}${name.slice(1)}`),
  'encoded twice': (path, name) => path.replaceAll(name, `%25${hexOf(name)}${name.slice(1)}`),
  'encoded slash': (path, name) => path.replaceAll(`/${name}`, `%2f${name}`),
  'encoded slash, twice': (path, name) => path.replaceAll(`/${name}`, `%252f${name}`),
  backslash: (path, name) => path.replaceAll(`/${name}`, `\\${name}`),
  'encoded backslash': (path, name) => path.replaceAll(`/${name}`, `%5c${name}`),
  'two slashes': (path, name) => path.replaceAll(`/${name}`, `//${name}`),
  'slash at the end': (path) => `${path}/`,
  'upper case': (path, name) => path.replaceAll(name, name.toUpperCase()),
  'path parameter': (path, name) => path.replaceAll(name, `${name};x`),
  'path parameter at the end': (path) => `${path};x=1`,
  'dot segment': (path, name) => path.replaceAll(`/${name}`, `/./${name}`),
  'encoded dot segment': (path, name) => path.replaceAll(`/${name}`, `/%2e/${name}`),
  'there and back': (path, name) => path.replaceAll(`/${name}`, `/opened/../${name}`),
  'there and back, encoded': (path, name) => path.replaceAll(`/${name}`, `/opened/%2e%2e/${name}`),
  'null at the end': (path) => `${path}%00`,
  'null in the middle': (path, name) => path.replaceAll(name, `${name}%00`),
  'question mark, encoded': (path) => `${path}%3f`,
  'hash, encoded': (path) => `${path}%23`,
  'space at the end': (path) => `${path}%20`,
  'full-width letter': (path, name) =>
    path.replaceAll(name, `%EF%BD%${(0x80 + name.charCodeAt(0) - 0x60).toString(16)}${name.slice(1)}`),
  query: (path, name) => `${path}?channel=${name}&owner=${name}&package=${name}`,
};

function hexOf(name: string): string {
  return name.charCodeAt(0).toString(16);
}

/** Makes the packages of a channel private unless their makers say otherwise. */
export async function closeChannel(owner: Publisher, login = owner.login): Promise<void> {
  await owner.expectCall(200, 'PUT', `/packages/${login}/default-visibility`, { visibility: 'private' });
}

/** Takes all scopes from the tokens of that name: no address makes a token that has none. */
export async function takeScopes(product: Product, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: await databaseUrlOf(product) });
  await client.connect();
  try {
    await client.query(`UPDATE identity.tokens SET scopes = '{}' WHERE name = $1`, [name]);
  } finally {
    await client.end();
  }
}
