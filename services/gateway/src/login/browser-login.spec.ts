import { Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { BrowserLogins } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { Tokens } from '@vivarium/contracts/gen/vivarium/identity/v1/tokens_pb';
import { Fault } from '@vivarium/fault/fault';
import { ALICE, type Answered, BOB, type Running, startGateway } from '../gateway.fixture.js';

const ORIGIN = 'https://vivarium.test';
const REDIRECT = 'http://127.0.0.1:8000/auth/oidc';
const QUERY = {
  client_id: 'the-client',
  response_type: 'code',
  scope: 'openid email profile offline_access',
  state: 'a state',
  redirect_uri: REDIRECT,
  code_challenge: 'c'.repeat(43),
  code_challenge_method: 'S256',
};
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

let gateway: Running;
beforeEach(async () => {
  gateway = await startGateway({ PUBLIC_URL: ORIGIN });
  gateway.others.teach(BrowserLogins, 'findProgram', async ({ clientId }) => {
    if (clientId !== 'the-client') throw new Fault('not_found', `There is no program "${clientId}".`);
    return { name: 'the <client>', redirectUris: [REDIRECT] };
  });
  gateway.others.teach(BrowserLogins, 'authorize', async () => ({ code: 'vic-code' }));
  gateway.others.teach(Sessions, 'open', async () => ({
    secret: 'vis-opened',
    expiresAtMs: BigInt(Date.now() + 60_000),
  }));
});
afterEach(() => gateway.stop());

const textOf = (fields: object) => String(new URLSearchParams({ ...fields }));
const authorize = (change: object = {}, headers: Record<string, string> = {}) =>
  gateway.ask(`/-/login/authorize?${textOf({ ...QUERY, ...change })}`, { headers });
const post = (path: string, fields: object, headers: Record<string, string> = {}) =>
  gateway.ask(path, { method: 'POST', headers: { ...FORM, Origin: ORIGIN, ...headers }, body: textOf(fields) });
const sessionOf = (caller = ALICE, id = 's1') =>
  `__Host-vivarium=${gateway.token({ ...caller, credentialKind: 'session', credentialId: id })}`;

/** What a browser would send back: hidden fields and cookies. */
function formIn(answer: Answered): { fields: Record<string, string>; cookie: string } {
  const fields = [...answer.text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)].map(
    ([, name = '', value = '']) => [name, value.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))],
  );
  const cookie = (answer.headers['set-cookie'] ?? []).map((each) => each.split(';')[0]).join('; ');
  return { fields: Object.fromEntries(fields), cookie };
}

function goesTo(answer: Answered): Record<string, string> {
  expect(answer.status).toBe(303);
  const location = new URL(answer.headers.location ?? '');
  expect(location.origin + location.pathname).toBe(REDIRECT);
  return Object.fromEntries(location.searchParams);
}

