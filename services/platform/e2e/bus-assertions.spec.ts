import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, type DescField, type DescMessage, type Message, toBinary } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { isFault } from '@vivarium/fault/fault';
import type { Bus } from '@vivarium/rpc/bus';
import { openNatsBus } from '@vivarium/rpc/nats';
import { clientOf } from '@vivarium/rpc/rpc';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import pg from 'pg';
import { BUS_USERS, type BusUser } from '../src/bus-rights.js';
import { assertionsFor, callerAssertions, type Forger } from './bus-assertions.js';
import { type ContractMethod, contractMethods } from './contract-methods.js';
import { condaPackage } from './distributions.js';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(300_000);

const OPEN = readFileSync(new URL('bus-open.table.txt', import.meta.url), 'utf8');
// How a service says that it is the assertion that it does not take.
const ASSERTION_REFUSED = /does not accept the assertion|answers services only|does not answer /;

const onServices = skipSuiteUnless(
  productTarget() === 'services' && process.env.TEST_NATS_URL === undefined,
  'services called directly on the bus',
  'one process has no bus that can be reached from outside; e2e:services tries it',
);

onServices('a service that is called directly on the bus', () => {
  let product: Product;
  let bus: Bus;
  let forger: Forger;
  let patient: Forger;
  let database: pg.Client;
  let methods: readonly ContractMethod[];
  const expired = new Map<BusUser, string>();
  /** Subject → who is let in without an assertion, as the calls below find it. */
  const open = new Map<string, 'open' | 'anybody'>();

  beforeAll(async () => {
    product = await startProduct();
    // As somebody whom the server lets do everything, so that nothing but the services themselves refuses.
    const log = { error: (fields: unknown, message: string) => process.stderr.write(`${message} ${String(fields)}\n`) };
    bus = await openNatsBus({ url: product.server('nats')?.env.NATS_URL ?? '', service: 'tests', log });
    methods = await contractMethods();
    database = new pg.Client({ connectionString: product.env.DATABASE_URL ?? '' });
    await database.connect();

    const credential = { case: 'password', value: product.admin } as const;
    const { assertions } = await clientOf(Callers, bus).whoIs({ credential, audiences: ['identity', 'packages'] });
    const asAdmin = (service: string) => ({ assertion: assertions[service] ?? '', timeoutMs: 30_000 });
    const { secret: session } = await clientOf(Sessions, bus).open({}, asAdmin('identity'));
    // Something that could be read, changed and deleted.
    await (await Publisher.admin(product, new Secrets())).upload(condaPackage({ name: 'tool', version: '1.0' }));
    // A session, because a password costs time each time; a password where a session may be ended.
    const value = createHash('sha256').update(session).digest();
    const secret = product.env.VIVARIUM_SECRET ?? '';
    forger = { bus, secret, credential: { case: 'sessionSha256', value } };
    patient = { bus, secret, credential };
    for (const [service, assertion] of Object.entries(await callerAssertions(forger, BUS_USERS))) {
      expired.set(BUS_USERS.find((each) => each === service) ?? 'platform', assertion);
    }
    await sleep(7_000);
    await untilStill(database);
  });
  afterAll(async () => {
    await database?.end();
    await bus?.drain();
    await product?.stop();
  });

  /** What a call is answered: `ok`, or its fault. */
  async function ask({ subject, method }: ContractMethod, assertion?: string): Promise<string> {
    const headers = new Map(assertion === undefined ? [] : [['x-assertion', assertion] as const]);
    const payload = toBinary(method.input, filled(method.input));
    return bus.request(subject, payload, { headers, timeoutMs: 60_000 }).then(
      () => 'ok',
      (error: unknown) => (isFault(error) ? `${error.code}: ${error.message}` : `${error}`),
    );
  }

  it('refuses every call with a wrong assertion, and with none, before it has any effect', async () => {
    const before = await stored(database);
    const taken: string[] = [];
    let calls = 0;
    for (const each of methods) {
      const { service, subject } = each;
      const other = service === 'packages' ? 'identity' : 'packages';
      const { wrong } = await assertionsFor(service, other, forger).catch((error: unknown) => {
        // What was let in may have ended the session.
        expect(taken).toEqual([]);
        throw error;
      });
      const all = [...wrong, ['expired', expired.get(service) ?? ''] as const];
      const answers = await Promise.all(all.map(async ([what, one]) => [what, await ask(each, one)] as const));
      const wrongly = answers.filter(([, answer]) => !ASSERTION_REFUSED.test(answer));
      const without = await ask(each);
      calls += answers.length + 1;
      const isRefused = /^(unauthenticated|forbidden): /.test(without);
      if (without.startsWith('unavailable: Nobody answers')) taken.push(`${subject} is answered by nobody`);
      else if (wrongly.length === answers.length) open.set(subject, 'open');
      else if (!isRefused) open.set(subject, 'anybody');
      if (wrongly.length > 0 && wrongly.length < answers.length) {
        taken.push(...wrongly.map(([what, answer]) => `${subject} takes an assertion ${what}: ${answer}`));
      }
    }
    process.stderr.write(`${calls} calls of ${methods.length} methods\n`);
    expect(taken).toEqual([]);
    expect([...open].map(([subject, who]) => `${subject} ${who}`).sort()).toEqual(listedAs('open', 'anybody'));
    expect(await stored(database)).toEqual(before);
  });

  it('takes a true assertion of a caller or of a service, and nowhere either for the other', async () => {
    const odd: string[] = [];
    for (const each of methods.filter(({ subject }) => open.get(subject) !== 'open')) {
      const { service, subject } = each;
      const { caller, services } = await assertionsFor(service, 'identity', patient);
      const isTaken = async (assertion: string) => !ASSERTION_REFUSED.test(await ask(each, assertion));
      const asCaller = await isTaken(caller);
      const asServices = await Promise.all(
        [...services].map(async ([user, one]) => ((await isTaken(one)) ? [user] : [])),
      );
      const taken = [...(asCaller ? ['caller'] : []), ...asServices.flat()];
      const isBoth = asCaller && taken.length > 1;
      if (taken.length === 0 || isBoth) odd.push(`${subject} ${isBoth ? 'both' : 'nobody'}`);
    }
    expect(odd.sort()).toEqual(listedAs('both'));
  });
});

