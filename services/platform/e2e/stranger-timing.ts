import { randomBytes, randomInt } from 'node:crypto';
import { Agent, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { Product } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { wheel } from './distributions.js';
import type { Distribution, Publisher } from './publisher.js';

/** How two samples of durations compare. */
export interface Comparison {
  /** Mann–Whitney: about normal with mean 0 and deviation 1 if nothing tells the two apart. Above 0: the first are longer. */
  readonly z: number;
  /** How often one of the first is longer than one of the second: 0.5 if nothing tells them apart. */
  readonly share: number;
  /** Of each, in the unit of the samples. */
  readonly medians: readonly [number, number];
}

/**
 * Compares two samples by ranks, so that a few slow answers of a busy machine do not count more than others.
 * Source: Mann and Whitney 1947, normal approximation with the correction for ties.
 */
export function compare(one: readonly number[], other: readonly number[]): Comparison {
  const all = [...one.map((value) => ({ value, isOne: true })), ...other.map((value) => ({ value, isOne: false }))];
  all.sort((a, b) => a.value - b.value);
  let [ranks, ties] = [0, 0];
  for (let from = 0; from < all.length; ) {
    let to = from;
    while (to < all.length && all[to]?.value === all[from]?.value) to++;
    const count = to - from;
    ranks += all.slice(from, to).filter(({ isOne }) => isOne).length * ((from + 1 + to) / 2);
    ties += count ** 3 - count;
    from = to;
  }
  const [n, m, total] = [one.length, other.length, all.length];
  const u = ranks - (n * (n + 1)) / 2;
  const deviation = Math.sqrt(((n * m) / 12) * (total + 1 - ties / (total * (total - 1))));
  return { z: (u - (n * m) / 2) / deviation, share: u / (n * m), medians: [medianOf(one), medianOf(other)] };
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

interface Timed {
  readonly us: number;
  readonly status: number;
  readonly told: string;
}

const PASSING = new Set(['date']);

/** Asks on one connection that stays open, one request after the other, and takes the time of each. */
class Stopwatch {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Timed> {
    return new Promise((resolve, reject) => {
      const begun = process.hrtime.bigint();
      const outgoing = request(url, { agent: this.#agent, headers });
      outgoing.on('error', reject);
      outgoing.on('response', (incoming) => {
        buffer(incoming).then((bytes) => {
          const us = Number(process.hrtime.bigint() - begun) / 1_000;
          const { statusCode = 0, rawHeaders } = incoming;
          const heard = rawHeaders.filter((_, at) => !PASSING.has((rawHeaders[at - (at % 2)] ?? '').toLowerCase()));
          resolve({ us, status: statusCode, told: [statusCode, ...heard, bytes.toString('latin1')].join('\n') });
        }, reject);
      });
      outgoing.end();
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** A name that is asked for. */
export interface Name {
  readonly text: string;
  readonly isHidden: boolean;
  /** SHA-256 of its wheel. */
  readonly sha256: string;
}

const PARALLEL = 6;

/** Makes `count` private packages under names that nobody can guess, and draws as many that nothing has. */
async function hideNames(product: Product, owner: Publisher, token: string, count: number): Promise<readonly Name[]> {
  const names: Name[] = [];
  const left = Array.from({ length: count }, freshName);
  const worker = async () => {
    for (let text = left.pop(); text !== undefined; text = left.pop()) {
      await owner.createPackage(text, { isPrivate: true, type: 'pypi' });
      const file = wheel({ name: text, version: '1.0' });
      await uploadByForm(product, owner.login, token, file);
      names.push({ text, isHidden: true, sha256: file.sha256 });
      const sha256 = randomBytes(32).toString('hex');
      names.push({ text: freshName(), isHidden: false, sha256 });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return names;
}

function freshName(): string {
  return `n${randomBytes(5).toString('hex')}`;
}

async function uploadByForm(product: Product, channel: string, token: string, file: Distribution & { sha256: string }) {
  const fields = { ':action': 'file_upload', protocol_version: '1', filetype: 'bdist_wheel', pyversion: 'py3' };
  const { name, version, sha256, basename, bytes } = file;
  const boundary = randomBytes(16).toString('hex');
  const part = (head: string) => `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`;
  const parts = Object.entries({ ...fields, name, version, sha256_digest: sha256 }).map(
    ([field, value]) => `${part(`name="${field}"`)}${value}\r\n`,
  );
  const { status, text } = await ask(`${product.pypi}/${channel}/legacy/`, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}`, Authorization: `token ${token}` },
    body: Buffer.concat([
      Buffer.from(parts.join('') + part(`name="content"; filename="${basename}"`)),
      bytes,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]),
  });
  if (status !== 200) throw new Error(`${basename}: ${status} ${text()}`);
}

type AddressesOf = (channel: string, name: Name) => readonly string[];

const ofFiles =
  (...ends: readonly string[]): AddressesOf =>
  (channel, { text, sha256 }) =>
    ends.map((end) => `/pypi/${channel}${end.replace('NAME', text).replace('SHA256', sha256)}`);

const WHEEL = 'files/SHA256/NAME-1.0-py3-none-any.whl';

/** The addresses at which a name is asked for, each once. */
export const ROUTES: Readonly<Record<string, AddressesOf>> = {
  'a page of Python': ofFiles('/simple/NAME/', '/label/main/simple/NAME/'),
  'a wheel': ofFiles(`/${WHEEL}`, `/${WHEEL}.metadata`, `/label/main/${WHEEL}`, `/label/main/${WHEEL}.metadata`),
  'a package of the API': (channel, { text }) => [`/api/package/${channel}/${text}`],
  'a web page': (channel, { text }) => [`/${channel}/${text}`],
};

/** What strangers were told of hidden names and of missing ones, all asked for in a random order. */
interface Asked {
  /** In microseconds. */
  readonly hidden: readonly number[];
  readonly missing: readonly number[];
  /** All answers that differ in more than the name. */
  readonly answers: ReadonlySet<string>;
}

async function askForNames(
  product: Product,
  channel: string,
  names: readonly Name[],
  route: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Asked> {
  const addressesOf = ROUTES[route];
  if (addressesOf === undefined) throw new Error(`there is no route "${route}"`);
  const questions = names.flatMap((name) => addressesOf(channel, name).map((address) => ({ name, address })));
  const times: Record<'hidden' | 'missing', number[]> = { hidden: [], missing: [] };
  const answers = new Set<string>();
  const stopwatch = new Stopwatch();
  // The connection is made, and the route has its speed, before a name is asked for.
  for (let warm = 0; warm < 50; warm++) {
    const nobody = { text: freshName(), isHidden: false, sha256: randomBytes(32).toString('hex') };
    for (const address of addressesOf(channel, nobody)) await stopwatch.ask(`${product.url}${address}`, headers);
  }
  for (const { name, address } of shuffled(questions)) {
    const { us, told } = await stopwatch.ask(`${product.url}${address}`, headers);
    times[name.isHidden ? 'hidden' : 'missing'].push(us);
    answers.add(told.replaceAll(name.text, '…').replace('.metadata', ''));
  }
  stopwatch.close();
  return { ...times, answers };
}

function shuffled<T>(values: T[]): T[] {
  for (let at = values.length - 1; at > 0; at--) {
    const other = randomInt(at + 1);
    const [one, two] = [values[at], values[other]];
    if (one !== undefined && two !== undefined) [values[at], values[other]] = [two, one];
  }
  return values;
}

/** For a person to read: what the statistic says of each route. */
function lineOf(route: string, caller: string, { hidden, missing }: Asked): string {
  const { z, share, medians } = compare(hidden, missing);
  const [one, other] = medians.map((us) => `${us.toFixed(0)} µs`);
  return `${route}, ${caller}: z = ${z.toFixed(2)}, a hidden name takes longer in ${(share * 100).toFixed(1)} %, medians ${one} and ${other}, ${hidden.length} of each`;
}

/** A whole run: an insider looks at everything first, so that whatever is remembered is remembered when the strangers come. */
export async function prepareNames(product: Product, admin: Publisher, count: number) {
  const [alice, bob] = [await admin.makeUser('alice'), await admin.makeUser('bob')];
  const token = await alice.makeToken({ name: 'insider' });
  const names = await hideNames(product, alice, token, count);
  for (const name of names.filter(({ isHidden }) => isHidden)) {
    for (const rawPath of Object.values(ROUTES).flatMap((addressesOf) => addressesOf('alice', name))) {
      const { status } = await ask(product.url, { rawPath, headers: { Authorization: `token ${token}` } });
      if (status !== 200) throw new Error(`${rawPath} answered its owner ${status}`);
    }
  }
  return { names, strangerToken: await bob.makeToken({ name: 'stranger' }) };
}

/** Prints what the statistic says, and gives it with all answers that differ. */
export async function measure(
  product: Product,
  names: readonly Name[],
  route: string,
  caller: { readonly name: string; readonly headers: Readonly<Record<string, string>> },
) {
  const asked = await askForNames(product, 'alice', names, route, caller.headers);
  process.stdout.write(`${lineOf(route, caller.name, asked)}\n`);
  return { ...compare(asked.hidden, asked.missing), count: asked.hidden.length, answers: [...asked.answers] };
}
