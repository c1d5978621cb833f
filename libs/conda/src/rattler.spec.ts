// A real client against the composed index: whatever format it is given, it must find the same packages.
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { type CondaPath, parseCondaPath } from './path.js';
import { type CondaRecord, recordOf } from './record.js';
import { chunkTextOf, composeJson, composeZst, compressChunk } from './rope.js';
import { encodeShard, encodeShardIndex } from './shard.js';

interface Solved {
  readonly url: string;
  readonly filename: string;
  readonly packageName: string;
  readonly version: string;
  readonly build: string;
  readonly sha256?: string;
  readonly md5?: string;
  readonly size?: bigint | number;
  readonly depends: readonly string[];
}

const { simpleSolve } = createRequire(import.meta.url)('@conda-org/rattler') as {
  simpleSolve(specs: string[], channels: string[], platforms: string[]): Promise<Solved[]>;
};

type Refused = (resource: CondaPath['resource']) => boolean;

const SUBDIRS = ['linux-64', 'noarch'];
const RECORDS = [
  record('linux-64', { name: 'my-app', version: '1.0', depends: ['my-lib >=1.0,<2', 'tool'] }),
  record('linux-64', { name: 'my-app', version: '1.1rc1', depends: ['my-lib >=2', 'missing'] }),
  record('linux-64', { name: 'my-lib', version: '1.0', depends: [] }),
  record('linux-64', { name: 'my-lib', version: '1.10', depends: [] }),
  record('linux-64', { name: 'my-lib', version: '1.9', depends: [], track_features: 'slow' }),
  record('linux-64', { name: 'my-lib', version: '2.0', depends: ['missing >=1'] }),
  record('noarch', { name: 'tool', version: '1!0.5+local', noarch: 'generic', depends: ['_mutex * x_*'] }),
  record('noarch', { name: '_mutex', version: '1', build: 'x_1', noarch: 'generic', depends: [] }),
  record('noarch', { name: '7', version: '1', noarch: 'python', depends: ['my-lib 1.10.*'] }, 'tar.bz2'),
  ...Array.from({ length: 300 }, (_, i) =>
    record('noarch', { name: `other-${i % 60}`, version: `1.${i}`, noarch: 'generic', depends: [`other-${i % 59}`] }),
  ),
];

let server: Server;
let requests: string[] = [];
let refused: Refused = () => false;

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url ?? '');
    const bytes = answerTo(request.url ?? '');
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.byteLength ?? 0 });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

// The client remembers formats by channel, so each case has a channel of its own.
const CASES: [string, string, Refused, string][] = [
  ['from shards', 'sharded', () => false, '/repodata_shards.msgpack.zst'],
  ['from .zst', 'zst', (resource) => resource.kind.startsWith('shard'), '/repodata.json.zst'],
  [
    'from .json',
    'json',
    (resource) => resource.kind.startsWith('shard') || (resource.kind === 'repodata' && resource.format === 'json.zst'),
    '/repodata.json',
  ],
];

describe('a real client', () => {
  it.each(CASES)('solves %s', async (_, channel, refuses, last) => {
    const solved = await solve(['my-app', '7'], channel, refuses);
    expect(solved).toEqual(
      [
        '7-1-0.tar.bz2',
        '_mutex-1-x_1.conda',
        'my-app-1.0-0.conda',
        'my-lib-1.10-0.conda',
        'tool-1!0.5+local-0.conda',
      ].map(expectedOf),
    );
    // The format that was meant is the one that was read, for both directories.
    for (const subdir of SUBDIRS) {
      const asked = requests.filter((url) => url.includes(`/${subdir}/`) && !url.includes('/shards/'));
      expect(asked.at(-1)).toBe(`/${channel}/${subdir}${last}`);
    }
    expect(requests.some((url) => url.includes('/shards/'))).toBe(channel === 'sharded');
  });

  it('says that there is nothing in a channel without packages, in every format', async () => {
    for (const [, channel, refuses] of CASES) {
      await expect(solve(['my-app'], `empty-${channel}`, refuses)).rejects.toThrow(/my-app/);
    }
  });
});

async function solve(specs: string[], channel: string, refuses: Refused) {
  requests = [];
  refused = refuses;
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const solved = await simpleSolve(specs, [`${base}/${channel}`], SUBDIRS).catch((error: unknown) => {
    throw new Error(String(error));
  });
  return solved
    .map(({ url, filename, sha256, md5, size, depends }) => {
      const place = decodeURIComponent(new URL(url).pathname).split('/').slice(2).join('/');
      return { place, filename, sha256, md5, size: Number(size), depends };
    })
    .sort((a, b) => (a.filename < b.filename ? -1 : 1));
}

function expectedOf(filename: string) {
  const found = RECORDS.find((entry) => entry.filename === filename);
  const { sha256, md5, size, depends, subdir } = found?.record ?? ({} as CondaRecord);
  return { place: `${subdir}/${filename}`, filename, sha256, md5, size, depends };
}

function answerTo(url: string): Uint8Array | undefined {
  const path = parsed(url);
  if (path === undefined || refused(path.resource)) return undefined;
  const { resource } = path;
  if (!('subdir' in resource)) return undefined;
  const mine = path.channel.startsWith('empty')
    ? []
    : RECORDS.filter((entry) => entry.record.subdir === resource.subdir);
  const names = [...new Set(mine.map((entry) => entry.record.name))];
  const shards = names.map((name) => ({ name, ...encodeShard(mapsOf(mine.filter((e) => e.record.name === name))) }));
  switch (resource.kind) {
    case 'shard-index':
      return encodeShardIndex({
        subdir: resource.subdir,
        createdAt: '2026-11-24T12:00:00Z',
        shards: shards.map(({ name, hash }) => [name, hash] as const),
      });
    case 'shard':
      return shards.find(({ hash }) => hash === resource.hash)?.bytes;
    case 'repodata': {
      const compose = resource.format === 'json' ? composeJson : composeZst;
      // Cut into chunks of a few names, as an index is.
      const chunks = (kind: 'packages' | 'condaPackages') =>
        Array.from({ length: Math.ceil(names.length / 7) }, (_, i) => names.slice(i * 7, i * 7 + 7))
          .map((some) => chunkTextOf(mapsOf(mine.filter((entry) => some.includes(entry.record.name)))[kind]))
          .filter((text) => text !== '')
          .map(compressChunk);
      return compose(resource.subdir, chunks('packages'), chunks('condaPackages'));
    }
    default:
      return undefined;
  }
}

function parsed(url: string): CondaPath | undefined {
  try {
    return parseCondaPath(url);
  } catch {
    return undefined;
  }
}

function mapsOf(entries: readonly { filename: string; record: CondaRecord }[]) {
  const of = (extension: string) =>
    new Map(entries.filter(({ filename }) => filename.endsWith(extension)).map((e) => [e.filename, e.record] as const));
  return { packages: of('.tar.bz2'), condaPackages: of('.conda') };
}

function record(subdir: string, index: Record<string, unknown>, format = 'conda') {
  const full = { build: '0', build_number: 0, subdir, timestamp: 1_700_000_000_000, ...index };
  const filename = `${index.name}-${index.version}-${full.build}.${format}`;
  const facts = {
    sha256: createHash('sha256').update(filename).digest('hex'),
    md5: createHash('md5').update(filename).digest('hex'),
    sizeBytes: 1000 + filename.length,
    subdir,
    indexedAtMs: 1_700_000_000_000,
    runExports: { weak: [`${index.name} >=1`] },
  };
  return { filename, record: recordOf(full, facts) };
}
