import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { jest } from '@jest/globals';
import { SCOPES } from '@vivarium/access/scope';
import { startGateway } from '@vivarium/gateway/gateway.fixture';
import type { Route } from '@vivarium/gateway/routes';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { mintToken } from '@vivarium/token/format';
import { RESERVED_LOGINS } from '../src/reserved-logins.js';
import { type Answered, ask } from './ask.js';
import { condaPackage, wheel } from './distributions.js';
import { condaBase, shardsOf } from './formats.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import {
  type Address,
  changeOf,
  closeChannel,
  FORM,
  type Place,
  readAddresses,
  routeAddress,
  SPELLINGS,
  takeScopes,
} from './stranger-sweep.js';

jest.setTimeout(600_000);

const UNSERVED =
  /notices|\.txt|legacy|generation|tokens|authentications|groups?\/|collaborators|can-i|audit|users\/:login|sessions/;

// VIVARIUM_WRITE_SWEEP=1 writes the table anew; what changed in it is to be read like code.
const TABLE = new URL('stranger-sweep.table.txt', import.meta.url);

const SCOPES_TABLE = new URL('stranger-sweep.scopes.table.txt', import.meta.url);
const SCOPES_HEAD = `What every address answers to tokens with one scope each: of a stranger, and, where something is read, of the owner.
Written by the stranger sweep as the other table, whose words it uses.
`;

const HEAD = `What every address answers to strangers: status and code. Written by the stranger sweep with VIVARIUM_WRITE_SWEEP=1.

  hidden    a private package in a channel that anybody may see        closed    a channel that is private as a whole
  missing   a package there that does not exist                        nowhere   a channel that does not exist
  public    a public package there                                     any       the address names nothing

hidden and missing, closed and nowhere must be the same for everybody but the owner, whose token without scope is told why.
`;

const secrets = new Secrets();
let product: Product;
let bob: Publisher & { readonly password: string };
let owners: Readonly<Record<string, Publisher & { readonly password: string }>>;
let routes: readonly Route[];
let places: Readonly<Record<'hidden' | 'missing' | 'closed' | 'nowhere' | 'public', Place>>;
let unfit: Readonly<Record<string, string>>;
let bobToken: string;
let revoked: string;
let cookie: string;
let member: string;
let elsewhere: string;
/** Scope → a token that has no other: of a stranger, and of the owner. */
let narrow: Readonly<Record<'strangers' | 'owners', ReadonlyMap<string, string>>>;

type Resource = keyof typeof places;
const RESOURCES: readonly Resource[] = ['hidden', 'missing', 'closed', 'nowhere', 'public'];

