// The real client against what this service stored: whatever format it reads, it finds the packages of its view.
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { jest } from '@jest/globals';
import { aFile, openStage, PUBLIC, privateTo, type Stage } from './conda-index.fixture.js';
import { findHead } from './find-head.js';
import { manifestOf, type SeenView, viewOf } from './view.fixture.js';

jest.setTimeout(60_000);

const { simpleSolve } = createRequire(import.meta.url)('@conda-org/rattler') as {
  simpleSolve(specs: string[], channels: string[], platforms: string[]): Promise<{ filename: string }[]>;
};

const FORMATS = ['repodata_shards.msgpack.zst', 'repodata.json.zst', 'repodata.json'] as const;

let stage: Stage;
let server: Server;
const views = new Map<string, SeenView>();
const served = new Set<string>();

beforeAll(async () => {
  stage = await openStage();
  const files = (name: string, depends: readonly string[] = []) => [
    aFile(name, '1.0', { depends }),
    aFile(name, '1.1', { depends, format: 'tar.bz2' }),
  ];
  stage.feed.set('acme', 'app', { packageId: 'app', audience: PUBLIC, files: files('app', ['lib >=1.1', 'tool']) });
  stage.feed.set('acme', 'lib', { packageId: 'lib', audience: privateTo('staff'), files: files('lib') });
  stage.feed.set('acme', 'tool', {
    packageId: 'tool',
    audience: PUBLIC,
    files: [aFile('tool', '3', { subdir: 'noarch' })],
  });
  for (let i = 0; i < 200; i++) {
    stage.feed.set('acme', `other-${i}`, { packageId: `o${i}`, audience: PUBLIC, files: files(`other-${i}`) });
  }
  await stage.worker().fold('acme');
  for (const subdir of ['linux-64', 'noarch']) {
    const { hash } = await findHead(stage.pool, 'acme', { label: 'main', subdir });
    const manifest = await manifestOf(stage.blobs, hash);
    views.set(`staff/${subdir}`, await viewOf(stage.blobs, manifest));
    views.set(`stranger/${subdir}`, await viewOf(stage.blobs, manifest, ({ id }) => id === 'public'));
  }
  // /<who>-<format>/<subdir>/<file>: a channel for each case, since the client remembers what a channel has.
  server = createServer((request, response) => {
    const [, channel = '', subdir = '', ...rest] = (request.url ?? '').split('/');
    const [who = '', format] = channel.split('-');
    const file = rest.join('/');
    const view = views.get(`${who}/${subdir}`);
    const shard = /^shards\/([0-9a-f]{64})\.msgpack\.zst$/.exec(file)?.[1];
    const bytes =
      shard !== undefined
        ? view?.shards.get(shard)
        : file === FORMATS[Number(format)]
          ? bytesIn(view, file)
          : undefined;
    if (bytes !== undefined) served.add(`${channel} ${shard === undefined ? file : 'shard'}`);
    response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.byteLength ?? 0 });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await stage.stop();
});

function bytesIn(view: SeenView | undefined, file: string): Uint8Array | undefined {
  return { [FORMATS[0]]: view?.shardIndex, [FORMATS[1]]: view?.zst, [FORMATS[2]]: view?.json }[file];
}

function solve(channel: string): Promise<string[]> {
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return simpleSolve(['app'], [`${base}/${channel}`], ['linux-64', 'noarch']).then(
    (found) => found.map(({ filename }) => filename).sort(),
    (error: unknown) => {
      throw new Error(String(error));
    },
  );
}

describe('the real client', () => {
  it.each(FORMATS.map((format, at) => [format, at] as const))('solves from %s', async (format, at) => {
    expect(await solve(`staff-${at}`)).toEqual(['app-1.1-0.tar.bz2', 'lib-1.1-0.tar.bz2', 'tool-3-0.conda']);
    expect(served.has(`staff-${at} ${format}`)).toBe(true);
  });

  it.each(FORMATS.map((format, at) => [format, at] as const))('finds nothing hidden in %s', async (_, at) => {
    await expect(solve(`stranger-${at}`)).rejects.toThrow(/lib/);
  });
});