describe('the login page', () => {
  it('asks who is nobody to sign in, and goes on to the question whether the program may come in', async () => {
    const page = await authorize();
    expect([page.status, page.text]).toEqual([200, expect.stringContaining('The &#60;client&#62; wants to sign in')]);
    expect(page.headers['set-cookie']).toEqual([
      expect.stringMatching(/^__Host-vivarium-form=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/),
    ]);
    expect(page.headers).toMatchObject({
      'cache-control': 'private, no-store',
      'referrer-policy': 'same-origin',
      'content-security-policy': expect.stringContaining(
        "form-action 'self' http://127.0.0.1:8000; frame-ancestors 'none'",
      ),
    });
    const { fields, cookie } = formIn(page);
    const signedIn = await post(
      '/-/login/sign-in',
      { ...fields, login: 'alice', password: 'secret word' },
      { Cookie: cookie },
    );
    expect(signedIn.status).toBe(303);
    expect(signedIn.headers['set-cookie']).toEqual([expect.stringMatching(/^__Host-vivarium=vis-opened; .*; Secure$/)]);
    const { scope: _, ...kept } = QUERY;
    const location = new URL(signedIn.headers.location ?? '', ORIGIN);
    expect([location.origin, location.pathname]).toEqual([ORIGIN, '/-/login/authorize']);
    expect(Object.fromEntries(location.searchParams)).toEqual(kept);
  });

  it('lets nobody in by a visit alone, and says to whom the visitor belongs', async () => {
    const page = await authorize({}, { Cookie: sessionOf() });
    expect([page.status, page.text]).toEqual([200, expect.stringContaining('signed in as <strong>alice</strong>')]);
    expect(gateway.others.heardOf(BrowserLogins, 'authorize')).toEqual([]);
  });

  it('sends the code to the program when the visitor says yes', async () => {
    const session = sessionOf();
    const { fields, cookie } = formIn(await authorize({}, { Cookie: session }));
    const Cookie = `${session}; ${cookie}`;
    const answer = await post('/-/login/authorize', { ...fields, decision: 'allow' }, { Cookie });
    expect(goesTo(answer)).toEqual({ code: 'vic-code', state: 'a state', iss: ORIGIN });
    expect(gateway.others.heardOf(BrowserLogins, 'authorize')).toMatchObject([
      { clientId: 'the-client', redirectUri: REDIRECT, codeChallenge: 'c'.repeat(43) },
    ]);
    expect(gateway.others.heard.at(-1)?.assertion).toBe('alice to identity');
    expect(answer.headers['referrer-policy']).toBe('no-referrer');
  });

  it('tells the program when the visitor says no', async () => {
    const session = sessionOf();
    const { fields, cookie } = formIn(await authorize({}, { Cookie: session }));
    const answer = await post(
      '/-/login/authorize',
      { ...fields, decision: 'deny' },
      { Cookie: `${session}; ${cookie}` },
    );
    expect(goesTo(answer)).toMatchObject({ error: 'access_denied', state: 'a state', iss: ORIGIN });
    expect(gateway.others.heardOf(BrowserLogins, 'authorize')).toEqual([]);
  });

  it.each([
    ['a response type that is none', { response_type: 'token' }, 'unsupported_response_type'],
    ['a challenge in plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no method', { code_challenge_method: '' }, 'invalid_request'],
    ['no challenge', { code_challenge: '' }, 'invalid_request'],
    ['a challenge that is none', { code_challenge: 'x' }, 'invalid_request'],
  ])('tells the program of %s', async (_, change, error) => {
    expect(goesTo(await authorize(change))).toMatchObject({ error, state: 'a state', iss: ORIGIN });
    expect(goesTo(await authorize(change, { Cookie: sessionOf() }))).toMatchObject({ error });
  });

  it('tells the program that it needs a state, and makes none up', async () => {
    expect(goesTo(await authorize({ state: '' }))).toEqual({
      error: 'invalid_request',
      error_description: expect.any(String),
      iss: ORIGIN,
    });
  });

  it.each([
    ['another port', { redirect_uri: 'http://127.0.0.1:8001/auth/oidc' }, 400],
    ['another host', { redirect_uri: 'https://evil.example/auth/oidc' }, 400],
    ['a host that begins alike', { redirect_uri: 'http://127.0.0.1:8000@evil.example/auth/oidc' }, 400],
    ['more behind it', { redirect_uri: `${REDIRECT}/../x` }, 400],
    ['another spelling', { redirect_uri: 'http://localhost:8000/auth/oidc' }, 400],
    ['none', { redirect_uri: '' }, 400],
    ['another program', { client_id: 'another' }, 404],
    ['no program', { client_id: '' }, 400],
  ])('goes nowhere for the address of %s', async (_, change, status) => {
    for (const headers of [{}, { Cookie: sessionOf() }]) {
      const answer = await authorize(change, { ...headers, Accept: 'text/html' });
      expect([answer.status, answer.headers.location]).toEqual([status, undefined]);
      expect(answer.headers['content-type']).toContain('text/html');
    }
    const answer = await authorize({ ...change, response_type: 'token' });
    expect(answer.headers.location).toBeUndefined();
  });

  it('reads no parameter twice', async () => {
    const answer = await gateway.ask(`/-/login/authorize?${textOf(QUERY)}&redirect_uri=https://evil.example/`);
    expect([answer.status, answer.headers.location]).toEqual([400, undefined]);
  });

  it('says in one sentence that login or password is wrong, and counts the tries', async () => {
    const { fields, cookie } = formIn(await authorize());
    const wrong = () => post('/-/login/sign-in', { ...fields, login: 'alice', password: '<b>' }, { Cookie: cookie });
    const answer = await wrong();
    expect([answer.status, answer.text]).toEqual([401, expect.stringContaining('Wrong login or password.')]);
    expect(answer.text).toContain('value="alice"');
    expect(answer.text).not.toContain('<b>');
    for (let times = 0; times < 9; times++) await wrong();
    const late = await wrong();
    expect([late.status, late.text]).toEqual([429, expect.stringContaining('Too many attempts')]);
  });

  describe('takes no form', () => {
    it('that another site makes a browser send', async () => {
      const session = sessionOf();
      const { fields, cookie } = formIn(await authorize({}, { Cookie: session }));
      const sent = { ...fields, decision: 'allow' };
      for (const headers of [
        { Cookie: `${session}; ${cookie}`, Origin: 'https://evil.example' },
        { Cookie: `${session}; ${cookie}`, Origin: 'null' },
        // The cookie of the form is strict, so that it does not come along.
        { Cookie: session },
      ]) {
        const answer = await post('/-/login/authorize', sent, headers);
        expect([answer.status, answer.headers.location]).toEqual([403, undefined]);
      }
      const { fields: own, cookie: ownCookie } = formIn(await authorize());
      const login = { login: 'alice', password: 'secret word' };
      for (const headers of [{ Cookie: ownCookie, Origin: 'https://evil.example' }, {}]) {
        const answer = await post('/-/login/sign-in', { ...own, ...login }, headers as Record<string, string>);
        expect([answer.status, answer.headers['set-cookie']]).toEqual([403, undefined]);
      }
      expect(gateway.others.heardOf(BrowserLogins, 'authorize')).toEqual([]);
    });

    it('of another session, of another purpose, or with other contents', async () => {
      const session = sessionOf();
      const { fields, cookie } = formIn(await authorize({}, { Cookie: session }));
      const { fields: toSignIn } = formIn(await authorize({}, { Cookie: cookie }));
      const changed = textOf({ ...Object.fromEntries(new URLSearchParams(fields.request)), state: 'another' });
      for (const [sent, Cookie] of [
        [fields, `${sessionOf(BOB, 's2')}; ${cookie}`],
        [{ ...fields, seal: toSignIn.seal }, `${session}; ${cookie}`],
        [{ ...fields, seal: '' }, `${session}; ${cookie}`],
        [{ ...fields, request: changed }, `${session}; ${cookie}`],
      ] as const) {
        const answer = await post('/-/login/authorize', { ...sent, decision: 'allow' }, { Cookie });
        expect([answer.status, answer.headers.location]).toEqual([403, undefined]);
      }
    });

    it('whose session has ended, or whose visitor came with a token', async () => {
      const session = sessionOf();
      const { fields, cookie } = formIn(await authorize({}, { Cookie: session }));
      const sent = { ...fields, decision: 'allow' };
      expect((await post('/-/login/authorize', sent, { Cookie: cookie })).status).toBe(401);
      const Authorization = `token ${gateway.token(ALICE)}`;
      expect((await post('/-/login/authorize', sent, { Cookie: cookie, Authorization })).status).toBe(401);
      expect((await authorize({}, { Authorization })).text).toContain('wants to sign in');
    });

    it('of another type, or without end', async () => {
      const body = '{"request":"x"}';
      const json = { 'Content-Type': 'application/json', Origin: ORIGIN };
      expect((await gateway.ask('/-/login/authorize', { method: 'POST', headers: json, body })).status).toBe(400);
      expect((await post('/-/login/sign-in', { request: 'x'.repeat(20_000) })).status).toBe(413);
    });
  });
});