beforeAll(async () => {
  // What one needs to know of the application is in its router, which is the same in every process.
  const gateway = await startGateway();
  routes = gateway.routes;
  await gateway.stop();
  product = await startProduct();
  const admin = await Publisher.admin(product, secrets);
  const alice = await admin.makeUser('alice');
  const quartz = await admin.makeUser('quartz');
  owners = { alice, quartz };
  bob = await admin.makeUser('bob');
  const hidden = [condaPackage({ name: 'zephyr', version: '1.0' }), wheel({ name: 'zephyr', version: '1.0' })] as const;
  const opened = [condaPackage({ name: 'opened', version: '1.0' }), wheel({ name: 'opened', version: '1.0' })] as const;
  for (const owner of [alice, quartz]) {
    for (const each of hidden) await owner.upload(each, { isPrivate: true, labels: ['main', 'zephyr'] });
  }
  for (const each of opened) await alice.upload(each, { labels: ['main', 'opened'] });
  await closeChannel(quartz);
  await alice.expectCall(201, 'POST', '/organizations', { login: 'openorg' });
  await alice.expectCall(201, 'POST', '/organizations', { login: 'orchard' });
  await alice.upload(hidden[0], { owner: 'orchard', isPrivate: true });
  await alice.expectCall(200, 'PUT', '/packages/orchard/default-visibility', { visibility: 'private' });
  const reader = await alice.makeToken({ name: 'reader', scopes: ['repos'] });
  const shards = await shardsOf(`${condaBase({ product, channel: 'alice', token: reader })}/noarch`);
  const shardOf = (name: string) => shards.get(name)?.split('/').at(-1)?.split('.')[0] ?? '';
  const none = '0'.repeat(64);
  const secret = { package: 'zephyr', sha256: hidden[1].sha256, shard: shardOf('zephyr') };
  places = {
    hidden: { channel: 'alice', organization: 'orchard', ...secret },
    missing: { channel: 'alice', organization: 'ordeals', package: 'zigzag', sha256: none, shard: none },
    closed: { channel: 'quartz', organization: 'orchard', ...secret },
    nowhere: { channel: 'quiver', organization: 'ordeals', ...secret },
    public: {
      channel: 'alice',
      organization: 'openorg',
      package: 'opened',
      sha256: opened[1].sha256,
      shard: shardOf('opened'),
    },
  };
  unfit = { alice: await alice.makeToken({ name: 'unfit' }), quartz: await quartz.makeToken({ name: 'unfit' }) };
  await takeScopes(product, 'unfit');
  const carol = await admin.makeUser('carol');
  await carol.expectCall(201, 'POST', '/organizations', { login: 'elsewhere' });
  member = await carol.makeToken({ name: 'member' });
  elsewhere = await carol.makeToken({ name: 'theirs', organization: 'elsewhere' });
  narrow = { strangers: await narrowTokens(await admin.makeUser('stan')), owners: await narrowTokens(alice) };
  bobToken = await bob.makeToken({ name: 'everything' });
  revoked = await bob.makeToken({ name: 'revoked' });
  await bob.removeToken('revoked');
  cookie = await signIn();
});

afterAll(async () => {
  await product?.stop();
});

/** One token for each scope, which is all that it has. */
async function narrowTokens(who: Publisher): Promise<ReadonlyMap<string, string>> {
  const made = new Map<string, string>();
  for (const scope of Object.keys(SCOPES))
    made.set(scope, await who.makeToken({ name: `only ${scope}`, scopes: [scope] }));
  return made;
}

async function signIn(): Promise<string> {
  const headers = { 'Content-Type': 'application/json', Origin: new URL(product.url).origin };
  const body = JSON.stringify({ login: 'bob', password: bob.password });
  const { headers: heard } = await ask(`${product.api}/session`, { method: 'POST', headers, body });
  return secrets.keep('session of bob', heard['set-cookie']?.[0]?.split(';')[0] ?? '');
}

type Headers = Readonly<Record<string, string>>;

const CALLERS: Readonly<Record<string, (place: Place) => Headers>> = {
  anonymous: () => ({}),
  'another user': () => ({ Authorization: `token ${bobToken}` }),
  'session of another user': () => ({ Cookie: cookie, 'X-Vivarium-CSRF': '1' }),
  'token without scope': ({ channel }) => ({ Authorization: `token ${unfit[channel] ?? unfit.alice}` }),
  'revoked token': () => ({ Authorization: `token ${revoked}` }),
  'unknown token': () => ({ Authorization: `token ${mintToken(randomBytes)}` }),
  'malformed token': () => ({ Authorization: 'token viv-not-a-token' }),
  'member of another organization': () => ({ Authorization: `token ${member}` }),
  'token of another organization': () => ({ Authorization: `token ${elsewhere}` }),
};

const STRANGERS = Object.keys(CALLERS).filter((name) => name !== 'token without scope');
const SPELLERS: ReadonlySet<string> = new Set(['anonymous', 'another user', 'token without scope']);

/** The hidden organization is the owner's, who is told what a token of theirs may not do there. */
function isTold(caller: string, { at }: Address): boolean {
  return caller === 'token without scope' && at(places.hidden).includes(places.hidden.organization);
}

