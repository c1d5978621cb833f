import { Accounts, Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Running, startGateway } from '../gateway.fixture.js';

const BASIC = `Basic ${Buffer.from('alice:secret word').toString('base64')}`;
const JSON_TYPE = { 'Content-Type': 'application/json' };
const TOKEN = {
  id: 't1',
  name: 'binstar_client:root@vm',
  ownerLogin: 'alice',
  scopes: ['all'],
  createdAtMs: 1_700_000_000_074n,
  expiresAtMs: 1_800_000_000_000n,
  hostname: 'vm',
  address: '127.0.0.1',
  remainingUses: -1n,
};
/** As the client sends it, all eight keys. */
const ASKED = {
  scopes: null,
  note: 'binstar_client:root@vm',
  note_url: 'http://127.0.0.1:8899',
  hostname: 'vm',
  user: null,
  'max-age': null,
  strength: 'strong',
  'fail-if-exists': true,
};

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway();
});
afterEach(() => gateway.stop());

const login = (body: object, headers: Record<string, string> = {}) =>
  gateway.ask('/api/authentications', {
    method: 'POST',
    headers: { ...JSON_TYPE, Authorization: BASIC, ...headers },
    body: JSON.stringify(body),
  });

describe('the root of the API', () => {
  it.each(['/api', '/api/'])(
    'answers HEAD %s with 200, without a redirect and without looking at a token',
    async (path) => {
      const answer = await gateway.ask(path, { method: 'HEAD', headers: { Authorization: 'token nonsense' } });
      expect(answer.status).toBe(200);
      expect(answer.body).toHaveLength(0);
    },
  );

  it('tells old conda where the channels are', async () => {
    const answer = await gateway.ask('/api');
    expect(answer.json()).toMatchObject({
      ok: 1,
      conda_url: 'http://vivarium.test/conda',
      pypi_url: 'http://vivarium.test/pypi',
    });
  });

  it('answers on its own host, too', async () => {
    const answer = await gateway.ask('/authentication-type', { headers: { Host: 'api.vivarium.test' } });
    expect([answer.status, answer.json()]).toEqual([200, { authentication_type: 'password' }]);
    expect((await gateway.ask('/', { method: 'HEAD', headers: { Host: 'api.vivarium.test' } })).status).toBe(200);
  });

  it('lists the scopes to anybody', async () => {
    const answer = await gateway.ask('/api/scopes', { headers: { Authorization: 'Basic bmV0cmM6cHc=' } });
    expect(answer.status).toBe(200);
    expect(answer.json()).toHaveProperty('conda:upload');
  });
});

