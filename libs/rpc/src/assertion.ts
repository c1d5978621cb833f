import { Fault, isFault } from '@vivarium/fault/fault';
import type { CryptoKey, JWTHeaderParameters, JWTPayload } from 'jose';
import { importJWK, jwtVerify, SignJWT } from 'jose';
import { type AssertionKey, signingKeyOf } from './assertion-key.js';

/** Who is calling, as identity found it out: a JSON object whose form the services agree on. */
export type CallerClaims = Readonly<Record<string, unknown>>;

export interface VerifyOptions {
  /** The service that was called. */
  readonly audience: string;
  /** The public key of this id, or undefined if identity publishes none. */
  readonly keys: (kid: string) => Promise<CryptoKey | undefined>;
  readonly nowMs: number;
}

// Pinned, and not read from the assertion: its own header must not choose how it is checked.
const ALGORITHM = 'EdDSA';
// Tells an assertion of a caller from one of a service, whatever key either is checked with.
const TYPE = 'vivarium-caller+jwt';
const ISSUER = 'identity';

/** An assertion is made for one request, so it need not live longer than one. */
export const ASSERTION_LIFE_MS = 5_000;
/** How far the clocks of two machines may differ. */
export const CLOCK_SKEW_MS = 1_000;
// Beside the payload in a message of 1 MiB, and so that nobody has megabytes checked.
const ASSERTION_LIMIT = 16_384;

/** Signs who is calling, for one service and five seconds, with the newest key whose time has come. */
export class AssertionSigner {
  readonly #keys: readonly AssertionKey[];
  readonly #nowMs: () => number;
  readonly #imported = new Map<string, Promise<CryptoKey | Uint8Array>>();

  /** The keys as `makeAssertionKey` gave them: the current one and, during a change, the next. */
  constructor(keys: readonly AssertionKey[], nowMs: () => number) {
    this.#keys = keys;
    this.#nowMs = nowMs;
  }

  /** The signed assertion, for the header of a call to `audience`. Throws Fault('too_large') over 16 kB. */
  async sign(claims: CallerClaims, audience: string): Promise<string> {
    const nowMs = this.#nowMs();
    const { kid, privateJwk } = signingKeyOf(this.#keys, nowMs);
    const key = this.#imported.get(kid) ?? importJWK(privateJwk, ALGORITHM);
    this.#imported.set(kid, key);
    const assertion = await new SignJWT({
      caller: claims,
      iat: nowMs / 1_000,
      exp: (nowMs + ASSERTION_LIFE_MS) / 1_000,
    })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid })
      .setIssuer(ISSUER)
      .setAudience(audience)
      .sign(await key);
    if (assertion.length <= ASSERTION_LIMIT) return assertion;
    throw new Fault('too_large', `The account belongs to too much: what is said of it has ${assertion.length} bytes.`);
  }
}

/**
 * Who is calling, if identity said so for this service within the last five seconds.
 * Throws Fault('unauthenticated') if the signature, algorithm, type, issuer, audience, key or time is not as it must be; what `keys`
 * throws goes through.
 * Source: RFC 8725 (best practices for JSON Web Tokens), 3.1 algorithm, 3.9 audience, 3.11 type.
 */
export async function verifyAssertion(assertion: string, options: VerifyOptions): Promise<CallerClaims> {
  const payload = await verifiedPayloadOf(assertion, {
    algorithm: ALGORITHM,
    type: TYPE,
    audience: options.audience,
    nowMs: options.nowMs,
    keyOf: async (header) => (header.kid === undefined ? undefined : options.keys(header.kid)),
  });
  if (payload.iss !== ISSUER) throw refusal(options.audience, 'it is of another issuer');
  const { caller } = payload;
  if (!isClaims(caller)) throw refusal(options.audience, 'it names no caller');
  return caller;
}

interface Check {
  readonly algorithm: string;
  readonly type: string;
  readonly audience: string;
  readonly nowMs: number;
  readonly keyOf: (header: JWTHeaderParameters) => Promise<CryptoKey | Uint8Array | undefined>;
}

/**
 * What assertions of callers and of services have in common: pinned algorithm and type, one audience, at most five seconds.
 * Throws Fault('unauthenticated').
 */
export async function verifiedPayloadOf(assertion: string, check: Check): Promise<JWTPayload> {
  if (assertion.length > ASSERTION_LIMIT) throw refusal(check.audience, 'it is too long');
  const payload = await jwtVerify(
    assertion,
    async (header) => {
      const key = await check.keyOf(header);
      if (key === undefined) throw refusal(check.audience, 'its key is unknown');
      return key;
    },
    {
      algorithms: [check.algorithm],
      typ: check.type,
      currentDate: new Date(check.nowMs),
      clockTolerance: CLOCK_SKEW_MS / 1_000,
    },
  ).then(
    (verified) => verified.payload,
    (cause: unknown) => {
      if (isFault(cause)) throw cause;
      throw refusal(check.audience, 'it is not valid', cause);
    },
  );
  // One service, as a text: a list could be shown to each of its members by any other of them.
  if (payload.aud !== check.audience) throw refusal(check.audience, 'it is for another service');
  const { iat, exp } = payload;
  if (iat === undefined || exp === undefined) throw refusal(check.audience, 'it says no time');
  // To the millisecond, which the library does not check.
  if ((exp - iat) * 1_000 > ASSERTION_LIFE_MS + 0.5) throw refusal(check.audience, 'it lives too long');
  if (iat * 1_000 > check.nowMs + CLOCK_SKEW_MS) throw refusal(check.audience, 'it is of the future');
  if (exp * 1_000 <= check.nowMs - CLOCK_SKEW_MS) throw refusal(check.audience, 'it has expired');
  return payload;
}

function refusal(audience: string, reason: string, cause?: unknown): Fault {
  return new Fault(
    'unauthenticated',
    `${audience} does not accept the assertion of who is calling: ${reason}. Try again.`,
    {
      cause,
    },
  );
}

function isClaims(value: unknown): value is CallerClaims {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