/** What is hidden and what is missing, and to whom. */
const PAIRS: readonly (readonly [Resource, Resource, readonly string[]])[] = [
  ['hidden', 'missing', Object.keys(CALLERS)],
  ['closed', 'nowhere', STRANGERS],
];

function headersOf(caller: string, place: Place): Headers {
  const [, whose = '', scope = ''] = /^(strangers|owners) (\S+)$/.exec(caller) ?? [];
  const token = whose === 'strangers' || whose === 'owners' ? narrow[whose].get(scope) : undefined;
  return token === undefined ? (CALLERS[caller]?.(place) ?? {}) : { Authorization: `token ${token}` };
}

async function toldOf(
  address: Address,
  caller: string,
  resource: Resource,
  spelled: (place: Place) => string = address.at,
): Promise<string> {
  const place = places[resource];
  return tellingOf(await send(address, place, headersOf(caller, place), spelled(place)), place);
}

function send({ method, at }: Address, place: Place, headers: Headers, path = at(place)): Promise<Answered> {
  if (method === 'GET') return ask(product.url, { rawPath: path, headers });
  const isForm = path.startsWith('/pypi/') || path.startsWith('/api/-/upload/');
  const type = isForm ? FORM.type : 'application/json';
  return ask(product.url, {
    method,
    rawPath: path,
    headers: { 'Content-Type': type, ...headers },
    body: isForm ? FORM.body : changeOf(place),
  });
}

function addresses(): readonly Address[] {
  return [...routes.map(routeAddress), ...readAddresses()];
}

/** Addresses that are read, of something. */
function readable(): readonly Address[] {
  return addresses().filter(({ method, isPlaced }) => method === 'GET' && isPlaced);
}

/** Everybody; for the two routes that take away what they are asked with, those who have nothing to lose. */
function callersOf({ method, shape }: Address): readonly string[] {
  const isLast =
    method === 'DELETE' &&
    ['/api/authentications', '/api/authentications/all', '/api/session', '/api/sessions'].includes(shape);
  return Object.keys(CALLERS).filter((caller) => !isLast || /^(anonymous|revoked|unknown|malformed)/.test(caller));
}