describe('POST /authentications', () => {
  it('gives a token for a password, with 200', async () => {
    gateway.others.teach(Tokens, 'create', async () => ({ token: 'viv-once', described: TOKEN }));
    const answer = await login(ASKED);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, expect.stringContaining('application/json')]);
    expect(answer.json()).toMatchObject({ token: 'viv-once', expires: '2027-01-15 08:00:00.000000+00:00' });
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(gateway.others.heardOf(Tokens, 'create')).toMatchObject([
      {
        name: 'binstar_client:root@vm',
        scopes: [],
        organization: '',
        failIfExists: true,
        hostname: 'vm',
        address: '127.0.0.1',
      },
    ]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to identity');
  });

  it('hands on scopes, age and organization', async () => {
    gateway.others.teach(Tokens, 'create', async () => ({ token: 'viv-once', described: TOKEN }));
    await login({
      ...ASKED,
      scopes: ['repos', 'conda:download'],
      'max-age': 60,
      user: 'org1',
      'fail-if-exists': false,
    });
    expect(gateway.others.heardOf(Tokens, 'create')).toMatchObject([
      { scopes: ['repos', 'conda:download'], maxAgeSeconds: 60n, organization: 'org1', failIfExists: false },
    ]);
  });

  it('says 400, as the client expects, when the name is taken', async () => {
    gateway.others.teach(Tokens, 'create', async () => {
      throw new Fault('conflict', 'alice has a token named "x" already');
    });
    const answer = await login(ASKED);
    expect([answer.status, answer.json()]).toEqual([
      400,
      { error: 'alice has a token named "x" already', code: 'invalid' },
    ]);
  });

  it('says 401 for a wrong password', async () => {
    const answer = await login(ASKED, { Authorization: `Basic ${Buffer.from('alice:wrong').toString('base64')}` });
    expect([answer.status, answer.json()]).toEqual([
      401,
      { error: 'Wrong login or password.', code: 'unauthenticated' },
    ]);
  });

  it('refuses the eleventh try of a minute before the password is looked at, and says how long', async () => {
    const wrong = { Authorization: `Basic ${Buffer.from('alice:wrong').toString('base64')}` };
    for (let tries = 0; tries < 10; tries++) expect((await login(ASKED, wrong)).status).toBe(401);
    const heard = gateway.others.heard.length;
    const answer = await login(ASKED);
    expect(answer.status).toBe(429);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(30);
    expect(answer.json()).toMatchObject({ error: expect.stringContaining('Try again in') });
    expect(gateway.others.heard).toHaveLength(heard);
  });

  it.each([
    ['no JSON', '{', 'The body is not JSON.'],
    ['a list', '[1]', 'The body must be one JSON object.'],
    ['a scope that is no text', '{"scopes":[1]}', '"scopes" must be a list of texts.'],
    ['an age that is no number', '{"max-age":"1"}', '"max-age" must be a whole number.'],
  ])('refuses %s', async (_what, body, error) => {
    const answer = await gateway.ask('/api/authentications', {
      method: 'POST',
      headers: { ...JSON_TYPE, Authorization: BASIC },
      body,
    });
    expect([answer.status, answer.json()]).toEqual([400, { error, code: 'invalid' }]);
  });

  it('refuses a body above 1 MiB with an answer, not with a reset', async () => {
    const answer = await login({ note: 'x'.repeat(2 ** 21) });
    expect([answer.status, answer.json()]).toMatchObject([413, { code: 'too_large' }]);
  });

  it('refuses a token that a browser remembered as Basic, when another site made the browser send it', async () => {
    const Authorization = `Basic ${Buffer.from(`__token__:${gateway.token(ALICE)}`).toString('base64')}`;
    gateway.others.teach(Tokens, 'revoke', async () => ({}));
    const remove = (headers: Record<string, string>) =>
      gateway.ask('/api/authentications', { method: 'DELETE', headers: { Authorization, ...headers } });
    expect((await remove({ Origin: 'https://evil.example' })).status).toBe(403);
    expect((await remove({})).status).toBe(201);
  });

  it('hands on restrictions, channels by their ids, and shows them as they were asked for', async () => {
    gateway.others.teach(Tokens, 'create', async (request) => ({
      token: 'viv-once',
      described: { ...TOKEN, restrictions: request.restrictions ?? {}, channelLogins: ['bob'], remainingUses: 3n },
    }));
    const restrict = {
      channels: ['bob'],
      packages: ['Foo*'],
      labels: ['Dev'],
      subdirs: ['linux-64'],
      cidrs: ['10.0.0.0/8'],
      uses: 3,
    };
    const answer = await login({ ...ASKED, restrict });
    const kept = { packages: ['foo*'], labels: ['dev'], subdirs: ['linux-64'], cidrs: ['10.0.0.0/8'] };
    expect(gateway.others.heardOf(Tokens, 'create')).toMatchObject([
      { restrictions: { ...kept, channels: ['b1'] }, uses: 3n },
    ]);
    expect(answer.json()).toMatchObject({ token: 'viv-once', restrict: { ...kept, channels: ['bob'], uses: 3 } });
  });

  it.each([
    ['a word that is no restriction', { channel: ['bob'] }, 'there is no restriction "channel"; there are channels,'],
    ['an empty list', { packages: [] }, 'leave it out to reach all'],
    ['no channels', { channels: [] }, 'leave it out to reach all'],
    ['a text for a list', { labels: 'dev' }, '"labels" must be a list of texts'],
    [
      'a glob that is none',
      { packages: ['a b'] },
      '"a b" names no package that a token may be limited to; write a name, or',
    ],
    ['a label that is none', { labels: ['-x'] }, '"-x" is not a label. Begin with a letter'],
    ['a reserved label', { labels: ['a/lock'] }, 'reserved'],
    ['a subdir that is none', { subdirs: ['linux-46'] }, '"linux-46" is no subdir; there are noarch,'],
    ['a block that is none', { cidrs: ['10.0.0.0/33'] }, '"10.0.0.0/33" is no address block; write 10.0.0.0/8'],
    [
      'a block in words',
      { cidrs: ['here'] },
      '"here" names no address block that a token may be limited to; write 10.0.0.0/8',
    ],
    ['no uses', { uses: 0 }, 'not 0 times; leave "uses" out'],
    ['fewer than no uses', { uses: -1 }, 'not -1 times'],
    ['half a use', { uses: 0.5 }, '"uses" must be a whole number'],
    ['a channel that is missing', { channels: ['nobody'] }, 'there is no channel "nobody", or you may not see it'],
    ['a channel that is hidden', { channels: ['hidden'] }, 'there is no channel "hidden", or you may not see it'],
    ['a channel of no grammar', { channels: ['A b'] }, 'there is no channel "A b", or you may not see it'],
  ])('makes no token restricted to %s', async (_what, restrict, sentence) => {
    const answer = await login({ ...ASKED, restrict });
    expect([answer.status, answer.json()]).toMatchObject([400, { error: expect.stringContaining(sentence) }]);
    expect(gateway.others.heardOf(Tokens, 'create')).toEqual([]);
  });

  it('refuses a remembered password that another site made the browser send', async () => {
    const answer = await login(ASKED, { Origin: 'https://evil.example' });
    expect(answer.status).toBe(403);
  });
});

