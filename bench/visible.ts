import { zstdDecompressSync } from 'node:zlib';
import { condaArtifact, wheelArtifact } from './fill.js';
import { type Answer, fetchWhole } from './http-client.js';
import type { Artifact, Published } from './publish.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { percentileOf } from './statistics.js';
import { shown } from './table.js';

const PATIENCE_MS = 15_000;

/** Times of one publish in ms, each from the client's last byte of the upload unless it says otherwise. */
type Times = Readonly<Record<string, number>>;

/**
 * Publishes one file after another into a channel that holds many, and reads every index anew until it shows the file.
 * Every second file is a new version of a known name, the others bring new names.
 */
export async function measureVisible(stand: Stand): Promise<Report> {
  const { options, memory } = stand;
  await stand.fillChannel();
  const { result } = await memory.during('publishing one by one', async () => {
    const times = { conda: [] as Times[], pypi: [] as Times[] };
    for (let index = 0; index < options.publishes; index++) {
      const name = index % 2 === 0 ? 'visible' : `visible-${index}`;
      times.conda.push(await publishConda(stand, condaArtifact(name, `2.${index}`)));
      times.pypi.push(await publishWheel(stand, wheelArtifact(`${name}-wheel`, `2.${index}`)));
    }
    return times;
  });
  const rows = Object.entries(result).flatMap(([kind, times]) => rowsOf(kind, times));
  return {
    title: `Publish → visible in every format, in a channel of ${options.files} conda files (${options.publishes} publishes of each kind, one at a time)`,
    columns: ['what', 'p50 ms', 'p99 ms', 'max ms'],
    rows,
    notes: [
      'From the last byte of the upload POST, through its 201 and the commit’s 200, to the last byte of an answer that shows the file.',
      'All formats are read anew at once after the 200; one that does not show the file yet is asked for again at once.',
    ],
    figures: result,
  };
}

async function publishConda(stand: Stand, artifact: Artifact): Promise<Times> {
  const { product, readToken, publisher } = stand;
  const base = `${product.url}/t/${readToken}/${product.admin.login}/noarch`;
  const filename = artifact.basename.slice('noarch/'.length);
  const published = await publisher.publish(artifact);
  const shows = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(`"${filename}"`);
  const [json, zst, shard] = await Promise.all([
    untilShown(() => fetchWhole(`${base}/repodata.json`), shows),
    untilShown(
      () => fetchWhole(`${base}/repodata.json.zst`),
      (bytes) => shows(zstdDecompressSync(bytes)),
    ),
    untilShown(
      () => fetchShard(base, artifact.name),
      (bytes) => zstdDecompressSync(bytes).includes(filename),
    ),
  ]);
  return timesOf(published, { 'repodata.json': json, 'repodata.json.zst': zst, 'shard index and shard': shard });
}

async function publishWheel(stand: Stand, artifact: Artifact): Promise<Times> {
  const { product, readToken, publisher } = stand;
  const page = `${product.url}/pypi/t/${readToken}/${product.admin.login}/simple/${artifact.name}/`;
  const published = await publisher.publish(artifact);
  const shows = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes(artifact.basename);
  const ask = (accept: string) => () => fetchWhole(page, { fields: { Accept: accept } });
  const [html, json] = await Promise.all([
    untilShown(ask('text/html'), shows),
    untilShown(ask('application/vnd.pypi.simple.v1+json'), shows),
  ]);
  return timesOf(published, { 'simple page, html': html, 'simple page, json': json });
}

/** Asks until the answer shows it; gives when the last byte of that answer was there, and how often was asked. */
async function untilShown(
  ask: () => Promise<Answer | undefined>,
  shows: (bytes: Uint8Array) => boolean,
): Promise<{ readonly at: number; readonly asked: number }> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let asked = 1; performance.now() < deadline; asked++) {
    const answer = await ask();
    if (answer?.status === 200 && shows(answer.body)) return { at: answer.receivedAt, asked };
  }
  throw new Error(`a published file was not visible after ${PATIENCE_MS} ms`);
}

/** As a client does: the index of shards, then the one shard that it names. */
async function fetchShard(base: string, name: string): Promise<Answer | undefined> {
  const index = await fetchWhole(`${base}/repodata_shards.msgpack.zst`);
  if (index.status !== 200) return undefined;
  const text = zstdDecompressSync(index.body);
  // In msgpack: the name as a text with its length, then a binary of 32 bytes.
  const key = Buffer.concat([Buffer.from(name), Buffer.of(0xc4, 32)]);
  const at = text.indexOf(key);
  const isWhole = at > 0 && (text[at - 1] === (0xa0 | name.length) || text[at - 1] === name.length);
  if (!isWhole) return undefined;
  const hash = text.toString('hex', at + key.length, at + key.length + 32);
  return fetchWhole(`${base}/shards/${hash}.msgpack.zst`);
}

function timesOf(
  { sentAt, storedAt, commitSentAt, committedAt }: Published,
  formats: Readonly<Record<string, { readonly at: number; readonly asked: number }>>,
): Times {
  const shownAt = Object.fromEntries(Object.entries(formats).map(([name, { at }]) => [name, at - sentAt]));
  return {
    'upload answered (201)': storedAt - sentAt,
    'commit alone (request to 200)': committedAt - commitSentAt,
    'commit answered (200)': committedAt - sentAt,
    ...shownAt,
    'every format': Math.max(...Object.values(shownAt)),
    'formats asked for more than once': Object.values(formats).filter(({ asked }) => asked > 1).length,
  };
}

function rowsOf(kind: string, times: readonly Times[]): readonly (readonly string[])[] {
  return Object.keys(times[0] ?? {}).map((what) => {
    const values = times.map((each) => each[what] ?? 0);
    const sum = values.reduce((total, value) => total + value, 0);
    // A count, not a time.
    if (what.startsWith('formats')) return [`${kind}: ${what}`, shown(sum), '', ''];
    const digits = [percentileOf(values, 50), percentileOf(values, 99), Math.max(...values)];
    return [`${kind}: ${what}`, ...digits.map((value) => shown(value, 1))];
  });
}