describe('the stranger sweep', () => {
  it('finds every route × caller × resource as the table says', async () => {
    const lines: string[] = [];
    for (const address of addresses()) {
      lines.push('', `${address.method} ${address.shape}`);
      const rows = new Map<string, string[]>();
      // What is read may be read by all at once; a change of one might be in the way of another's.
      const reading = address.method === 'GET' ? callersOf(address).map((caller) => rowOf(address, caller)) : [];
      for (const [at, caller] of callersOf(address).entries()) {
        const row = (await reading[at]) ?? (await rowOf(address, caller));
        rows.set(row, [...(rows.get(row) ?? []), caller]);
      }
      for (const [row, callers] of rows) lines.push(`  ${row}`, `      ${callers.join(', ')}`);
    }
    const text = `${HEAD}${lines.join('\n')}\n`;
    if (process.env.VIVARIUM_WRITE_SWEEP === '1') writeFileSync(TABLE, text);
    expect(differences(readFileSync(TABLE, 'utf8'), text)).toEqual([]);
  });

  async function rowOf(address: Address, caller: string, resources = RESOURCES): Promise<string> {
    const cells = (address.isPlaced ? resources : (['public'] as const)).map(async (resource) => {
      const answered = await send(address, places[resource], headersOf(caller, places[resource]));
      return `${address.isPlaced ? resource : 'any'}: ${wordsOf(answered)}`;
    });
    return (await Promise.all(cells)).join(' | ');
  }

  it('finds for each scope alone what the other table says', async () => {
    const lines: string[] = [];
    for (const address of addresses()) {
      // What an owner's token changes would change the sweep.
      const whose = address.method === 'GET' ? (['strangers', 'owners'] as const) : (['strangers'] as const);
      const rows = new Map<string, string[]>();
      const asking = whose.flatMap((each) => Object.keys(SCOPES).map((scope) => `${each} ${scope}`));
      const isFatal = address.method === 'DELETE' && /^\/api\/authentications(\/all)?$/.test(address.shape);
      const found = await Promise.all(
        (isFatal ? [] : asking).map(async (caller) => [
          await rowOf(address, caller, ['hidden', 'missing', 'public']),
          caller,
        ]),
      );
      for (const [row = '', caller = ''] of found) rows.set(row, [...(rows.get(row) ?? []), caller]);
      lines.push('', `${address.method} ${address.shape}`);
      for (const [row, callers] of rows) lines.push(`  ${row}`, `      ${callers.join(', ')}`);
    }
    const text = `${SCOPES_HEAD}${lines.join('\n')}\n`;
    if (process.env.VIVARIUM_WRITE_SWEEP === '1') writeFileSync(SCOPES_TABLE, text);
    expect(differences(readFileSync(SCOPES_TABLE, 'utf8'), text)).toEqual([]);
  });

  it('finds that the address of what it cannot see and of what is not there are the same', async () => {
    const unequal: unknown[] = [];
    for (const address of addresses().filter(({ isPlaced }) => isPlaced)) {
      for (const [one, other, callers] of PAIRS) {
        const asking = callers.filter((caller) => !isTold(caller, address));
        const all = asking.map(async (caller) => {
          const [told, expected] = await Promise.all([toldOf(address, caller, one), toldOf(address, caller, other)]);
          if (told !== expected) unequal.push([`${address.method} ${address.shape}`, caller, told, expected]);
        });
        await Promise.all(all);
      }
    }
    expect(unequal).toEqual([]);
  });

  it('finds what is public, and its owner finds what is private: the addresses above are no mistakes', async () => {
    const reader = await owners.alice?.makeToken({ name: 'sweep', scopes: ['all'] });
    const found = async (resource: Resource, headers: Headers) => {
      const ok = new Set<string>();
      for (const address of readable()) {
        const { status } = await send(address, places[resource], headers);
        if (status === 200 || status === 302) ok.add(address.shape);
      }
      return ok;
    };
    const open = await found('public', {});
    const own = await found('hidden', { Authorization: `token ${reader}` });
    // What only owners and administrators read.
    const inner = /tokens|authentications|groups?\/|collaborators|can-i|audit|generation|users\/:login/;
    expect([...own].filter((shape) => !open.has(shape) && !inner.test(shape))).toEqual([]);
    expect([...own].filter((shape) => !open.has(shape)).length).toBeGreaterThan(8);
    expect([...open].filter((shape) => !own.has(shape))).toEqual([]);
    // The kinds that nobody serves, and the upload.
    const refused = readable()
      .map(({ shape }) => shape)
      .filter((shape) => !open.has(shape));
    expect(refused.filter((shape) => !UNSERVED.test(shape))).toEqual([]);
  });

  it('finds that nothing was changed', async () => {
    const seen = await owners.alice?.expectCall(200, 'GET', '/packages/alice');
    const rows = seen?.json<{ name: string; visibility: string; summary: string }[]>() ?? [];
    expect(rows.map(({ name, visibility }) => [name, visibility])).toEqual([
      ['opened', 'public'],
      ['zephyr', 'private'],
    ]);
    expect(rows.map(({ summary }) => summary).join()).not.toContain('swept');
    expect((await ask(product.url, { rawPath: '/pypi/alice/simple/swept/' })).status).toBe(404);
  });

  it('finds every byte and header as it was after something private was published and changed', async () => {
    const everything = async () => {
      const told = new Map<string, string>();
      for (const address of readable()) {
        for (const caller of ['anonymous', 'another user']) {
          const { status, told: headers, bytes } = await send(address, places.public, headersOf(caller, places.public));
          // How often something public was downloaded, this sweep counts itself.
          const text = bytes.toString('latin1').replace(/"ndownloads":\d+/g, '"ndownloads":*');
          const passing = text.includes('"ndownloads":*') ? /^(?:content-length|etag):/i : /^$/;
          const heads = headers.filter((line) => !passing.test(line));
          const what = [status, ...heads, createHash('sha256').update(text, 'latin1').digest('hex')];
          told.set(`${address.shape} ${caller}`, what.join('\n'));
        }
      }
      return Object.fromEntries(told);
    };
    const before = await everything();
    for (const each of [condaPackage({ name: 'zephyr', version: '2.0' }), wheel({ name: 'zephyr', version: '2.0' })]) {
      await owners.alice?.upload(each, { labels: ['main', 'secret'] });
    }
    await owners.alice?.upload(condaPackage({ name: 'another', version: '1.0' }), { isPrivate: true });
    await owners.alice?.expectCall(201, 'DELETE', '/package/alice/another');
    expect(await everything()).toEqual(before);
  });
});

