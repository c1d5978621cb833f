import { request } from 'node:http';
import { audienceOf } from '@vivarium/access/audience';
import pg from 'pg';
import { fetchWhole } from './http-client.js';
import type { Pair } from './pair.js';
import { basicOf, createToken } from './publish.js';
import type { Report } from './report.js';
import { rowOf } from './rows.js';
import { percentileOf } from './statistics.js';
import { shown } from './table.js';

const SIZES = [1_000, 100_000] as const;
const GRANTED = 50;
const MEMBER = { login: 'bench-member', password: 'a password of the bench' };

/** Who asks for a list, and how. */
interface Asker {
  readonly name: string;
  /** The value of the Authorization header. */
  readonly authorization: string | undefined;
}

/**
 * Lists the packages of a channel with 1,000 packages and of one with 100,000, all private, for its owner, for a member of a
 * group that covers 50 of them, and for a stranger who sees one.
 */
export async function measureList(pair: Pair): Promise<Report> {
  const { product, options, token } = pair;
  const created = await ask(pair, 'POST', 'users', { ...MEMBER, email: `${MEMBER.login}@example.org` });
  expectStatus(created, 201, 'the member');
  const askers: readonly Asker[] = [
    { name: 'the owner', authorization: `token ${token}` },
    {
      name: `a member with ${GRANTED} of them`,
      authorization: `token ${await createToken(product.api, basicOf(MEMBER), 'bench', null)}`,
    },
    { name: 'a stranger', authorization: undefined },
  ];
  for (const size of SIZES) await fill(pair, size);
  const times = new Map<string, number[]>();
  // In turns, so that what else goes on meets all of them.
  for (let round = 0; round < options.listings; round++) {
    for (const asker of askers) {
      for (const size of SIZES) {
        const key = rowName(asker, size);
        times.set(key, [...(times.get(key) ?? []), await firstPageMs(pair, asker, size)]);
      }
    }
  }
  const of = (asker: Asker, size: number) => times.get(rowName(asker, size)) ?? [];
  return {
    title: `GET /api/packages/{channel} until its first page (${options.listings} times each)`,
    columns: ['what', 'p50 ms', 'p99 ms', 'max ms'],
    rows: askers.flatMap((asker) => [
      ...SIZES.map((size) => rowOf(rowName(asker, size), of(asker, size))),
      [
        `  ${SIZES[1].toLocaleString('en-US')} ÷ ${SIZES[0].toLocaleString('en-US')}`,
        ...[50, 99, 100].map((percent) =>
          shown(percentileOf(of(asker, SIZES[1]), percent) / percentileOf(of(asker, SIZES[0]), percent), 2),
        ),
      ],
    ]),
    notes: [
      'A page of the owner is 200 packages, that of a member 51, that of a stranger one. With identity, authz and the bus.',
      'The packages hold no files and are put into the database by hand; the grants are made through the API.',
    ],
    figures: Object.fromEntries(times),
  };
}

function rowName({ name }: Asker, size: number): string {
  return `${name}, ${size.toLocaleString('en-US')} packages`;
}

function channelOf(size: number): string {
  return `bench-list-${size}`;
}

async function fill(pair: Pair, size: number): Promise<void> {
  const channel = channelOf(size);
  expectStatus(await ask(pair, 'POST', 'organizations', { login: channel }), 201, channel);
  await ask(pair, 'POST', `package/${channel}/an-open-one`, { public: true, public_attrs: {} });
  await insertPrivate(pair.product.env.DATABASE_URL ?? '', channel, size);
  expectStatus(await ask(pair, 'POST', `group/${channel}/devs`, { perms: 'read' }), 204, 'the group');
  expectStatus(await ask(pair, 'PUT', `group/${channel}/devs/members/${MEMBER.login}`), 204, 'its member');
  for (let index = 1; index <= GRANTED; index++) {
    const name = nameOf(Math.floor((index * size) / GRANTED));
    expectStatus(await ask(pair, 'PUT', `group/${channel}/devs/packages/${name}`), 204, `the grant of ${name}`);
  }
}

/** The same rows as an upload of nothing makes, without a hundred thousand requests. */
async function insertPrivate(url: string, channel: string, size: number): Promise<void> {
  const audience = audienceOf({ visibility: 'private', grants: [] });
  const database = new pg.Client({ connectionString: url });
  await database.connect();
  try {
    await database.query(
      `INSERT INTO packages.packages (id, channel_id, name, visibility, audience_id, audience)
       SELECT gen_random_uuid(), c.id, 'listed-' || lpad(n::text, 6, '0'), 'private', $2, $3
       FROM packages.channels c, generate_series(1, $4::int) n WHERE c.login = $1`,
      [channel, audience.id, JSON.stringify(audience), size],
    );
    await database.query('ANALYZE packages.packages');
  } finally {
    await database.end();
  }
}

function nameOf(index: number): string {
  return `listed-${String(index).padStart(6, '0')}`;
}

/** From the question to the head of the answer, which comes with the first page; the rest is not read. */
function firstPageMs({ product }: Pair, { authorization }: Asker, size: number): Promise<number> {
  const headers = { Connection: 'close', ...(authorization === undefined ? {} : { Authorization: authorization }) };
  return new Promise((resolve, reject) => {
    const sentAt = performance.now();
    const asked = request(`${product.api}/packages/${channelOf(size)}`, { headers, agent: false }, (response) => {
      const ms = performance.now() - sentAt;
      response.destroy();
      if (response.statusCode === 200) resolve(ms);
      else reject(new Error(`the list of ${channelOf(size)} was answered ${response.statusCode}`));
    });
    asked.on('error', reject);
    asked.end();
  });
}

function ask({ product, token }: Pair, method: string, path: string, body?: unknown) {
  return fetchWhole(`${product.api}/${path}`, {
    method,
    fields: { Authorization: `token ${token}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body)) }),
  });
}

function expectStatus(answer: { readonly status: number; readonly body: Buffer }, status: number, what: string): void {
  if (answer.status !== status) throw new Error(`${what} was answered ${answer.status}: ${answer.body.toString()}`);
}
