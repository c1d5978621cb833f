import { Collaborators } from '@vivarium/contracts/gen/vivarium/packages/v1/grants_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const BOB = { accountId: 'b1', login: 'bob', name: 'Bob B.', permission: 'write' };
const AT = '/api/packages/alice/foo/collaborators';

let gateway: Running;
let headers: Record<string, string>;
beforeAll(async () => {
  gateway = await startGateway();
  headers = { 'Content-Type': 'application/json', Authorization: `token ${gateway.token(ALICE)}` };
});
afterAll(() => gateway.stop());
beforeEach(() => {
  gateway.others.heard.length = 0;
  gateway.others.teach(Collaborators, 'list', async () => ({ collaborators: [BOB] }));
  gateway.others.teach(Collaborators, 'put', async () => ({ collaborator: BOB }));
  gateway.others.teach(Collaborators, 'remove', async () => ({}));
});

const ask = (method: string, path: string, body?: string) =>
  gateway.ask(path, { method, headers, ...(body === undefined ? {} : { body }) });
const heard = (method: 'list' | 'put' | 'remove') => gateway.others.heardOf(Collaborators, method);

describe('collaborators', () => {
  it('are an array with logins, names and permissions, and nothing else of their accounts', async () => {
    const answer = await ask('GET', AT);
    expect([answer.status, answer.json()]).toEqual([200, [{ login: 'bob', name: 'Bob B.', permission: 'write' }]]);
    expect(heard('list')).toMatchObject([{ channel: 'alice', package: 'foo' }]);
  });

  it.each([
    ['no body, as the client sends it', undefined, ''],
    ['an empty object', '{}', ''],
    ['a permission', '{"permission":"read"}', 'read'],
  ])('are added with %s', async (_, body, permission) => {
    const answer = await ask('PUT', `${AT}/bob`, body);
    expect([answer.status, answer.json()]).toMatchObject([201, { login: 'bob' }]);
    expect(heard('put')).toMatchObject([{ channel: 'alice', package: 'foo', login: 'bob', permission }]);
  });

  it('are removed', async () => {
    expect((await ask('DELETE', `${AT}/bob`)).status).toBe(201);
    expect(heard('remove')).toMatchObject([{ channel: 'alice', package: 'foo', login: 'bob' }]);
  });

  it.each([
    ['PUT', `${AT}/Bob`, undefined, 404],
    ['PUT', `${AT}/bob`, '{"permission":7}', 400],
    ['PUT', `${AT}/bob`, 'permission=read', 400],
    ['DELETE', `${AT}/-`, undefined, 404],
    ['GET', '/api/packages/ALICE/foo/collaborators', undefined, 404],
  ])('%s %s with the body %s is answered %s by the gateway itself', async (method, path, body, status) => {
    const answer = await ask(method, path, body);
    expect([answer.status, answer.json()]).toMatchObject([status, { error: expect.any(String) }]);
    expect(heard('put')).toEqual([]);
  });

  it('are told to nobody who does not say who it is', async () => {
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await gateway.ask(method === 'GET' ? AT : `${AT}/bob`, { method });
      expect(answer.status).toBe(401);
    }
    expect([heard('list'), heard('put'), heard('remove')]).toEqual([[], [], []]);
  });

  it('keep the sentence of a refusal', async () => {
    gateway.others.teach(Collaborators, 'put', async () => {
      throw new Fault('not_found', 'There is no user "bob".');
    });
    const answer = await ask('PUT', `${AT}/bob`);
    expect([answer.status, answer.json()]).toMatchObject([404, { error: 'There is no user "bob".' }]);
  });
});
