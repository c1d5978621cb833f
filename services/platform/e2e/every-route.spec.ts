import { randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { startGateway } from '@vivarium/gateway/gateway.fixture';
import type { Route } from '@vivarium/gateway/routes';
import { aCondaPackage } from '@vivarium/testkit/builders';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import pg from 'pg';
import { type Answered, ask, basic } from './ask.js';
import { databaseUrlOf } from './database-url.js';
import { STEPS, type Step, WALKED, type Walker } from './every-route.js';
import { formOf, Publisher } from './publisher.js';
import { Secrets } from './secrets.js';

jest.setTimeout(180_000);

interface Described {
  readonly 'x-action': string;
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: object }>> }>
  >;
}

const secrets = new Secrets();
const learned = new Map<string, string>();
const file = aCondaPackage({ name: WALKED.package, version: WALKED.version });
const another = aCondaPackage({ name: WALKED.package, version: '1.1' });
let product: Product;
let routes: readonly Route[];
let database: pg.Client;
let described: Readonly<Record<string, Readonly<Record<string, Described>>>>;
let ajv: InstanceType<typeof Ajv2020>;
let authorizations: Record<Walker, Readonly<Record<string, string>>>;

beforeAll(async () => {
  const gateway = await startGateway();
  routes = gateway.routes.filter(({ path }) => path.split('/')[1] === 'api');
  await gateway.stop();
  product = await startProduct({ env: { VIVARIUM_SIGN_UP: 'invitation' } });
  database = new pg.Client({ connectionString: await databaseUrlOf(product) });
  await database.connect();
  const root = await Publisher.admin(product, secrets);
  const [alice, bob] = [await root.makeUser('alice'), await root.makeUser('bob')];
  const tokenOf = async (who: Publisher) => ({ Authorization: `token ${await who.makeToken({ name: 'walk' })}` });
  for (const name of ['newPassword', 'otherPassword'])
    learned.set(name, secrets.keep(name, randomBytes(12).toString('hex')));
  learned.set('bobsPassword', bob.password);
  authorizations = {
    root: await tokenOf(root),
    alice: await tokenOf(alice),
    bob: await tokenOf(bob),
    nobody: {},
    password: { Authorization: basic('alice', alice.password) },
    cookie: {},
    last: {},
  };
  const document = (await ask(`${product.api}/openapi.json`)).json<{ paths: typeof described; components: object }>();
  described = document.paths;
  ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema({ $id: 'document', components: document.components });
});

afterAll(async () => {
  await database?.end();
  await product?.stop();
});

/** What every change so far has written, in all services. */
async function eventsWritten(): Promise<readonly string[]> {
  const parts = ['identity', 'authz', 'packages'].map((schema) => `SELECT id, action, resource FROM ${schema}.audit`);
  const { rows } = await database.query<{ action: string; resource: string }>(
    `${parts.join(' UNION ALL ')} ORDER BY id`,
  );
  return rows.map(({ action, resource }) => `${action} ${resource}`);
}

function filled(text: string): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => learned.get(name) ?? `{${name}}`);
}

function take(step: Step): Promise<Answered> {
  const [method = 'GET'] = step.route.split(' ');
  const at = filled(step.at);
  const isTicket = at.startsWith('http');
  const form = isTicket
    ? formOf({ stage: learned.get('stage') ?? '' }, WALKED.basename, file.bytes)
    : step.sends === 'package'
      ? formOf({}, another.filename, another.bytes)
      : undefined;
  const origin = step.by === 'cookie' || at === '/session' ? { Origin: new URL(product.url).origin } : {};
  const headers = {
    'Content-Type': form === undefined ? 'application/json' : `multipart/form-data; boundary=${form.boundary}`,
    'X-Vivarium-CSRF': '1',
    ...origin,
    ...authorizations[step.by],
  };
  const body = form?.body ?? (step.body === undefined ? undefined : filled(JSON.stringify(step.body)));
  return ask(isTicket ? at : product.api + at, { method, headers, body });
}

function learn(step: Step, answered: Answered): void {
  for (const [name, path] of Object.entries(step.learn ?? {})) {
    const value = path
      .split('.')
      .reduce<unknown>((from, part) => (from as Record<string, unknown>)[part], answered.json());
    learned.set(name, String(value));
    if (name === 'last') authorizations.last = { Authorization: `token ${value}` };
    // Of the address of an upload only its end is a secret, which is the proof behind the number of the stage.
    if (SECRET.has(name)) secrets.keep(`learned ${name}`, String(value).replace(/^.*\/[0-9a-f]{32}-/, ''));
  }
  const cookie = answered.headers['set-cookie']?.[0]?.split(';')[0];
  if (cookie !== undefined) authorizations.cookie = { Cookie: secrets.keep('session of the walk', cookie) };
}

/** What of the things learned must not be written anywhere. */
const SECRET: ReadonlySet<string> = new Set(['last', 'invitation', 'ticket']);

const validators = new Map<string, ValidateFunction>();

/** What is wrong with an answer, by the description of its route. */
function complaintsOf(step: Step, answered: Answered): readonly string[] {
  if (step.refused === answered.status) return [];
  const [method = '', path = ''] = step.route.split(' ');
  const operation = described[path.replace(/[:*](\w+)/g, '{$1}')]?.[method.toLowerCase()];
  const [status = '', response] = Object.entries(operation?.responses ?? {}).find(([key]) => key !== 'default') ?? [];
  if (Number(status) !== answered.status) {
    return [`${answered.status} instead of ${status}: ${answered.text().slice(0, 300)}`];
  }
  const schema = response?.content?.['application/json']?.schema;
  if (schema === undefined) return [];
  const validator =
    validators.get(step.route) ??
    ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('#/components', 'document#/components')));
  validators.set(step.route, validator);
  if (validator(answered.json())) return [];
  return (validator.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
  );
}

describe('every route of the API', () => {
  it('is in the walk, and the walk has no other', () => {
    const all = routes.map(({ method, path }) => `${method} ${path}`);
    expect([...new Set(STEPS.map(({ route }) => route))].sort()).toEqual([...new Set(all)].sort());
  });

  const wrong: string[] = [];
  const unrecorded: string[] = [];

  it('can be walked', async () => {
    let before = await eventsWritten();
    for (const step of STEPS) {
      const answered = await take(step);
      const name = `${step.route} by ${step.by}`;
      wrong.push(...complaintsOf(step, answered).map((complaint) => `${name}: ${complaint}`));
      if (answered.status < 300) learn(step, answered);
      const after = await eventsWritten();
      const expected = step.events ?? (step.route.startsWith('GET') ? 0 : 1);
      const written = after.filter((event, at) => event !== before[at]);
      if (after.length - before.length !== expected) {
        unrecorded.push(
          `${name}: ${after.length - before.length} events instead of ${expected}: ${written.join(', ')}`,
        );
      }
      before = after;
    }
    expect(before.length).toBeGreaterThan(50);
  });

  it('answers as its description says', () => {
    expect(wrong).toEqual([]);
  });

  it('writes one event in the audit trail if it changes something, and none if not', () => {
    expect(unrecorded).toEqual([]);
  });

  it('leaves no secret in the trail', async () => {
    const { rows } = await database.query(
      'SELECT * FROM identity.audit UNION ALL SELECT * FROM authz.audit UNION ALL SELECT * FROM packages.audit',
    );
    expect(rows.length).toBeGreaterThan(50);
    expect(secrets.foundIn(JSON.stringify(rows))).toEqual([]);
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
