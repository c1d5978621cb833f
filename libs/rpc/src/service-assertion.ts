import { Fault } from '@vivarium/fault/fault';
import { SignJWT } from 'jose';
import { ASSERTION_LIFE_MS, verifiedPayloadOf } from './assertion.js';

const ALGORITHM = 'HS256';
const TYPE = 'vivarium-service+jwt';

export interface VerifyServiceOptions {
  /** The service that was called. */
  readonly audience: string;
  /** The key that this service signs with, or undefined if it may not call here. */
  readonly keyOf: (service: string) => Uint8Array | undefined;
  readonly nowMs: number;
}

/**
 * Signs that a service calls on its own account, as the indexers do, for one other service and five seconds.
 * The key is 32 random bytes that only the two know. Throws Fault('invalid') on another length.
 */
export async function signServiceAssertion(
  key: Uint8Array,
  service: string,
  audience: string,
  nowMs: number,
): Promise<string> {
  return new SignJWT({ iat: nowMs / 1_000, exp: (nowMs + ASSERTION_LIFE_MS) / 1_000 })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE, kid: service })
    .setIssuer(service)
    .setAudience(audience)
    .sign(checkedKey(key));
}

/** The service that is calling. Throws Fault('unauthenticated') as `verifyAssertion` does; an assertion of a caller is refused. */
export async function verifyServiceAssertion(assertion: string, options: VerifyServiceOptions): Promise<string> {
  let claimed: string | undefined;
  const payload = await verifiedPayloadOf(assertion, {
    algorithm: ALGORITHM,
    type: TYPE,
    audience: options.audience,
    nowMs: options.nowMs,
    keyOf: async (header) => {
      claimed = header.kid;
      const key = claimed === undefined ? undefined : options.keyOf(claimed);
      return key === undefined ? undefined : checkedKey(key);
    },
  });
  if (claimed !== undefined && payload.iss === claimed) return claimed;
  // Signed with one service's key, speaking for another.
  throw new Fault('unauthenticated', `${options.audience} does not accept the assertion: it is of another issuer.`);
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.byteLength === 32) return key;
  throw new Fault(
    'invalid',
    `A key of service assertions has 32 bytes, not ${key.byteLength}. Make one with: openssl rand 32`,
  );
}
