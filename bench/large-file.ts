import { link, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeBigPackage } from './big-package.js';
import { type Contender, compare } from './compare.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { spreadOf } from './statistics.js';
import { shown, shownSpread } from './table.js';

const SIZE_BYTES = 300_000_000;
const CONNECTIONS = 2;
const REQUESTS = 4;
const MB = 1e6;
const GB = 1e9;

/** Downloads of a large private artifact: throughput, and processor time for each gigabyte. */
export async function measureLargeFile(stand: Stand): Promise<Report> {
  const { product, publisher, readToken, nginx, plain, served, folder } = stand;
  const artifact = await writeBigPackage('bench-large', SIZE_BYTES, join(folder, 'large.conda'));
  await publisher.ensurePackage(artifact.name, 'conda', 'private');
  await publisher.publish(artifact);

  const path = `/t/${readToken}/${product.admin.login}/${artifact.basename}`;
  const request = `GET ${path} HTTP/1.1\r\nHost: ${new URL(product.url).host}\r\nAccept: */*\r\n\r\n`;
  const fields = ['Content-Type', 'application/octet-stream', 'Content-Length', String(artifact.sizeBytes)];
  await plain.teach(path, { status: 200, fields, base64: '', file: artifact.file ?? '' });
  const contenders: Contender[] = [
    { name: 'vivarium', port: Number(new URL(product.url).port), pids: [stand.pid()], request },
    { name: 'node:http, createReadStream', port: plain.port, pids: [plain.pid], request },
  ];
  if (nginx !== undefined) {
    await mkdir(dirname(join(served, path)), { recursive: true });
    await link(artifact.file ?? '', join(served, path));
    contenders.push({ name: 'nginx, sendfile', port: nginx.port, pids: nginx.workerPids, request });
  }
  const load = { stop: { requests: REQUESTS }, connections: CONNECTIONS, status: 200 };
  const { result } = await stand.memory.during('downloads of a large file', () => compare(stand, contenders, load));

  const figures = [...result].map(([name, rounds]) => ({
    name,
    megabytesPerSecond: spreadOf(rounds.map(({ bodyBytes, ms }) => bodyBytes / MB / (ms / 1000))),
    cpuSecondsPerGigabyte: spreadOf(rounds.map(({ cpuMs, bodyBytes }) => cpuMs / 1000 / (bodyBytes / GB))),
  }));
  const nginxRate = figures.find(({ name }) => name.startsWith('nginx'))?.megabytesPerSecond.median;
  return {
    title: `Downloads of ${shown(artifact.sizeBytes / MB)} MB, private (${CONNECTIONS} connections, ${REQUESTS} downloads a round, ${stand.options.rounds} interleaved rounds)`,
    columns: ['what', 'MB/s', 'CPU s/GB', 'MB/s ÷ nginx'],
    rows: figures.map(({ name, megabytesPerSecond, cpuSecondsPerGigabyte }) => [
      name,
      shownSpread(megabytesPerSecond, 0),
      shownSpread(cpuSecondsPerGigabyte, 2),
      nginxRate === undefined ? '–' : shown(megabytesPerSecond.median / nginxRate, 2),
    ]),
    notes: [
      'Files are in the page cache. The product reads a blob of its folder store.',
      ...(nginx === undefined ? ['nginx is not installed, left out.'] : []),
    ],
    figures,
  };
}
