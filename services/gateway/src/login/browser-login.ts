import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Inject, Post, Req, Res } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Sessions } from '@vivarium/contracts/gen/vivarium/identity/v1/accounts_pb';
import { BrowserLogins } from '@vivarium/contracts/gen/vivarium/identity/v1/browser_logins_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { refuseForgery } from '../anaconda/forgery.js';
import { arrivalOf } from '../arrival.js';
import { Identify, type Known } from '../identify.js';
import { sessionCookie } from '../session-cookie.js';
import {
  AuthorizationRefused,
  type AuthorizationRequest,
  clientIdIn,
  type KnownProgram,
  locationOf,
  parseAuthorizationRequest,
  queryOf,
} from './authorization-request.js';
import { fieldsOf, readForm } from './form.js';
import { FormSeal } from './form-seal.js';
import { consentForm, sendFormPage, signInForm } from './login-page.js';

interface Asked {
  readonly request: AuthorizationRequest;
  readonly program: KnownProgram;
}

/**
 * The pages on which a person lets a program in: sign in, then say yes. Nothing is given away by a mere visit, and only a
 * registered address is ever gone to.
 */
@Controller('-/login')
export class BrowserLogin {
  readonly #logins: ClientOf<typeof BrowserLogins>;
  readonly #sessions: ClientOf<typeof Sessions>;
  readonly #seal: FormSeal;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) private readonly ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#logins = clientOf(BrowserLogins, ports.bus);
    this.#sessions = clientOf(Sessions, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
    this.#seal = new FormSeal(ports.config.secret, this.#publicUrl);
  }

  @Get('authorize')
  async ask(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await this.#tellingProgram(response, async () => {
      const asked = await this.#askedIn(new URLSearchParams(arrivalOf(request).target.query));
      const session = await this.identify.bySession(request, ['identity']);
      if (session === undefined) this.#askToSignIn(request, response, asked, 200, '', '');
      else this.#askToLetIn(request, response, asked, session);
    });
  }

  @Post('sign-in')
  async signIn(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await this.#tellingProgram(response, async () => {
      const form = await readForm(request);
      const [login, password] = [form.get('login') ?? '', form.get('password') ?? ''];
      const credential = { kind: 'password', login, password } as const;
      refuseForgery(request, credential, this.#publicUrl);
      const asked = await this.#askedIn(new URLSearchParams(form.get('request')));
      const query = queryOf(asked.request);
      this.#seal.check(request, form.get('seal') ?? '', ['sign in', query]);
      let known: Known;
      try {
        known = await this.identify.byPassword(request, credential, ['identity']);
      } catch (error) {
        if (!isFault(error) || (error.code !== 'unauthenticated' && error.code !== 'rate_limited')) throw error;
        const status = error.code === 'unauthenticated' ? 401 : 429;
        this.#askToSignIn(request, response, asked, status, login, error.message);
        return;
      }
      const opened = await this.#sessions.open(this.#from(request), known.for('identity'));
      const lifeSeconds = Math.floor((Number(opened.expiresAtMs) - this.ports.clock()) / 1_000);
      response.setHeader('Set-Cookie', sessionCookie(this.#publicUrl, opened.secret, Math.max(0, lifeSeconds)));
      goTo(response, `/-/login/authorize?${query}`);
    });
  }

  @Post('authorize')
  async decide(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await this.#tellingProgram(response, async () => {
      const form = await readForm(request);
      const { request: asked } = await this.#askedIn(new URLSearchParams(form.get('request')));
      const session = await this.identify.bySession(request, ['identity']);
      if (session === undefined)
        throw new Fault('unauthenticated', 'Your session has ended. Go back and sign in again.');
      const query = queryOf(asked);
      this.#seal.check(request, form.get('seal') ?? '', ['let in', query, session.caller.credentialId]);
      const { redirectUri, state, clientId, codeChallenge } = asked;
      if (form.get('decision') !== 'allow') {
        throw new AuthorizationRefused(redirectUri, state, 'access_denied', 'You said no in the browser.');
      }
      const granted = { clientId, redirectUri, codeChallenge };
      const { code } = await this.#logins.authorize(granted, session.for('identity'));
      goTo(response, locationOf(redirectUri, { code, state, iss: this.#publicUrl }));
    });
  }

  async #askedIn(parameters: URLSearchParams): Promise<Asked> {
    const fields = fieldsOf(parameters);
    const clientId = clientIdIn(fields);
    const assertion = await this.ports.trust.assertionFor('identity');
    const program = await this.#logins.findProgram({ clientId }, { assertion });
    return { request: parseAuthorizationRequest(fields, program), program };
  }

  #askToSignIn(
    request: IncomingMessage,
    response: ServerResponse,
    { request: asked, program }: Asked,
    status: number,
    login: string,
    mistake: string,
  ): void {
    const query = queryOf(asked);
    const seal = this.#seal.seal(request, response, ['sign in', query]);
    const content = signInForm({ program: sentenceStart(program.name), request: query, seal, login, mistake });
    sendFormPage(response, { status, title: 'Sign in', content, redirectUri: asked.redirectUri });
  }

  #askToLetIn(
    request: IncomingMessage,
    response: ServerResponse,
    { request: asked, program }: Asked,
    { caller }: Known,
  ): void {
    const query = queryOf(asked);
    const seal = this.#seal.seal(request, response, ['let in', query, caller.credentialId]);
    const content = consentForm({ program: program.name, login: caller.login, request: query, seal });
    sendFormPage(response, { status: 200, title: 'Let a program in', content, redirectUri: asked.redirectUri });
  }

  #from(request: IncomingMessage) {
    return { address: arrivalOf(request).address ?? '', userAgent: request.headers['user-agent'] ?? '' };
  }

  /** What the program is to be told is told it by way of the browser; all else is a page of ours. */
  async #tellingProgram(response: ServerResponse, answer: () => Promise<void>): Promise<void> {
    try {
      await answer();
    } catch (error) {
      if (!(error instanceof AuthorizationRefused)) throw error;
      const { redirectUri, state, code, description } = error;
      const told = { error: code, error_description: description, iss: this.#publicUrl };
      goTo(response, locationOf(redirectUri, state === '' ? told : { ...told, state }));
    }
  }
}

/** By GET, whatever the method was: a form must not be sent on. */
function goTo(response: ServerResponse, location: string): void {
  response.writeHead(303, { Location: location, 'Content-Length': '0' });
  response.end();
}

function sentenceStart(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
