import type { IncomingMessage } from 'node:http';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault } from '@vivarium/fault/fault';
import type { Bus } from '@vivarium/rpc/bus';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { arrivalOf } from './arrival.js';
import { credentialOf, type Place } from './credential.js';

export type Audience = 'identity' | 'authz' | 'packages';

/** Who sent an API request, and the proof of it for the services that are called for it. */
export interface Identified {
  /** Undefined: anonymous. */
  readonly caller: CallerMessage | undefined;
  /** The `assertion` option of a call to that service; empty for an anonymous caller, who needs none. */
  for(service: Audience): { readonly assertion?: string };
}

const NOBODY: Identified = { caller: undefined, for: () => ({}) };

/** Asks identity who sends a request, at every API request anew: nothing here is answered from memory. */
export class Identify {
  readonly #callers: ClientOf<typeof Callers>;

  constructor(bus: Bus) {
    this.#callers = clientOf(Callers, bus);
  }

  /** Throws Fault('unauthenticated') for a bad credential, Fault('invalid') for two tokens. */
  async identify(request: IncomingMessage, services: readonly Audience[], place: Place = 'api'): Promise<Identified> {
    const { target, address } = arrivalOf(request);
    const { authorization, cookie } = request.headers;
    const credential = credentialOf({ pathToken: target.pathToken, authorization, cookie }, place);
    if (credential.kind === 'none') return NOBODY;
    const { caller, assertions } = await this.#callers.whoIs({
      credential:
        credential.kind === 'password'
          ? { case: 'password', value: { login: credential.login, password: credential.password } }
          : {
              case: credential.kind === 'token' ? 'tokenSha256' : 'sessionSha256',
              value: Buffer.from(credential.sha256, 'hex'),
            },
      audiences: [...services],
      address: address ?? '',
    });
    return {
      caller,
      for: (service) => {
        const assertion = assertions[service];
        return assertion === undefined ? {} : { assertion };
      },
    };
  }

  /** As `identify`, for routes that nobody may use without saying who they are. */
  async require(
    request: IncomingMessage,
    services: readonly Audience[],
    place: Place = 'api',
  ): Promise<Identified & { readonly caller: CallerMessage }> {
    const identified = await this.identify(request, services, place);
    const { caller } = identified;
    if (caller !== undefined) return { ...identified, caller };
    throw new Fault(
      'unauthenticated',
      'Sign in first: "anaconda login", or send a token as "Authorization: token <token>".',
    );
  }
}
