import type { IncomingMessage } from 'node:http';
import { addressCut } from '@vivarium/access/admission';
import { admitsAddress } from '@vivarium/access/restriction';
import type { CounterPorts, RolePorts } from '@vivarium/boot/ports';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault, isFault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { restrictionsFromProto } from '@vivarium/trust/caller';
import { refuseForgery } from './anaconda/forgery.js';
import { arrivalOf } from './arrival.js';
import { type Credential, credentialOf, type Place } from './credential.js';
import { warnOfExpiry } from './expiry-warning.js';
import { LoginLimit } from './rate-limit.js';

export type Audience = 'identity' | 'authz' | 'packages';

/** Who sent an API request, and the proof of it for the services that are called for it. */
export interface Identified {
  /** Undefined: anonymous. */
  readonly caller: CallerMessage | undefined;
  /** The `assertion` option of a call to that service; empty for an anonymous caller, who needs none. */
  for(service: Audience): { readonly assertion?: string };
}

/** Somebody who said who it is. */
export type Known = Identified & { readonly caller: CallerMessage };

type Shown = NonNullable<Parameters<ClientOf<typeof Callers>['whoIs']>[0]['credential']>;

export type Password = Extract<Credential, { kind: 'password' }>;

const SHOWN_AS = { token: 'tokenSha256', session: 'sessionSha256', browser: 'browserSha256' } as const;
const NOBODY: Identified = { caller: undefined, for: () => ({}) };

/** Asks identity who sends a request, at every API request anew: nothing here is answered from memory. */
export class Identify {
  readonly #callers: ClientOf<typeof Callers>;
  readonly #limit: LoginLimit;
  readonly #publicUrl: string;
  readonly #clock: () => number;

  constructor({
    bus,
    config,
    counters,
    clock,
  }: Pick<RolePorts & CounterPorts, 'bus' | 'config' | 'counters' | 'clock'>) {
    this.#clock = clock;
    this.#callers = clientOf(Callers, bus);
    this.#limit = new LoginLimit(counters);
    this.#publicUrl = config.publicUrl;
  }

  /**
   * Throws Fault('unauthenticated') for a bad credential, Fault('invalid') for two tokens, Fault('forbidden') for a change
   * that another site's page could have made a browser send, and for a token that may not be used from the address.
   */
  async identify(request: IncomingMessage, services: readonly Audience[], place: Place = 'api'): Promise<Identified> {
    const { target } = arrivalOf(request);
    const { authorization, cookie } = request.headers;
    const overHttps = this.#publicUrl.startsWith('https:');
    const credential = credentialOf({ pathToken: target.pathToken, authorization, cookie, overHttps }, place);
    if (credential.kind === 'none') return NOBODY;
    refuseForgery(request, credential, this.#publicUrl);
    if (credential.kind === 'password') return this.byPassword(request, credential, services);
    const value = Buffer.from(credential.sha256, 'hex');
    return this.#whoIs(request, services, { case: SHOWN_AS[credential.kind], value });
  }

  /**
   * Whose session the browser has; undefined for nobody's, and for one that has ended. No other credential is looked at.
   * Throws Fault('forbidden') for a change that another site's page could have made it send.
   */
  async bySession(request: IncomingMessage, services: readonly Audience[]): Promise<Known | undefined> {
    const { cookie } = request.headers;
    const overHttps = this.#publicUrl.startsWith('https:');
    const credential = credentialOf({ pathToken: undefined, authorization: undefined, cookie, overHttps }, 'api');
    if (credential.kind !== 'session') return undefined;
    refuseForgery(request, credential, this.#publicUrl);
    try {
      const value = Buffer.from(credential.sha256, 'hex');
      return await this.#whoIs(request, services, { case: 'sessionSha256', value });
    } catch (error) {
      if (isFault(error) && error.code === 'unauthenticated') return undefined;
      throw error;
    }
  }

  /** As `identify`, for routes that nobody may use without saying who they are. */
  async require(request: IncomingMessage, services: readonly Audience[], place: Place = 'api'): Promise<Known> {
    const identified = await this.identify(request, services, place);
    const { caller } = identified;
    if (caller !== undefined) return { ...identified, caller };
    throw new Fault(
      'unauthenticated',
      'Sign in first: "anaconda login", or send a token as "Authorization: token <token>".',
    );
  }

  /** Whose password it is. Tries are counted before the password is looked at. Throws RateLimited. */
  async byPassword(request: IncomingMessage, given: Password, services: readonly Audience[]): Promise<Known> {
    const { login, password } = given;
    await this.countTry(request, login);
    const known = await this.#whoIs(request, services, { case: 'password', value: { login, password } });
    await this.#limit.succeeded(login);
    return known;
  }

  /** Counts one try of a password, wherever it is looked at. Throws RateLimited. */
  async countTry(request: IncomingMessage, login: string): Promise<void> {
    await this.#limit.admit(login, arrivalOf(request).address);
  }

  async #whoIs(request: IncomingMessage, services: readonly Audience[], credential: Shown): Promise<Known> {
    const { address, head } = arrivalOf(request);
    const asked = { credential, audiences: [...services], address: address ?? '' };
    const { caller, assertions } = await this.#callers.whoIs(asked);
    if (caller === undefined) throw new Fault('unauthenticated', 'Nobody is known by what this request shows.');
    if (!admitsAddress(restrictionsFromProto(caller.restrictions), address)) {
      throw new Fault('forbidden', `This token ${addressCut(address)}.`);
    }
    const { credentialKind, tokenName: name, expiresAtMs } = caller;
    if (credentialKind === 'token') {
      warnOfExpiry(head, { name, expiresAtMs: Number(expiresAtMs) }, this.#clock());
    }
    return {
      caller,
      for: (service) => {
        const assertion = assertions[service];
        return assertion === undefined ? {} : { assertion };
      },
    };
  }
}
