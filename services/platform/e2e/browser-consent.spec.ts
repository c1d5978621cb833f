import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jest } from '@jest/globals';
import { hasBrowser, startBrowser } from '@vivarium/testkit/browser';
import { skipSuiteUnless } from '@vivarium/testkit/missing';
import { type Product, productTarget, startProduct } from '@vivarium/testkit/product';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { Publisher } from './publisher.js';
import { Secrets } from './secrets.js';
import { hasOpenssl, openTlsFront, type TlsFront } from './tls.js';

jest.setTimeout(240_000);

const CLIENT_PORT = 8000;
const REDIRECT = `http://127.0.0.1:${CLIENT_PORT}/auth/oidc`;

const suite =
  // What a browser is told is the gateway's own matter: once is enough.
  productTarget() === 'services'
    ? describe.skip
    : skipSuiteUnless(
        hasBrowser() && hasOpenssl,
        'the login page in a browser',
        'Chromium is not installed (.ci/install.sh does), or openssl is missing',
      );

/** Serves on 127.0.0.1 what it is given, and hears what it is asked. */
async function listen(port: number, answer: (url: URL) => { location?: string; html?: string }) {
  const heard: URL[] = [];
  const server: Server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host}`);
    if (url.pathname !== '/favicon.ico') heard.push(url);
    const { location, html = '' } = answer(url);
    if (location === undefined) response.writeHead(200, { 'Content-Type': 'text/html' });
    else response.writeHead(307, { Location: location });
    response.end(html);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { heard, port: (server.address() as AddressInfo).port, close };
}

suite('the login page in a real browser', () => {
  const secrets = new Secrets();
  let product: Product;
  let front: TlsFront;
  let browser: Browser;
  let alice: { readonly password: string };

  beforeAll(async () => {
    front = await openTlsFront();
    product = await startProduct();
    alice = await (await Publisher.admin(product, secrets)).makeUser('alice');
    await product.restart('all', 'SIGTERM', { PUBLIC_URL: front.url, TRUSTED_PROXIES: '127.0.0.1' });
    front.leadTo(product.gateways[0] ?? '');
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await product?.stop();
    await front?.close();
  });

  function authorizeUrl(state: string): string {
    const verifier = randomBytes(48).toString('base64url');
    return `${front.url}/-/login/authorize?${new URLSearchParams({
      client_id: 'b4ad7f1d-c784-46b5-a9fe-106e50441f5a',
      response_type: 'code',
      scope: 'openid email profile offline_access',
      state,
      redirect_uri: REDIRECT,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    })}`;
  }

  /** Each in a browser that nobody is signed in with. */
  async function inBrowser(visit: (page: Page, context: BrowserContext) => Promise<void>): Promise<void> {
    // The authority is private; what is tried here is not the certificate.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    try {
      const page = await context.newPage();
      page.setDefaultTimeout(60_000);
      await visit(page, context);
    } finally {
      await context.close();
    }
  }

  async function signIn(page: Page, password = alice.password): Promise<void> {
    await page.getByLabel('Login').fill('alice');
    await page.getByLabel('Password').fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }

  it('takes a person from the program to the password, to the question, and back to the program', async () => {
    const client = await listen(CLIENT_PORT, () => ({ location: `${front.url}/app/local-login-success` }));
    try {
      await inBrowser(async (page, context) => {
        await page.goto(authorizeUrl('from-the-client'));
        await signIn(page, 'not the password');
        await page.getByRole('alert').waitFor();
        await signIn(page);
        await page.getByRole('button', { name: 'Let it in as alice' }).click();
        await page.waitForURL(`${front.url}/app/local-login-success`);
        expect(await page.textContent('main')).toContain('You can close this page');
        const [back] = client.heard;
        expect(back?.searchParams.get('state')).toBe('from-the-client');
        expect(secrets.keep('code', back?.searchParams.get('code') ?? '')).toMatch(/^vic-[a-z0-9]{32}$/);
        const cookies = (await context.cookies(front.url)).map(({ name, httpOnly, secure, sameSite }) =>
          [name, httpOnly, secure, sameSite].join(' '),
        );
        expect(cookies.toSorted()).toEqual(['__Host-vivarium true true Lax', '__Host-vivarium-form true true Strict']);

        // Who is signed in is asked only the question.
        await page.goto(authorizeUrl('again'));
        await page.getByRole('button', { name: 'No' }).click();
        await page.waitForURL(`${front.url}/app/local-login-success`);
        const [, second] = client.heard;
        expect(Object.fromEntries(second?.searchParams ?? [])).toMatchObject({
          error: 'access_denied',
          state: 'again',
        });
      });
    } finally {
      await client.close();
    }
  });

  it('lets nobody in through the page of another site, which the visitor is signed in beside', async () => {
    const client = await listen(CLIENT_PORT, () => ({ html: 'the client' }));
    const form = (action: string, fields: Readonly<Record<string, string>>) => {
      const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
      return `<form method="post" action="${front.url}${action}">${inputs.join('')}<button>Win</button></form>`;
    };
    let stolen: Readonly<Record<string, string>> = {};
    const evil = await listen(0, ({ pathname }) => ({
      html:
        pathname === '/frame'
          ? `<iframe src="${authorizeUrl('framed').replaceAll('&', '&amp;')}"></iframe>`
          : form('/-/login/authorize', stolen),
    }));
    try {
      await inBrowser(async (page) => {
        await page.goto(authorizeUrl('mine'));
        await signIn(page);
        await page.getByRole('button', { name: 'Let it in as alice' }).waitFor();
        // Even with all that stands in the visitor's own form.
        const hidden = (name: string) => page.locator(`input[name=${name}]`).inputValue();
        const request = (await hidden('request')).replaceAll('&', '&amp;');
        stolen = { request, seal: await hidden('seal'), decision: 'allow' };
        await page.goto(`http://127.0.0.1:${evil.port}/`);
        await page.getByRole('button', { name: 'Win' }).click();
        await page.waitForURL(`${front.url}/-/login/authorize`);
        expect(await page.textContent('main')).toMatch(
          /session has ended|must come from our own pages|was not made for/,
        );

        const refused = page.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()));
        await page.goto(`http://127.0.0.1:${evil.port}/frame`);
        await refused;
        expect(client.heard).toEqual([]);
      });
    } finally {
      await evil.close();
      await client.close();
    }
  });

  it('writes none of its secrets into the logs', () => {
    expect(secrets.toldBy(product)).toEqual([]);
  });
});
