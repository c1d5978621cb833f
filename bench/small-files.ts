import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Contender, compare, type Round } from './compare.js';
import { condaArtifact } from './fill.js';
import { type Answer, fetchWhole } from './http-client.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { spreadOf } from './statistics.js';
import { shown, shownSpread } from './table.js';

const CONNECTIONS = 32;
const ARTIFACT_BYTES = 19_000;
const SIMPLE_TYPES =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01';

interface Case {
  readonly title: string;
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly conditional: boolean;
}

/** Warm reads of small things, private ones with a token in the URL, beside nginx and bare node:http with the same bytes. */
export async function measureSmallFiles(stand: Stand): Promise<Report> {
  const { product, publisher, readToken } = stand;
  const { login } = product.admin;
  const artifact = condaArtifact('bench-secret', '1.0', ARTIFACT_BYTES);
  await publisher.ensurePackage(artifact.name, 'conda', 'private');
  await publisher.publish(artifact);
  await stand.fillChannel();

  const conda = {
    'User-Agent': 'conda/26.9.0 requests/2.32.5',
    Accept: '*/*',
    'Accept-Encoding': 'gzip, deflate, zstd',
  };
  const pip = { 'User-Agent': 'pip/26.3', Accept: SIMPLE_TYPES, 'Accept-Encoding': 'gzip, deflate' };
  const cases: readonly Case[] = [
    { title: 'artifact', path: `/t/${readToken}/${login}/${artifact.basename}`, fields: conda, conditional: false },
    { title: 'artifact, 304', path: `/t/${readToken}/${login}/${artifact.basename}`, fields: conda, conditional: true },
    {
      title: 'repodata.json.zst',
      path: `/t/${readToken}/${login}/noarch/repodata.json.zst`,
      fields: conda,
      conditional: false,
    },
    { title: 'simple page', path: `/pypi/t/${readToken}/${login}/simple/wheels-0/`, fields: pip, conditional: false },
  ];
  const { result } = await stand.memory.during('reads of small files', async () => {
    const results: (readonly [string, number, ReadonlyMap<string, readonly Round[]>])[] = [];
    for (const each of cases) results.push(await runCase(stand, each));
    return results;
  });
  return reportOf(stand, result);
}

async function runCase(
  stand: Stand,
  { title, path, fields, conditional }: Case,
): Promise<readonly [string, number, ReadonlyMap<string, readonly Round[]>]> {
  const { product, nginx, plain, served } = stand;
  const host = new URL(product.url).host;
  const whole = await fetchWhole(`${product.url}${path}`, { fields });
  if (whole.status !== 200) throw new Error(`${title} was answered ${whole.status}: ${whole.body.toString()}`);
  const requestFor = (etag: string | undefined): string =>
    requestOf(path, { Host: host, ...fields, ...(conditional ? { 'If-None-Match': etag ?? '' } : {}) });

  // Bare node:http sends what the product sends, to the byte.
  const ours = conditional
    ? await fetchWhole(`${product.url}${path}`, { fields: { ...fields, 'If-None-Match': whole.etag ?? '' } })
    : whole;
  await plain.teach(path, { status: ours.status, fields: ownFields(ours), base64: ours.body.toString('base64') });
  const contenders: Contender[] = [
    { name: 'vivarium', port: Number(new URL(product.url).port), pids: [stand.pid()], request: requestFor(whole.etag) },
    { name: 'node:http', port: plain.port, pids: [plain.pid], request: requestFor(whole.etag) },
  ];
  if (nginx !== undefined) {
    // nginx serves folders: a page of a folder gets the name of a file.
    const address = path.endsWith('/') ? `${path}page` : path;
    await mkdir(dirname(join(served, address)), { recursive: true });
    await writeFile(join(served, address), whole.body);
    const { etag } = await fetchWhole(`http://127.0.0.1:${nginx.port}${address}`);
    const request = requestFor(etag).replace(path, address);
    contenders.push({ name: 'nginx', port: nginx.port, pids: nginx.workerPids, request });
  }
  const status = conditional ? 304 : 200;
  const load = { stop: { forMs: stand.options.roundMs }, connections: CONNECTIONS, status };
  return [title, ours.body.length, await compare(stand, contenders, load)];
}

function requestOf(path: string, fields: Readonly<Record<string, string>>): string {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join('')}Connection: keep-alive\r\n\r\n`;
}

/** The fields that the product set itself: node adds the others to the answers of both. */
function ownFields({ rawFields }: Answer): readonly string[] {
  const addedByNode = new Set(['date', 'connection', 'keep-alive']);
  return rawFields.filter((_, at) => !addedByNode.has((rawFields[at - (at % 2)] ?? '').toLowerCase()));
}

function reportOf(
  { nginx, options }: Stand,
  results: readonly (readonly [string, number, ReadonlyMap<string, readonly Round[]>])[],
): Report {
  const rows: string[][] = [];
  const figures: unknown[] = [];
  for (const [title, bodyBytes, contenders] of results) {
    const cpuOf = (name: string): number | undefined => {
      const rounds = contenders.get(name);
      return rounds === undefined ? undefined : spreadOf(rounds.map(cpuMicrosOf)).median;
    };
    for (const [name, rounds] of contenders) {
      const rate = spreadOf(rounds.map(({ requests, ms }) => (requests / ms) * 1000));
      const cpu = spreadOf(rounds.map(cpuMicrosOf));
      const generator = spreadOf(rounds.map(({ generatorCpuMs, ms }) => generatorCpuMs / ms));
      const timesPeer = (peer: string): string => {
        const other = cpuOf(peer);
        return other === undefined ? '–' : shown(cpu.median / other, 2);
      };
      const what = `${title}, ${shown(bodyBytes)} B: ${name}`;
      rows.push([what, shownSpread(rate, 0), shownSpread(cpu, 1), timesPeer('node:http'), timesPeer('nginx')]);
      figures.push({ title, bodyBytes, name, requestsPerSecond: rate, cpuMicrosPerRequest: cpu, generator, rounds });
    }
  }
  return {
    title: `Warm authorized reads of small things (${CONNECTIONS} connections kept alive, median and min–max of ${options.rounds} interleaved rounds of ${options.roundMs / 1000} s)`,
    columns: ['what', 'requests/s', 'CPU µs/request', '× node:http', '× nginx'],
    rows,
    notes: [
      `nginx: ${nginx?.version ?? 'not installed, left out'}; one worker; it checks no token. node:http: the same head and body, nothing decided.`,
      'CPU is user + system time of the process that answers (product: the whole node process; nginx: its worker), from /proc.',
      'The share of the product holds what it does beside answering (see the CPU of the idle process): the fewer requests, the more of it each bears.',
      'Generator: our own, raw sockets in a process of its own, one request under way per connection.',
    ],
    figures,
  };
}

function cpuMicrosOf({ cpuMs, requests }: Round): number {
  return (cpuMs * 1000) / requests;
}
