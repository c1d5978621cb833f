import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Post, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { BrowserLogins } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { Fault, faultOf, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { statusOf } from '../fault-http.js';
import { html } from '../web/html.js';
import { sendPage } from '../web/page.js';
import { readForm } from './form.js';

/** Where a program finds the login page, gets what it came for, and shows how it went. */
@Controller()
export class OpenId {
  readonly #logins: ClientOf<typeof BrowserLogins>;
  readonly #publicUrl: string;

  constructor(@Inject(PORTS) private readonly ports: RolePorts) {
    this.#logins = clientOf(BrowserLogins, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  /**
   * The `anaconda` client asks on the host of its API. Of OpenID Connect it needs these two addresses only, so there are no
   * ID tokens here. Source: RFC 8414.
   */
  @Get(['.well-known/openid-configuration', 'api/.well-known/openid-configuration'])
  configuration() {
    const issuer = this.#publicUrl;
    if (!issuer.startsWith('https:')) {
      throw new Fault(
        'not_found',
        'Login by the browser needs https: set PUBLIC_URL to an https address. Until then programs sign in with a password.',
      );
    }
    return {
      issuer,
      authorization_endpoint: `${issuer}/-/login/authorize`,
      token_endpoint: `${issuer}/-/login/token`,
      response_types_supported: ['code'],
      grant_types_supported: ['authorization_code'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['none'],
      authorization_response_iss_parameter_supported: true,
    };
  }

  /** A code for what makes a token. No other credential is read. Source: RFC 6749 4.1.3, 5.1 and 5.2. */
  @Post('-/login/token')
  async token(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    const { status, body } = await this.#redeem(request).catch(refusalOf);
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', Pragma: 'no-cache' });
    response.end(JSON.stringify(body));
  }

  @Get('app/local-login-success')
  success(@Res() response: ServerResponse) {
    sendPage(response, 'Signed in', html`<p>The program has what it needs. You can close this page.</p>`);
  }

  @Get('app/local-login-error')
  failure(@Res() response: ServerResponse) {
    const content = html`<p>The program was not let in. Close this page, and start the login again if you want to.</p>`;
    sendPage(response, 'Not signed in', content);
  }

  async #redeem(request: IncomingMessage): Promise<TokenAnswer> {
    const form = await readForm(request);
    const field = (name: string): string => {
      const value = form.get(name) ?? '';
      if (value !== '') return value;
      throw new TokenRefused('invalid_request', `${name} is missing`);
    };
    if (field('grant_type') !== 'authorization_code') {
      throw new TokenRefused('unsupported_grant_type', 'grant_type must be authorization_code');
    }
    const [clientId, redirectUri] = [field('client_id'), field('redirect_uri')];
    const asked = { clientId, redirectUri, code: field('code'), codeVerifier: field('code_verifier') };
    const assertion = await this.ports.trust.assertionFor('identity');
    await this.#logins.findProgram({ clientId }, { assertion }).catch((error: unknown) => {
      if (!isFault(error) || error.code !== 'not_found') throw error;
      throw new TokenRefused('invalid_client', error.message);
    });
    const { accessToken, expiresInSeconds } = await this.#logins
      .redeem(asked, { assertion, timeoutMs: 15_000 })
      .catch((error: unknown) => {
        if (!isFault(error) || error.code !== 'invalid') throw error;
        throw new TokenRefused('invalid_grant', error.message);
      });
    const body = { access_token: accessToken, token_type: 'Bearer', expires_in: Number(expiresInSeconds) };
    return { status: 200, body };
  }
}

interface TokenAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, string | number>>;
}

class TokenRefused extends Error {
  constructor(
    readonly code: 'invalid_request' | 'invalid_client' | 'invalid_grant' | 'unsupported_grant_type',
    readonly description: string,
  ) {
    super(description);
  }
}

/** As the program reads it: `error`, and words of printable ASCII. */
function refusalOf(error: unknown): TokenAnswer {
  if (error instanceof TokenRefused) {
    const status = error.code === 'invalid_client' ? 401 : 400;
    return { status, body: { error: error.code, error_description: wordsOf(error.description) } };
  }
  const fault = faultOf(error);
  // What is no refusal of ours is the router's, with its cause.
  if (fault.code === 'internal') throw error;
  const code = fault.code === 'invalid' || fault.code === 'too_large' ? 'invalid_request' : 'server_error';
  return { status: statusOf(fault), body: { error: code, error_description: wordsOf(fault.message) } };
}

function wordsOf(text: string): string {
  return text.replace(/["\\]|[^ -~]/g, "'");
}
