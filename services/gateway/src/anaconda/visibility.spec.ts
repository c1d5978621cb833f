import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Transfers, Visibilities } from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, BOB, type Running, startGateway } from '../gateway.fixture.js';

let gateway: Running;
let headers: Record<string, string>;
beforeAll(async () => {
  gateway = await startGateway();
  headers = { 'Content-Type': 'application/json', Authorization: `token ${gateway.token(ALICE)}` };
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.others.heard.length = 0;
  gateway.others.teach(Visibilities, 'set', async () => ({ changed: ['a'], generation: 7n, readable: true }));
  gateway.others.teach(Visibilities, 'setDefault', async ({ visibility }) => ({ visibility }));
  gateway.others.teach(Transfers, 'transfer', async () => ({
    package: { id: 'p1', channel: 'acme', name: 'foo', visibility: 'private' },
    generation: 3n,
    readable: false,
  }));
});

const ask = (method: string, path: string, body?: object) =>
  gateway.ask(path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });

describe('visibility of many packages', () => {
  it('is set in one call', async () => {
    const answer = await ask('POST', '/api/packages/alice/visibility', { packages: ['a', 'b'], visibility: 'private' });
    expect([answer.status, answer.json()]).toEqual([
      200,
      { visibility: 'private', changed: ['a'], generation: 7, index: 'ready' },
    ]);
    expect(gateway.others.heardOf(Visibilities, 'set')).toMatchObject([
      { channel: 'alice', packages: ['a', 'b'], visibility: 'private' },
    ]);
  });

  it.each([
    [{ visibility: 'private' }, '"packages" is missing in the body.'],
    [{ packages: 'a', visibility: 'private' }, '"packages" must be a list of texts.'],
    [{ packages: ['a', 7], visibility: 'private' }, '"packages" must be a list of texts.'],
    [{ packages: ['a'] }, '"visibility" is missing in the body.'],
  ])('%j is refused: %s', async (body, error) => {
    const answer = await ask('POST', '/api/packages/alice/visibility', body);
    expect([answer.status, answer.json()]).toMatchObject([400, { error }]);
    expect(gateway.others.heardOf(Visibilities, 'set')).toEqual([]);
  });
});

describe('the default of a channel', () => {
  it('is set', async () => {
    const answer = await ask('PUT', '/api/packages/alice/default-visibility', { visibility: 'authenticated' });
    expect([answer.status, answer.json()]).toEqual([200, { visibility: 'authenticated' }]);
    expect(gateway.others.heardOf(Visibilities, 'setDefault')).toMatchObject([
      { channel: 'alice', visibility: 'authenticated' },
    ]);
    expect((await ask('PUT', '/api/packages/alice/default-visibility', {})).status).toBe(400);
  });

  it('is told with the account to those who see all of the channel, and to nobody else', async () => {
    gateway.others.teach(Accounts, 'find', async ({ by }) => ({ account: { id: 'x1', login: String(by.value) } }));
    const told = async (login: string, token?: string) => {
      const asked = token === undefined ? {} : { headers: { Authorization: `token ${token}` } };
      const answer = await gateway.ask(`/api/user/${login}`, asked);
      return [answer.status, (answer.json() as { default_visibility?: string }).default_visibility];
    };
    const alice = gateway.token(ALICE);
    expect(await told('alice', alice)).toEqual([200, 'public']);
    expect(await told('bob', alice)).toEqual([200, undefined]);
    expect(await told('alice')).toEqual([200, undefined]);
    expect(await told('bob', gateway.token({ ...BOB, superuser: true }))).toEqual([200, 'public']);
    expect(await told('hidden', gateway.token({ ...BOB, superuser: true }))).toEqual([200, undefined]);
    expect(await told('alice', gateway.token({ ...ALICE, scopes: ['repos'] }))).toEqual([200, undefined]);
  });
});

describe('transfer', () => {
  it('gives the package at its new address, and says whether every index has it', async () => {
    const answer = await ask('POST', '/api/package/alice/foo/transfer', { to: 'acme' });
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      { full_name: 'acme/foo', visibility: 'private', index: 'pending' },
    ]);
    expect(gateway.others.heardOf(Transfers, 'transfer')).toMatchObject([
      { channel: 'alice', package: 'foo', to: 'acme' },
    ]);
  });

  it.each([
    [{}, 400],
    [{ to: 7 }, 400],
    [{ to: 'ACME' }, 404],
    [{ to: 'acme/x' }, 404],
  ])('of %j is %s', async (body, status) => {
    const answer = await ask('POST', '/api/package/alice/foo/transfer', body);
    expect([answer.status, answer.json()]).toMatchObject([status, { error: expect.any(String) }]);
    expect(gateway.others.heardOf(Transfers, 'transfer')).toEqual([]);
  });

  it('keeps the sentence of a conflict', async () => {
    gateway.others.teach(Transfers, 'transfer', async () => {
      throw new Fault('conflict', 'acme has a package foo already.');
    });
    const answer = await ask('POST', '/api/package/alice/foo/transfer', { to: 'acme' });
    expect([answer.status, answer.json()]).toMatchObject([409, { error: 'acme has a package foo already.' }]);
  });
});

it('asks everybody who they are', async () => {
  const asked = [
    ['POST', '/api/packages/alice/visibility', { packages: ['a'], visibility: 'private' }],
    ['PUT', '/api/packages/alice/default-visibility', { visibility: 'private' }],
    ['POST', '/api/package/alice/foo/transfer', { to: 'acme' }],
  ] as const;
  for (const [method, path, body] of asked) {
    expect((await gateway.ask(path, { method, body: JSON.stringify(body) })).status).toBe(401);
  }
  expect(gateway.others.heard).toEqual([]);
});