describe('tokens of the caller', () => {
  beforeEach(() => {
    gateway.others.teach(Tokens, 'list', async () => ({ tokens: [TOKEN, { ...TOKEN, id: 't2', expiresAtMs: 0n }] }));
    gateway.others.teach(Tokens, 'describe', async () => ({ token: TOKEN }));
    gateway.others.teach(Tokens, 'revoke', async () => ({}));
  });

  it('are listed as a bare array whose times have a zone', async () => {
    const answer = await gateway.ask('/api/authentications', {
      headers: { Authorization: `token ${gateway.token(ALICE)}` },
    });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject([
      { id: 't1', application: 'binstar_client:root@vm', expires: '2027-01-15 08:00:00.000000+00:00', scopes: ['all'] },
      { id: 't2', expires: null },
    ]);
  });

  it('describe themselves', async () => {
    const answer = await gateway.ask('/api/authentication', {
      headers: { Authorization: `token ${gateway.token(ALICE)}` },
    });
    expect(answer.json()).toMatchObject({
      id: 't1',
      application: 'binstar_client:root@vm',
      created_at: '2023-11-14 22:13:20.074000+00:00',
    });
  });

  it.each(['/api/authentications?org=acme', '/api/authentications/org/acme'])(
    'of an organization are listed at %s',
    async (path) => {
      const answer = await gateway.ask(path, { headers: { Authorization: `token ${gateway.token(ALICE)}` } });
      expect(answer.json()).toHaveLength(2);
      expect(gateway.others.heardOf(Tokens, 'list')).toMatchObject([{ owner: 'acme' }]);
    },
  );

  it.each([
    ['/api/authentications', { which: { case: 'presented', value: true }, owner: '' }],
    ['/api/authentications/name/ci', { which: { case: 'name', value: 'ci' }, owner: '' }],
    ['/api/authentications/name/binstar_client:root@vm', { which: { case: 'name', value: 'binstar_client:root@vm' } }],
    ['/api/authentications/name/a%20b/c', { which: { case: 'name', value: 'a b/c' } }],
    ['/api/authentications/name/a+b%2Fc', { which: { case: 'name', value: 'a+b/c' } }],
    ['/api/authentications/org/org1/name/orgtok', { which: { case: 'name', value: 'orgtok' }, owner: 'org1' }],
  ])('are revoked by DELETE %s with 201', async (path, request) => {
    const headers = { ...JSON_TYPE, Authorization: `token ${gateway.token(ALICE)}` };
    const answer = await gateway.ask(path, { method: 'DELETE', headers });
    expect(answer.status).toBe(201);
    expect(gateway.others.heardOf(Tokens, 'revoke')).toMatchObject([request]);
  });

  it('are not for strangers', async () => {
    const answer = await gateway.ask('/api/authentications');
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, expect.stringContaining('Bearer')]);
    expect(answer.json()).toMatchObject({ error: expect.stringContaining('anaconda login') });
  });

  it('do not work from an address that their owner did not allow', async () => {
    const token = gateway.token({
      accountId: 'a1',
      login: 'alice',
      accountKind: 'user',
      restrictions: { cidrs: ['10.0.0.0/8'] },
    });
    const answer = await gateway.ask('/api/authentication', { headers: { Authorization: `token ${token}` } });
    expect([answer.status, answer.json()]).toMatchObject([403, { error: expect.stringContaining('127.0.0.1') }]);
  });
});

