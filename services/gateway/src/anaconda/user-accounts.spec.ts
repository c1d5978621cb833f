import { Accounts } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Users } from '@vivarium/contracts/gen/vivarium/identity/v1/users_pb';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const CAROL = {
  id: 'c1',
  login: 'carol',
  kind: 'user',
  email: 'carol@example.org',
  disabled: true,
  createdAtMs: 1_700_000_000_000n,
};

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

const ask = (method: string, path: string, body?: object) =>
  gateway.ask(path, {
    method,
    headers: { 'Content-Type': 'application/json', Authorization: `token ${gateway.token(ALICE)}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

describe('users', () => {
  it('are changed in what is given, and nothing else', async () => {
    gateway.others.teach(Users, 'change', async () => ({ account: CAROL }));
    const answer = await ask('PATCH', '/api/users/carol', { disabled: true });
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      { login: 'carol', disabled: true, email: 'carol@example.org' },
    ]);
    const [asked] = gateway.others.heardOf(Users, 'change');
    expect(asked).toMatchObject({ login: 'carol', disabled: true });
    expect([asked?.name, asked?.email, asked?.superuser]).toEqual([undefined, undefined, undefined]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to identity');
  });

  it.each([
    [{ disabled: 'yes' }, '"disabled" must be true or false.'],
    [{ email: 7 }, '"email" must be a text.'],
  ])('are not changed by %j', async (body, error) => {
    const answer = await ask('PATCH', '/api/users/carol', body);
    expect([answer.status, answer.json()]).toMatchObject([400, { error }]);
  });

  it('are listed by pages', async () => {
    gateway.others.teach(Users, 'list', async () => ({ accounts: [CAROL], next: 'carol' }));
    const answer = await ask('GET', '/api/users?q=car&after=bob&limit=1');
    expect([answer.status, answer.json()]).toMatchObject([200, { items: [{ login: 'carol' }], next: 'carol' }]);
    expect(gateway.others.heardOf(Users, 'list')).toMatchObject([{ query: 'car', after: 'bob', limit: 1 }]);
    gateway.others.teach(Users, 'list', async () => ({ accounts: [], next: '' }));
    expect((await ask('GET', '/api/users')).json()).toEqual({ items: [], next: null });
  });

  it.each(['limit=0', 'limit=201', 'limit=x', 'limit=1&limit=2', 'after=%0a', 'q=a&q=b'])(
    'are not listed by ?%s',
    async (query) => {
      expect((await ask('GET', `/api/users?${query}`)).status).toBe(400);
    },
  );

  it('are described with what they have', async () => {
    gateway.others.teach(Users, 'describe', async () => ({ account: CAROL, tokens: 3n, sessions: 1n }));
    const answer = await ask('GET', '/api/users/carol');
    expect(answer.json()).toMatchObject({ login: 'carol', tokens: 3, sessions: 1, last_seen: null });
  });

  it('get a password that is shown once', async () => {
    gateway.others.teach(Accounts, 'setPassword', async () => ({ password: 'made for you' }));
    const answer = await ask('POST', '/api/users/carol/password', {});
    expect([answer.status, answer.json()]).toEqual([200, { password: 'made for you' }]);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('cannot have their old password guessed by whoever holds their session', async () => {
    gateway.others.teach(Accounts, 'setPassword', async () => ({}));
    const guess = () => ask('POST', '/api/users/alice/password', { password: 'a new password', old_password: 'guess' });
    for (let times = 0; times < 10; times++) expect((await guess()).status).toBe(200);
    expect((await guess()).status).toBe(429);
    expect(gateway.others.heardOf(Accounts, 'setPassword')).toHaveLength(10);
  });

  it.each([
    ['GET', '/api/users'],
    ['GET', '/api/users/carol'],
    ['PATCH', '/api/users/carol'],
    ['POST', '/api/users/carol/password'],
    ['GET', '/api/users/carol/tokens'],
    ['DELETE', '/api/users/carol/tokens'],
    ['PATCH', '/api/tokens/t1'],
    ['DELETE', '/api/tokens/t1'],
    ['DELETE', '/api/authentications/all'],
  ])('%s %s is not for strangers', async (method, path) => {
    const body = method === 'PATCH' ? { body: '{"name":"x"}' } : {};
    expect((await gateway.ask(path, { method, ...body })).status).toBe(401);
    expect(gateway.others.heard.filter(({ assertion }) => assertion !== undefined)).toEqual([]);
  });
});

describe('tokens by id', () => {
  it('are renamed, and revoked', async () => {
    gateway.others.teach(Tokens, 'rename', async () => ({ token: { id: 't1', name: 'new', remainingUses: -1n } }));
    gateway.others.teach(Tokens, 'revoke', async () => ({ revoked: 2n }));
    expect((await ask('PATCH', '/api/tokens/t1', { name: 'new' })).json()).toMatchObject({ application: 'new' });
    expect((await ask('PATCH', '/api/tokens/t1', {})).status).toBe(400);
    const revoked = [await ask('DELETE', '/api/tokens/t1'), await ask('DELETE', '/api/users/carol/tokens')];
    expect(revoked.map(({ status, text }) => [status, text])).toEqual([
      [200, '{"revoked":2}'],
      [200, '{"revoked":2}'],
    ]);
    expect((await ask('DELETE', '/api/authentications/all')).status).toBe(201);
    expect((await ask('DELETE', '/api/authentications/org/acme/all')).status).toBe(201);
    expect(gateway.others.heardOf(Tokens, 'revoke')).toMatchObject([
      { which: { case: 'id', value: 't1' }, owner: '' },
      { which: { case: 'all', value: true }, owner: 'carol' },
      { which: { case: 'all', value: true }, owner: '' },
      { which: { case: 'all', value: true }, owner: 'acme' },
    ]);
  });
});
