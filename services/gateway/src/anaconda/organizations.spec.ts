import { Organizations } from '@vivarium/contracts/gen/vivarium/authz/v1/organizations_pb';
import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const ACME = { id: 'o1', login: 'acme', kind: 'organization', name: 'Acme', email: 'it@acme.test', createdAtMs: 0n };

let gateway: Running;
let headers: Record<string, string>;

beforeEach(async () => {
  gateway = await startGateway();
  headers = { Authorization: `token ${gateway.token(ALICE)}`, 'Content-Type': 'application/json' };
});
afterEach(() => gateway.stop());

const ask = (method: string, path: string, asked?: object) => {
  if (asked === undefined) return gateway.ask(`/api${path}`, { method, headers });
  const body = JSON.stringify(asked);
  // Node says no length of a body that a DELETE has.
  const length = { 'Content-Length': `${Buffer.byteLength(body)}` };
  return gateway.ask(`/api${path}`, { method, headers: { ...headers, ...length }, body });
};

describe('organizations', () => {
  it('are made with 201 and shown as accounts are', async () => {
    gateway.others.teach(Organizations, 'create', async () => ({ account: ACME }));
    const answer = await ask('POST', '/organizations', { login: 'acme', name: 'Acme', email: 'it@acme.test' });
    expect([answer.status, answer.json()]).toMatchObject([
      201,
      { login: 'acme', user_type: 'org', name: 'Acme', email: 'it@acme.test' },
    ]);
    expect(gateway.others.heardOf(Organizations, 'create')).toMatchObject([
      { login: 'acme', name: 'Acme', email: 'it@acme.test' },
    ]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to authz');
  });

  it.each([
    [{}, 400, '"login" is missing in the body.'],
    [{ login: 5 }, 400, '"login" must be a text.'],
    [{ login: 'acme' }, 409, 'The login acme is taken.'],
  ])('are refused for %j', async (body, status, error) => {
    gateway.others.teach(Organizations, 'create', async () => {
      throw new Fault('conflict', 'The login acme is taken.');
    });
    const answer = await ask('POST', '/organizations', body);
    expect([answer.status, answer.json()]).toMatchObject([status, { error }]);
  });

  it('are changed in what is said', async () => {
    gateway.others.teach(Organizations, 'update', async () => ({ account: ACME }));
    expect((await ask('PATCH', '/organizations/acme', { email: '' })).status).toBe(200);
    const [update = {}] = gateway.others.heardOf(Organizations, 'update');
    expect(update).toMatchObject({ organization: 'acme', email: '' });
    expect(update).not.toHaveProperty('name');
    await ask('PATCH', '/organizations/acme', { url: 'https://acme.test', description: '' });
    const profile = { url: 'https://acme.test', description: '' };
    expect(gateway.others.heardOf(Organizations, 'update').at(-1)).toMatchObject({ profile });
  });

  it('are deleted with their login typed', async () => {
    gateway.others.teach(Organizations, 'delete', async () => ({ packages: 2n }));
    const answer = await ask('DELETE', '/organizations/acme', { confirm: 'acme', delete_packages: true });
    expect([answer.status, answer.json()]).toEqual([200, { login: 'acme', deleted: true, deleted_packages: 2 }]);
    await ask('DELETE', '/organizations/acme');
    expect(gateway.others.heardOf(Organizations, 'delete')).toMatchObject([
      { organization: 'acme', confirm: 'acme', deletePackages: true },
      { organization: 'acme', confirm: '', deletePackages: false },
    ]);
  });

  it('are listed of a user and of oneself', async () => {
    gateway.others.teach(Accounts, 'find', async () => ({ account: { id: 'b1', login: 'bob', kind: 'user' } }));
    gateway.others.teach(Organizations, 'ofUser', async ({ after }) =>
      after === '' ? { accounts: [ACME], next: 'o1' } : { accounts: [] },
    );
    expect((await ask('GET', '/users/bob/orgs')).json()).toMatchObject([{ login: 'acme', user_type: 'org' }]);
    expect((await ask('GET', '/user/orgs')).json()).toMatchObject([{ login: 'acme' }]);
    expect(gateway.others.heardOf(Organizations, 'ofUser')).toMatchObject([
      { login: 'bob' },
      { login: 'bob', after: 'o1' },
      { login: '' },
      { login: '', after: 'o1' },
    ]);
    headers = {};
    expect((await ask('GET', '/user/orgs')).status).toBe(401);
  });

  it('whose channel was closed are gone', async () => {
    const { Channels } = await import('@vivarium/contracts/gen/vivarium/packages/v1/channels_pb');
    gateway.others.teach(Channels, 'find', async () => ({ versions: [{ tag: 'channel:o1', version: 9n }] }));
    const [closed, none] = [await ask('GET', '/user/acme'), await ask('GET', '/user/nobody')];
    expect([closed.status, closed.text.replace('acme', 'nobody')]).toEqual([404, none.text]);
    headers = {};
    expect((await gateway.ask('/conda/acme/noarch/repodata.json')).status).toBe(401);
  });
});
