import { ANONYMOUS, type Caller } from '@vivarium/access/caller';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Fault } from '@vivarium/fault/fault';
import { verifyAssertion } from '@vivarium/rpc/assertion';
import { Keyring, type PublishedKey } from '@vivarium/rpc/assertion-key';
import type { Bus } from '@vivarium/rpc/bus';
import { type Call, clientOf } from '@vivarium/rpc/rpc';
import { signServiceAssertion, verifyServiceAssertion } from '@vivarium/rpc/service-assertion';
import { deriveKey } from '@vivarium/token/secret';
import { callerFromProto, messageOfClaims } from './caller.js';

export interface TrustOptions {
  /** This service: the only audience whose assertions it accepts. */
  readonly service: string;
  /** The root secret that all services of one installation share. */
  readonly secret: string;
  readonly bus: Bus;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

// Half of an assertion's life: a call made with a kept one still has time to arrive.
const KEEP_MS = 2_000;

/**
 * Who is calling inside. No service believes an id that it was merely told: a caller comes as an assertion signed by
 * identity for this service, another service as an assertion under its own key.
 */
export class Trust {
  readonly #options: TrustOptions;
  readonly #keys: Keyring;
  readonly #serviceKeys = new Map<string, Uint8Array>();
  readonly #kept = new Map<string, { readonly madeMs: number; readonly assertion: Promise<string> }>();

  constructor(options: TrustOptions) {
    this.#options = options;
    const callers = clientOf(Callers, options.bus);
    this.#keys = new Keyring(
      async () => parseJwks((await callers.keys({})).jwksJson),
      () => performance.now(),
    );
  }

  /** The caller that the call's assertion names; anonymous without one. Throws Fault('unauthenticated'). */
  async callerOf(call: Call): Promise<Caller> {
    const message = await this.callerMessageOf(call);
    return message === undefined ? ANONYMOUS : callerFromProto(message);
  }

  /** The same as identity's message, to be handed back to identity when its facts are asked for again. */
  async callerMessageOf(call: Call): Promise<CallerMessage | undefined> {
    if (call.assertion === undefined) return undefined;
    const { service, clock } = this.#options;
    return messageOfClaims(
      await verifyAssertion(call.assertion, { audience: service, keys: this.#keys.keyOf, nowMs: clock() }),
    );
  }

  /** The service that calls on its own account. Throws Fault('forbidden') for anybody else. */
  async serviceOf(call: Call): Promise<string> {
    if (call.assertion === undefined) throw new Fault('forbidden', `${call.subject} answers services only.`);
    const { service, clock } = this.#options;
    return verifyServiceAssertion(call.assertion, {
      audience: service,
      keyOf: (other) => this.#serviceKey(other),
      nowMs: clock(),
    });
  }

  /** This service's own assertion for another: the `assertion` of a call made on its own account. */
  assertionFor(audience: string): Promise<string> {
    const { service, clock } = this.#options;
    const nowMs = clock();
    const kept = this.#kept.get(audience);
    if (kept !== undefined && nowMs - kept.madeMs < KEEP_MS && nowMs >= kept.madeMs) return kept.assertion;
    const assertion = signServiceAssertion(this.#serviceKey(service), service, audience, nowMs);
    this.#kept.set(audience, { madeMs: nowMs, assertion });
    return assertion;
  }

  #serviceKey(service: string): Uint8Array {
    const known = this.#serviceKeys.get(service);
    if (known !== undefined) return known;
    const key = deriveKey(this.#options.secret, `assertions of the service ${service}`);
    // The name comes from outside before it is verified: only the few that exist are kept.
    if (SERVICES.has(service)) this.#serviceKeys.set(service, key);
    return key;
  }
}

const SERVICES = new Set(['gateway', 'identity', 'authz', 'packages', 'conda-index', 'pypi-index', 'platform']);

function parseJwks(text: string): readonly PublishedKey[] {
  const { keys } = JSON.parse(text) as { readonly keys?: readonly Partial<PublishedKey>[] };
  return (keys ?? []).flatMap(({ kid, x }) => (kid === undefined || x === undefined ? [] : [{ kid, x }]));
}