describe('sessions', () => {
  const open = (headers: Record<string, string> = {}) =>
    gateway.ask('/api/session', {
      method: 'POST',
      headers: { ...JSON_TYPE, ...headers },
      body: JSON.stringify({ login: 'alice', password: 'secret word' }),
    });

  beforeEach(() => {
    gateway.others.teach(Sessions, 'open', async () => ({
      secret: 'vis-secret',
      expiresAtMs: BigInt(Date.now() + 60_000),
    }));
    gateway.others.teach(Sessions, 'close', async () => ({}));
  });

  it('give a cookie that scripts cannot read', async () => {
    const answer = await open({ Origin: 'http://vivarium.test', 'User-Agent': 'browser' });
    expect(answer.status).toBe(200);
    expect(answer.headers['set-cookie']).toEqual([
      expect.stringMatching(/^vivarium=vis-secret; Path=\/; HttpOnly; SameSite=Lax; Max-Age=(59|60)$/),
    ]);
    expect(gateway.others.heardOf(Sessions, 'open')).toMatchObject([{ address: '127.0.0.1', userAgent: 'browser' }]);
  });

  it.each([
    ['a form of another site', { 'Content-Type': 'text/plain' }, 400],
    ['a page of another site', { Origin: 'http://evil.example' }, 403],
  ])('are not opened by %s', async (_what, headers, status) => {
    expect((await open(headers)).status).toBe(status);
  });

  it('change nothing without the header that only our pages send', async () => {
    const Cookie = `vivarium=${gateway.token({ ...ALICE, credentialKind: 'session' })}`;
    const close = (headers: Record<string, string>) =>
      gateway.ask('/api/session', { method: 'DELETE', headers: { Cookie, ...headers } });
    expect((await close({})).status).toBe(403);
    expect((await close({ Origin: 'http://evil.example' })).status).toBe(403);
    const closed = await close({ 'X-Vivarium-CSRF': '1' });
    expect([closed.status, closed.text]).toEqual([204, '']);
    expect(closed.headers['set-cookie']).toEqual([
      expect.stringContaining('vivarium=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0'),
    ]);
    expect((await close({ Origin: 'http://vivarium.test' })).status).toBe(204);
  });

  it('read without it', async () => {
    gateway.others.teach(Accounts, 'find', async () => ({ account: { id: 'a1', login: 'alice', kind: 'user' } }));
    const Cookie = `vivarium=${gateway.token({ ...ALICE, credentialKind: 'session' })}`;
    expect((await gateway.ask('/api/user', { headers: { Cookie } })).status).toBe(200);
  });
});

describe('over https', () => {
  it('the cookie belongs to this host alone, and the plain one does not count', async () => {
    await gateway.stop();
    gateway = await startGateway({ PUBLIC_URL: 'https://vivarium.test' });
    gateway.others.teach(Sessions, 'open', async () => ({
      secret: 'vis-secret',
      expiresAtMs: BigInt(Date.now() + 60_000),
    }));
    const body = JSON.stringify({ login: 'alice', password: 'secret word' });
    const answer = await gateway.ask('/api/session', { method: 'POST', headers: JSON_TYPE, body });
    expect(answer.headers['set-cookie']).toEqual([expect.stringMatching(/^__Host-vivarium=vis-secret; .*; Secure$/)]);
    const token = gateway.token({ ...ALICE, credentialKind: 'session' });
    expect((await gateway.ask('/api/user', { headers: { Cookie: `vivarium=${token}` } })).status).toBe(401);
  });
});

describe('the log', () => {
  it('holds no secret, whatever fails', async () => {
    const token = gateway.token(ALICE);
    gateway.others.teach(Tokens, 'create', async () => {
      throw new Error('broken');
    });
    await login(ASKED);
    await gateway.ask(`/t/${token}/alice/noarch/repodata.json`);
    await gateway.ask('/api/user', { headers: { Authorization: `token ${token}`, Cookie: 'vivarium=vis-topsecret' } });
    const log = gateway.log.join('');
    expect(log).toContain('broken');
    for (const secret of [token, 'secret word', BASIC.slice(6), 'vis-topsecret']) expect(log).not.toContain(secret);
  });
});