describe('another spelling of an address', () => {
  it.each(Object.entries(SPELLINGS))('(%s) never changes who may read', async (_, spell) => {
    const wrong: unknown[] = [];
    for (const address of readable()) {
      // Refusals take their time, so that they are waited for together.
      const all = PAIRS.flatMap(([one, other, callers]) =>
        callers
          .filter((each) => SPELLERS.has(each) && !isTold(each, address))
          .map(async (caller) => {
            const spelled = (place: Place) =>
              spell(address.at(place), one === 'hidden' ? place.package : place.channel);
            const [told, expected] = await Promise.all([
              toldOf(address, caller, one, spelled),
              toldOf(address, caller, other, spelled),
            ]);
            if (told !== expected) wrong.push([address.shape, caller, told, expected]);
          }),
      );
      await Promise.all(all);
    }
    expect(wrong).toEqual([]);
  });
});

it('has a reserved login for every word that begins an address', () => {
  const words = routes.flatMap(({ path }) => path.split('/').slice(1, path.startsWith('/api/') ? 3 : 2));
  const literal = words.filter((word) => /^[a-z0-9][a-z0-9_-]{1,62}$/.test(word));
  expect(literal.filter((word) => !RESERVED_LOGINS.has(word))).toEqual([]);
});

it('tells none of the secrets in its output', () => {
  expect(secrets.toldBy(product)).toEqual([]);
});

/** What one table says of an address and the other does not. */
function differences(known: string, found: string): readonly string[] {
  const [before, after] = [known.trim().split('\n\n'), found.trim().split('\n\n')];
  const [had, has] = [new Set(before), new Set(after)];
  return [
    ...before.filter((block) => !has.has(block)).map((block) => `the table: ${block}`),
    ...after.filter((block) => !had.has(block)).map((block) => `found: ${block}`),
  ];
}

function wordsOf({ headers, text, status }: Answered): string {
  if (status < 300) return String(status);
  if (status === 302) return `302 to ${headers.location}`;
  const type = headers['content-type'] ?? '';
  if (type.includes('xml')) return `${status} ${/<Code>(\w+)<\/Code>/.exec(text())?.[1]}`;
  const { code } = JSON.parse(text()) as { readonly code: string };
  // Uploaders read a whole sentence there, behind the status.
  return /^\d/.test(code) ? `${status}` : `${status} ${code}`;
}

/** All that an answer tells, but for the names that were asked for. */
function tellingOf({ status, reason, told, text }: Answered, place: Place): string {
  const whole = [status, reason, ...told, text()].join('\n');
  // A spelling may touch the first letter, which is the same in both names.
  const { sha256, shard } = place;
  const names = [sha256, shard, place.package.slice(1), place.channel.slice(1), place.organization.slice(1)];
  return names.reduce((rest, name) => rest.replaceAll(new RegExp(name, 'gi'), '…'), whole);
}