/** `identity.Callers.keys open` for each line of the list that says so, and why. */
function listedAs(...kinds: readonly string[]): readonly string[] {
  return [...OPEN.matchAll(/^(\w+\.\w+\.\w+) +(\w+) +\S.*$/gm)]
    .flatMap(([, subject, kind = '']) => (kinds.includes(kind) ? [`${subject} ${kind}`] : []))
    .sort();
}

const SAMPLES: Readonly<Record<string, string>> = {
  channel: 'admin',
  package: 'tool',
  name: 'tool',
  version: '1.0',
  kind: 'conda',
  basename: 'noarch/tool-1.0-0.conda',
  visibility: 'private',
  permission: 'read',
  login: 'victim',
  organization: 'admin',
  email: 'victim@example.org',
  password: 'a new password',
  attributesJson: '{}',
  scopes: 'all',
  platform: 'noarch',
  subdir: 'noarch',
  sha256: '0'.repeat(64),
  md5: '0'.repeat(32),
  stagingKey: 'staging/0',
  toChannel: 'admin',
  // A lease that nobody acknowledges for would hold every change after it.
  holder: '',
};

/** A message in which everything is said, so that a call that is let in does something. */
function filled(schema: DescMessage, depth = 0): Message {
  const init: Record<string, unknown> = {};
  for (const member of schema.members) {
    if (member.kind === 'oneof') {
      const [first] = member.fields;
      if (first !== undefined) init[member.localName] = { case: first.localName, value: sampleOf(first, depth) };
    } else init[member.localName] = sampleOf(member, depth);
  }
  return create(schema, init);
}

function sampleOf(field: DescField, depth: number): unknown {
  if (field.fieldKind === 'map') return {};
  if (field.fieldKind === 'enum') return 0;
  if (field.fieldKind === 'message') return depth < 2 ? filled(field.message, depth + 1) : undefined;
  const text = SAMPLES[field.localName] ?? SAMPLES[field.localName.replace(/s$/, '')] ?? 'main';
  if (field.fieldKind === 'list') return field.listKind === 'scalar' && field.scalar === STRING ? [text] : [];
  if (field.scalar === STRING) return text;
  if (field.scalar === BOOL) return false;
  if (field.scalar === BYTES) return new Uint8Array(32);
  return field.longAsString ? '1' : LONGS.has(field.scalar) ? 1n : 1;
}

// The kinds of scalars, as protobuf numbers them.
const [BOOL, STRING, BYTES] = [8, 9, 12];
const LONGS = new Set([3, 4, 6, 16, 18]);

/** Resolves when nothing changes by itself any more: the indexes have taken in what was published. */
async function untilStill(database: pg.Client): Promise<void> {
  let last = await stored(database);
  for (let tries = 0; tries < 40; tries++) {
    await sleep(1_500);
    const now = await stored(database);
    if ([...now].every(([table, digest]) => last.get(table) === digest)) return;
    last = now;
  }
  throw new Error('the tables do not come to rest');
}

/** A digest of each table, without what goes on by itself: leases, news on their way, and when something was used last. */
async function stored(database: pg.Client): Promise<ReadonlyMap<string, string>> {
  const { rows } = await database.query<{ schema: string; name: string }>(
    `SELECT schemaname AS schema, tablename AS name FROM pg_tables
     WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT IN ('leases', 'outbox', 'outbox_seq', 'mails', 'chores')
     ORDER BY 1, 2`,
  );
  const digests = new Map<string, string>();
  for (const { schema, name } of rows) {
    const { rows: found } = await database.query<{ digest: string }>(
      `SELECT md5(coalesce(string_agg(line, E'\\n' ORDER BY line), '')) AS digest
       FROM (SELECT (to_jsonb(t) - 'last_used_at' - 'last_used_address')::text AS line FROM "${schema}"."${name}" t) lines`,
    );
    digests.set(`${schema}.${name}`, found[0]?.digest ?? '');
  }
  expect(digests.size).toBeGreaterThan(20);
  return digests;
}