describe('for programs', () => {
  const GRANT = {
    grant_type: 'authorization_code',
    client_id: 'the-client',
    code: 'vic-code',
    redirect_uri: REDIRECT,
    code_verifier: 'v'.repeat(43),
  };
  const redeem = (change: object = {}) =>
    gateway.ask('/-/login/token', { method: 'POST', headers: FORM, body: textOf({ ...GRANT, ...change }) });

  beforeEach(() => {
    gateway.others.teach(BrowserLogins, 'redeem', async ({ code }) => {
      if (code !== 'vic-code') throw new Fault('invalid', 'This code does not count.');
      return { accessToken: 'via-access', expiresInSeconds: 300n };
    });
  });

  it.each(['vivarium.test', 'api.vivarium.test'])('the addresses are found at %s', async (Host) => {
    const answer = await gateway.ask('/.well-known/openid-configuration', { headers: { Host } });
    expect([answer.status, answer.json()]).toMatchObject([
      200,
      {
        issuer: ORIGIN,
        authorization_endpoint: `${ORIGIN}/-/login/authorize`,
        token_endpoint: `${ORIGIN}/-/login/token`,
        code_challenge_methods_supported: ['S256'],
      },
    ]);
  });

  it('a code is worth something that makes a token', async () => {
    const answer = await redeem();
    expect([answer.status, answer.json()]).toEqual([
      200,
      { access_token: 'via-access', token_type: 'Bearer', expires_in: 300 },
    ]);
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  });

  it.each([
    ['a wrong code', { code: 'vic-other' }, 400, 'invalid_grant'],
    ['no code', { code: '' }, 400, 'invalid_request'],
    ['no verifier', { code_verifier: '' }, 400, 'invalid_request'],
    ['no redirect', { redirect_uri: '' }, 400, 'invalid_request'],
    ['another program', { client_id: 'another' }, 401, 'invalid_client'],
    ['a password', { grant_type: 'password' }, 400, 'unsupported_grant_type'],
    ['a refresh token', { grant_type: 'refresh_token' }, 400, 'unsupported_grant_type'],
  ])('%s is told as the standard says', async (_, change, status, error) => {
    const answer = await redeem(change);
    expect([answer.status, answer.json()]).toEqual([
      status,
      { error, error_description: expect.stringMatching(/^[ -~]+$/) },
    ]);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('a parameter that is there twice is no request', async () => {
    const body = `${textOf(GRANT)}&code=vic-code`;
    const answer = await gateway.ask('/-/login/token', { method: 'POST', headers: FORM, body });
    expect([answer.status, answer.json()]).toMatchObject([400, { error: 'invalid_request' }]);
  });

  it('what was given makes a token, and opens nothing else', async () => {
    const access = `via-${'a'.repeat(32)}`;
    const { createHash } = await import('node:crypto');
    gateway.others.teach(Tokens, 'create', async () => ({ token: 'viv-once' }));
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${access}` };
    await gateway.ask('/api/authentications', { method: 'POST', headers, body: '{"note":"n"}' });
    const heard = gateway.others.heard.find(({ rpc }) => rpc.endsWith('whoIs'));
    expect(heard?.request).toMatchObject({
      credential: { case: 'browserSha256', value: new Uint8Array(createHash('sha256').update(access).digest()) },
      audiences: ['identity'],
    });
    for (const path of [
      '/api/user',
      '/api/authentications',
      '/conda/alice/noarch/repodata.json',
      '/pypi/alice/simple/',
    ]) {
      expect((await gateway.ask(path, { headers })).status).toBe(401);
    }
    expect((await gateway.ask(`/t/${access}/alice/noarch/repodata.json`)).status).toBe(401);
  });

  it('there are pages to end on', async () => {
    for (const [path, words] of [
      ['/app/local-login-success', 'You can close this page'],
      ['/app/local-login-error', 'was not let in'],
      ['/account/forgot_password', 'administrator'],
    ] as const) {
      const answer = await gateway.ask(path);
      expect([answer.status, answer.text]).toEqual([200, expect.stringContaining(words)]);
    }
  });
});

it('over plain http there is no login by the browser, and the client is told why', async () => {
  const plain = await startGateway();
  try {
    const answer = await plain.ask('/.well-known/openid-configuration');
    expect([answer.status, answer.text]).toEqual([404, expect.stringContaining('needs https')]);
  } finally {
    await plain.stop();
  }
});
