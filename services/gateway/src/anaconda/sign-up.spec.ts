import { Invitations, SignUps } from '@vivarium/contracts/gen/vivarium/identity/v1/sign_ups_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

const EVE = { login: 'eve', password: 'the password of eve', invitation: 'vii-x' };

const signUp = (body: object, headers: Record<string, string> = { 'Content-Type': 'application/json' }) =>
  gateway.ask('/api/sign-up', { method: 'POST', headers, body: JSON.stringify(body) });

describe('signing up', () => {
  beforeEach(() => {
    gateway.others.teach(SignUps, 'signUp', async ({ login }) => ({ account: { id: 'e1', login, kind: 'user' } }));
    gateway.others.teach(SignUps, 'policy', async () => ({ policy: 'invitation' }));
  });

  it('tells everybody whether it can be done', async () => {
    const answer = await gateway.ask('/api/sign-up');
    expect([answer.status, answer.json()]).toEqual([200, { policy: 'invitation' }]);
  });

  it('hands on what was given, and from where', async () => {
    const answer = await signUp(EVE);
    expect([answer.status, answer.json()]).toMatchObject([201, { login: 'eve' }]);
    expect(answer.headers).not.toHaveProperty('set-cookie');
    expect(gateway.others.heardOf(SignUps, 'signUp')).toMatchObject([{ ...EVE, email: '', address: '127.0.0.1' }]);
  });

  it.each([
    ['a form of another site', { 'Content-Type': 'text/plain' }, 400],
    ['a page of another site', { 'Content-Type': 'application/json', Origin: 'http://evil.example' }, 403],
  ])('is not done by %s', async (_what, headers, status) => {
    expect((await signUp(EVE, headers)).status).toBe(status);
    expect(gateway.others.heardOf(SignUps, 'signUp')).toEqual([]);
  });

  it('may be tried only so often, without keeping anybody from signing in', async () => {
    gateway.others.teach(SignUps, 'signUp', async () => {
      throw new Fault('forbidden', 'no invitation');
    });
    const body = { ...EVE, login: 'alice' };
    for (let times = 0; times < 10; times++) expect((await signUp(body)).status).toBe(403);
    expect((await signUp(body)).status).toBe(429);
    const headers = { 'Content-Type': 'application/json', Authorization: `Basic ${btoa('alice:secret word')}` };
    const login = await gateway.ask('/api/authentications', { method: 'POST', headers, body: '{"note":"n"}' });
    expect(login.status).toBe(404);
  });
});

describe('invitations', () => {
  const INVITATION = { id: 'i1', makerLogin: 'alice', expiresAtMs: 1_800_000_000_000n };
  const ask = (method: string, path: string, body?: object) =>
    gateway.ask(path, {
      method,
      headers: { Authorization: `token ${gateway.token(ALICE)}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  it('are made, listed and taken back', async () => {
    gateway.others.teach(Invitations, 'create', async () => ({ secret: 'vii-once', invitation: INVITATION }));
    gateway.others.teach(Invitations, 'list', async () => ({ invitations: [INVITATION] }));
    gateway.others.teach(Invitations, 'revoke', async () => ({}));
    const made = await ask('POST', '/api/invitations', { email: 'x@example.org', 'max-age': 60 });
    expect([made.status, made.json()]).toMatchObject([201, { id: 'i1', invitation: 'vii-once', organization: null }]);
    expect(gateway.others.heardOf(Invitations, 'create')).toMatchObject([
      { email: 'x@example.org', maxAgeSeconds: 60n },
    ]);
    const listed = await ask('GET', '/api/invitations');
    expect(listed.json()).toMatchObject({ items: [{ id: 'i1', made_by: 'alice' }], next: null });
    expect((await ask('DELETE', '/api/invitations/i1')).status).toBe(204);
    expect(gateway.others.heardOf(Invitations, 'revoke')).toMatchObject([{ id: 'i1' }]);
  });

  it.each([
    ['GET', '/api/invitations'],
    ['POST', '/api/invitations'],
    ['DELETE', '/api/invitations/i1'],
  ])('%s %s is not for strangers', async (method, path) => {
    expect((await gateway.ask(path, { method })).status).toBe(401);
  });
});
