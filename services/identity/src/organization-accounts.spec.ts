import { create } from '@bufbuild/protobuf';
import { jest } from '@jest/globals';
import { type Caller, CallerSchema } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { NamedTokens } from '@vivarium/contracts/gen/vivarium/identity/v1/named_tokens_pb';
import { OrganizationAccounts } from '@vivarium/contracts/gen/vivarium/identity/v1/organization_accounts_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { ensureFirstAdmin, outboxOnly } from './administration.js';
import { ADMIN, RunningIdentity } from './identity.fixture.js';

jest.setTimeout(60_000);

let identity: RunningIdentity;
let ann: { readonly login: string; readonly password: string; readonly id: string };
let actor: Caller;

beforeAll(async () => {
  identity = await RunningIdentity.start();
  const rules = { clock: identity.clock, reservedLogins: new Set<string>(), invalidations: outboxOnly };
  await ensureFirstAdmin(identity.database.db, rules, ADMIN);
  ann = await identity.createUser('ann');
  actor = create(CallerSchema, { accountId: ann.id, login: 'ann', accountKind: 'user', credentialKind: 'session' });
});
afterAll(() => identity.stop());

const optionsAs = async (service: string) => ({
  assertion: await identity.trustOf(service).assertionFor('identity'),
  timeoutMs: 20_000,
});
const accounts = async (service = 'authz') => clientOf(OrganizationAccounts, identity.bus, await optionsAs(service));

/** What was written down of an account, as `action resource before after`. */
async function trail(ownerId: string): Promise<string[]> {
  const { rows } = await identity.database.pool.query(
    'SELECT action, resource, before::text, after::text FROM audit WHERE owner_id = $1 ORDER BY id',
    [ownerId],
  );
  return rows.map(({ action, resource, before, after }) => `${action} ${resource} ${before} ${after}`);
}

describe('accounts of organizations', () => {
  it('are made under the id that authz says, and announced', async () => {
    const from = identity.heard.length;
    const made = await (await accounts()).create({
      id: 'o-1',
      login: 'Acme',
      name: 'Acme',
      email: 'IT@acme.test',
      actor,
    });
    expect(made.account).toMatchObject({ id: 'o-1', login: 'acme', kind: 'organization', email: 'it@acme.test' });
    expect(identity.newsSince(from)).toEqual([['login:acme 1']]);
    expect(await trail('o-1')).toEqual(['organization.create acme null {"name": "Acme", "email": "it@acme.test"}']);
    const { accounts: everybodys } = await identity.as(ADMIN);
    expect((await everybodys.find({ by: { case: 'login', value: 'acme' } })).account?.id).toBe('o-1');
  });

  it.each([
    ['acme', '', 'conflict', 'none is ever given twice'],
    ['ann', '', 'conflict', 'none is ever given twice'],
    ['conda', '', 'invalid', "a word of this server's own addresses"],
    ['a', '', 'invalid', 'is no login'],
    ['ac me', '', 'invalid', 'is no login'],
    ['other', 'it@acme.test', 'conflict', 'belongs to another account'],
    ['other', 'nowhere', 'invalid', 'is no e-mail address'],
  ])('are refused as "%s" with the address "%s"', async (login, email, code, words) => {
    const made = (await accounts()).create({ id: 'o-2', login, email, actor });
    await expect(made).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    expect(await trail('o-2')).toEqual([]);
  });

  it('need no e-mail address, however many have none', async () => {
    for (const login of ['plain', 'simple']) await (await accounts()).create({ id: `o-${login}`, login, actor });
  });

  it('are changed in what is said', async () => {
    const client = await accounts();
    expect((await client.update({ id: 'o-1', name: 'New', actor })).account).toMatchObject({
      name: 'New',
      email: 'it@acme.test',
    });
    expect((await client.update({ id: 'o-1', email: '', actor })).account).toMatchObject({ name: 'New', email: '' });
    const taken = client.update({ id: 'o-1', email: 'ann@example.org', actor });
    await expect(taken).rejects.toMatchObject({ code: 'conflict' });
    await expect(client.update({ id: ann.id, name: 'x', actor })).rejects.toMatchObject({ code: 'not_found' });
    expect((await trail('o-1')).slice(1)).toEqual([
      expect.stringContaining('organization.update acme {"name": "Acme"'),
      expect.stringContaining('organization.update acme {"name": "New"'),
    ]);
  });

  it('end with their tokens and those made by them, and keep their login', async () => {
    identity.owners.add(`o-1 ${ann.id}`);
    const parent = await identity.createToken(ann, { name: 'parent', organization: 'acme' });
    const child = await identity.createToken({ token: parent.token }, { name: 'child' });
    const own = await identity.createToken(ann, { name: 'own' });
    const client = await accounts();
    const from = identity.heard.length;
    await client.delete({ id: 'o-1', actor });
    expect(identity.newsSince(from).flat()).toContainEqual(expect.stringMatching(/^account:o-1 /));
    for (const { token } of [parent, child]) {
      await expect(identity.whoIs({ token })).rejects.toMatchObject({ code: 'unauthenticated' });
    }
    expect((await identity.whoIs({ token: own.token })).caller?.login).toBe('ann');
    await client.delete({ id: 'o-1', actor });
    expect((await trail('o-1')).filter((event) => event.startsWith('organization.delete'))).toHaveLength(1);
    const again = client.create({ id: 'o-3', login: 'acme', actor });
    await expect(again).rejects.toMatchObject({ code: 'conflict' });
    await expect(client.update({ id: 'o-1', name: 'x', actor })).rejects.toMatchObject({ code: 'not_found' });
  });

  it('are changed by authz only, for somebody', async () => {
    for (const service of ['packages', 'gateway']) {
      const client = await accounts(service);
      await expect(client.create({ id: 'o-9', login: 'nine', actor })).rejects.toMatchObject({ code: 'forbidden' });
      await expect(client.delete({ id: 'o-plain', actor })).rejects.toMatchObject({ code: 'forbidden' });
    }
    await expect((await accounts()).delete({ id: 'o-plain' })).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('tokens by name', () => {
  const named = async (service = 'authz') => clientOf(NamedTokens, identity.bus, await optionsAs(service));

  it('say what they may do at most, and why they do not count', async () => {
    await identity.createToken(ann, { name: 'ci', scopes: ['repos'], restrictions: { packages: ['a*'] } });
    const found = await (await named()).find({ ownerId: ann.id, name: 'ci' });
    expect(found).toMatchObject({ name: 'ci', scopes: ['repos'], restrictions: { packages: ['a*'] }, refusal: '' });
    await identity.createToken(ann, { name: 'brief', maxAgeSeconds: 60n });
    identity.aheadMs = 61_000;
    try {
      expect((await (await named()).find({ ownerId: ann.id, name: 'brief' })).refusal).toContain('this token expired');
    } finally {
      identity.aheadMs = 0;
    }
  });

  it('are told to authz only, and only living ones', async () => {
    for (const name of ['none', '', 'x'.repeat(200), 'a\u0000b']) {
      await expect((await named()).find({ ownerId: ann.id, name })).rejects.toMatchObject({ code: 'not_found' });
    }
    const other = (await named('gateway')).find({ ownerId: ann.id, name: 'ci' });
    await expect(other).rejects.toMatchObject({ code: 'forbidden' });
  });
});
