import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import { newHome, removeHome } from '@vivarium/testkit/clients';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, startProduct } from '@vivarium/testkit/product';
import { ask } from './ask.js';
import { Publisher } from './publisher.js';
import { PYTHON_IS_HERE, python, pythonOk } from './python.js';
import { Secrets } from './secrets.js';
import { hasOpenssl, openTlsFront, type TlsFront } from './tls.js';

// The client takes seconds to start, and each login starts it several times.
jest.setTimeout(600_000);

const CLIENT_ID = 'b4ad7f1d-c784-46b5-a9fe-106e50441f5a';
const REDIRECT = 'http://127.0.0.1:8000/auth/oidc';
const VISITOR = fileURLToPath(new URL('visitor.mjs', import.meta.url));

const suite = skipSuiteUnless(
  PYTHON_IS_HERE && hasOpenssl,
  'login by the browser',
  'it needs the Python clients (.ci/install.sh) and openssl',
);

interface Visited {
  readonly url: string;
  readonly status: number;
  readonly text: string;
}

suite('login by the browser, over TLS with a private authority', () => {
  const secrets = new Secrets();
  const homes: string[] = [];
  let product: Product;
  let front: TlsFront;
  let alice: { readonly password: string };

  beforeAll(async () => {
    front = await openTlsFront();
    product = await startProduct();
    alice = await (await Publisher.admin(product, secrets)).makeUser('alice');
    const gateway = product.processes.includes('gateway') ? 'gateway' : 'all';
    await product.restart(gateway, 'SIGTERM', { PUBLIC_URL: front.url, TRUSTED_PROXIES: '127.0.0.1' });
    front.leadTo(product.gateways[0] ?? '');
  });
  afterAll(async () => {
    await product?.stop();
    await front?.close();
    for (const home of homes) await removeHome(home);
  });

  /** Somebody at a computer with the client, set up for our server as the documentation says. */
  async function computer() {
    const home = await newHome();
    homes.push(home);
    const log = join(home, 'visited');
    const env = {
      ANACONDA_CLIENT_LEGACY_INTERACTIVE_LOGIN: undefined,
      REQUESTS_CA_BUNDLE: front.authority,
      NODE_EXTRA_CA_CERTS: front.authority,
      BROWSER: `${process.execPath} ${VISITOR} %s &`,
      VISITOR_LOG: log,
      VISITOR_LOGIN: 'alice',
      VISITOR_PASSWORD: alice.password,
    };
    const anaconda = (parameters: readonly string[], more: object = {}, input = '') =>
      python('anaconda', ['-s', 's', ...parameters], { home, input, env: { ...env, ...more } });
    for (const [key, value] of [
      ['sites.s.url', `${front.url}/api`],
      ['sites.s.ssl_verify', front.authority],
      ['url', `${front.url}/api`],
    ] as const) {
      await pythonOk('anaconda', ['config', '--set', key, value], { home, env });
    }
    const visited = async (): Promise<readonly Visited[]> =>
      (await readFile(log, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Visited);
    return { anaconda, visited };
  }

  const codeIn = (visited: readonly Visited[]): string => {
    const back = visited.find(({ url }) => url.startsWith(REDIRECT));
    return secrets.keep('code', new URL(back?.url ?? '').searchParams.get('code') ?? '');
  };
  const fetchOver = async (path: string, options: { method?: string; body?: string } = {}) =>
    ask(`${product.gateways[0]}${path}`, {
      ...options,
      headers: {
        Host: new URL(front.url).host,
        ...(options.body === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
      },
    });
  const redeem = (fields: Readonly<Record<string, string>>) => {
    const grant = { grant_type: 'authorization_code', client_id: CLIENT_ID, redirect_uri: REDIRECT, ...fields };
    return fetchOver('/-/login/token', { method: 'POST', body: String(new URLSearchParams(grant)) });
  };

  it('signs the anaconda client in, with a person who gives the password on the page and says yes', async () => {
    const { anaconda, visited } = await computer();
    const login = await anaconda(['login']);
    expect([login.code, login.stderr]).toEqual([0, expect.stringContaining('login successful')]);
    const seen = await visited();
    expect(seen.map(({ url, status }) => [new URL(url).pathname, status])).toEqual([
      ['/-/login/authorize', 200],
      ['/-/login/sign-in', 303],
      ['/-/login/authorize', 200],
      ['/-/login/authorize', 303],
      ['/auth/oidc', 307],
      ['/app/local-login-success', 200],
    ]);
    const who = await anaconda(['whoami']);
    expect(who.stderr).toMatch(/Username: alice/);
    expect((await anaconda(['auth', '--list'])).stderr).toContain('binstar_client:s:');

    // A token for something else is made by the browser, too; the names that exist are not taken over.
    const made = await anaconda(['auth', '--create', '--name', 'reader', '--scopes', 'api:read']);
    expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^viv-[a-z0-9]{32}-[a-z0-9]{6}$/)]);
    secrets.keep('reader', made.stdout);
    const info = await anaconda(['auth', '--list']);
    expect(info.stderr).toContain('api:read');

    // Signing in again replaces the token of this computer.
    const again = await anaconda(['login'], {}, 'y\n');
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('login successful')]);
    expect((await anaconda(['logout'])).code).toBe(0);
    expect((await anaconda(['whoami'])).stderr).toContain('Anonymous');
  });

  it('leaves the client out when the person says no', async () => {
    const { anaconda, visited } = await computer();
    const login = await anaconda(['login'], { VISITOR_DECISION: 'deny' });
    expect(login.code).not.toBe(0);
    expect((await visited()).at(-1)).toMatchObject({
      url: `${front.url}/app/local-login-error`,
      status: 200,
      text: expect.stringContaining('was not let in'),
    });
    expect((await anaconda(['whoami'])).stderr).toContain('Anonymous');
  });

  it('ends the token of the client when its code comes a second time', async () => {
    const { anaconda, visited } = await computer();
    expect((await anaconda(['login'])).code).toBe(0);
    expect((await anaconda(['whoami'])).stderr).toMatch(/Username: alice/);
    const answered = await redeem({ code: codeIn(await visited()), code_verifier: 'x'.repeat(43) });
    expect([answered.status, answered.json<{ error: string }>().error]).toEqual([400, 'invalid_grant']);
    expect((await anaconda(['whoami'])).stderr).toContain('Anonymous');
  });

  describe('by hand', () => {
    interface Begun {
      readonly code: string;
      readonly verifier: string;
    }

    /** A login as far as the code, in the words of a program that is not the client. */
    async function begin(): Promise<Begun> {
      const home = await newHome();
      homes.push(home);
      const verifier = secrets.keep('verifier', randomBytes(48).toString('base64url'));
      const query = {
        client_id: CLIENT_ID,
        response_type: 'code',
        redirect_uri: REDIRECT,
        state: 'mine',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'),
        code_challenge_method: 'S256',
      };
      const path = `/-/login/authorize?${new URLSearchParams(query)}`;
      const page = await fetchOver(path);
      const cookies = new Map<string, string>();
      const send = async (to: string, fields: Readonly<Record<string, string>>) => {
        const answer = await ask(`${product.gateways[0]}${to}`, {
          method: 'POST',
          headers: {
            Host: new URL(front.url).host,
            Origin: front.url,
            Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
            'Content-Type': 'application/x-www-form-urlencoded',
          },
          body: String(new URLSearchParams(fields)),
        });
        keep(answer.headers['set-cookie']);
        return answer;
      };
      const keep = (set: readonly string[] = []): void => {
        for (const each of set) {
          const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? [];
          cookies.set(name, secrets.keep(`cookie ${name}`, value));
        }
      };
      const hiddenIn = (html: string) =>
        Object.fromEntries(
          [...html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)].map(([, name = '', value = '']) => [
            name,
            value.replaceAll('&#38;', '&'),
          ]),
        );
      keep(page.headers['set-cookie']);
      const signIn = { ...hiddenIn(page.text()), login: 'alice', password: alice.password };
      const signedIn = await send('/-/login/sign-in', signIn);
      expect(signedIn.status).toBe(303);
      const consent = await ask(`${product.gateways[0]}${signedIn.headers.location}`, {
        headers: {
          Host: new URL(front.url).host,
          Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        },
      });
      const answer = await send('/-/login/authorize', { ...hiddenIn(consent.text()), decision: 'allow' });
      const back = new URL(answer.headers.location ?? '');
      expect([back.searchParams.get('state'), back.searchParams.get('iss')]).toEqual(['mine', front.url]);
      return { code: secrets.keep('code', back.searchParams.get('code') ?? ''), verifier };
    }

    it('gives something that makes one token, and opens nothing else', async () => {
      const { code, verifier } = await begin();
      const redeemed = await redeem({ code, code_verifier: verifier });
      expect(redeemed.status).toBe(200);
      const access = secrets.keep('access', redeemed.json<{ access_token: string }>().access_token);
      const headers = { Authorization: `Bearer ${access}`, Host: new URL(front.url).host };
      for (const path of ['/api/user', '/api/authentications', `/t/${access}/alice/noarch/repodata.json`]) {
        expect((await ask(`${product.gateways[0]}${path}`, { headers })).status).toBe(401);
      }
      const body = JSON.stringify({ note: 'by hand', scopes: null });
      const make = () =>
        ask(`${product.gateways[0]}/api/authentications`, {
          method: 'POST',
          headers: { ...headers, 'Content-Type': 'application/json' },
          body,
        });
      const made = await make();
      expect(made.status).toBe(200);
      secrets.keep('token by hand', made.json<{ token: string }>().token);
      expect((await make()).status).toBe(401);
    });

    it.each([
      ['the verifier of another', { code_verifier: 'v'.repeat(43) }, 'invalid_grant'],
      ['another redirect', { redirect_uri: 'http://127.0.0.1:8001/auth/oidc' }, 'invalid_grant'],
      ['another program', { client_id: 'another' }, 'invalid_client'],
    ])('refuses a code with %s', async (_, wrong, error) => {
      const { code, verifier } = await begin();
      const answered = await redeem({ code, code_verifier: verifier, ...wrong });
      expect(answered.json<{ error: string }>().error).toBe(error);
    });
  });

  it('writes none of its secrets into the logs', () => {
    secrets.keep('password of alice', alice.password);
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
