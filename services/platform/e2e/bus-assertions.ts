import { createHmac, createPrivateKey, generateKeyPairSync, type JsonWebKey, randomBytes, sign } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Callers, type WhoIsRequestSchema } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import type { Bus } from '@vivarium/rpc/bus';
import { clientOf } from '@vivarium/rpc/rpc';
import { Trust } from '@vivarium/trust/trust';
import { BUS_USERS, type BusUser } from '../src/bus-rights.js';

/** What a test says of who is calling, in the header of a call to one service. */
export interface Assertions {
  /** A true one of the administrator. */
  readonly caller: string;
  /** A true one of each service. */
  readonly services: ReadonlyMap<BusUser, string>;
  /** By what is wrong with it. */
  readonly wrong: ReadonlyMap<string, string>;
}

export interface Forger {
  readonly bus: Bus;
  /** The root secret of the installation. */
  readonly secret: string;
  /** How the administrator signs in. */
  readonly credential: NonNullable<MessageInitShape<typeof WhoIsRequestSchema>['credential']>;
}

/** A true assertion of the administrator for each of these services; it lives five seconds. */
export async function callerAssertions({ bus, credential }: Forger, audiences: readonly BusUser[]) {
  return (await clientOf(Callers, bus).whoIs({ credential, audiences: [...audiences] })).assertions;
}

/** True assertions for a service, and what forgers would try. Those of services that expired are made by a clock that is behind. */
export async function assertionsFor(audience: BusUser, other: BusUser, forger: Forger): Promise<Assertions> {
  const { bus, secret } = forger;
  const callers = clientOf(Callers, bus);
  const assertions = await callerAssertions(forger, [audience, other]);
  const { jwksJson } = await callers.keys({});
  const caller = assertions[audience] ?? '';
  const trustOf = (service: string, behindMs = 0, root = secret) =>
    new Trust({ service, secret: root, bus, clock: () => Date.now() - behindMs });
  const services = new Map<BusUser, string>();
  for (const user of BUS_USERS) services.set(user, await trustOf(user).assertionFor(audience));
  const asService = services.get('gateway') ?? '';
  const [header = '', claims = '', signature = ''] = caller.split('.');
  const stranger = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  return {
    caller,
    services,
    wrong: new Map([
      ['of another signature', `${header}.${claims}.${flipped(signature)}`],
      ['of other claims under a true signature', `${header}.${changed(claims, { exp: 9_999_999_999 })}.${signature}`],
      ['for another service', assertions[other] ?? ''],
      ['without an algorithm', `${changed(header, { alg: 'none' })}.${claims}.`],
      ['without an algorithm, in capitals', `${changed(header, { alg: 'NONE' })}.${claims}.`],
      ['of an unknown key', signedBy(stranger, changed(header, { kid: 'unknown' }), claims)],
      ['of another key under a known name', signedBy(stranger, header, claims)],
      ['with its own key inside', signedBy(stranger, changed(header, { jwk: publicOf(stranger) }), claims)],
      ['keyed with what is public of the key', macOf(jwksJson, changed(header, { alg: 'HS256' }), claims)],
      ['of a service, for another service', await trustOf('gateway').assertionFor(other)],
      ['of a service, expired', await trustOf('gateway', 60_000).assertionFor(audience)],
      ['of a service, of the future', await trustOf('gateway', -60_000).assertionFor(audience)],
      [
        'of a service, under another secret',
        await trustOf('gateway', 0, randomBytes(32).toString('hex')).assertionFor(audience),
      ],
      ['of a service, in the name of another', inTheNameOf(asService, 'packages')],
      ['of a service, without an algorithm', withoutAlgorithm(asService)],
      ['that is none', 'abc'],
      ['of three empty parts', '..'],
      ['that is too long', `${header}.${claims}.${'A'.repeat(20_000)}`],
    ]),
  };
}

function signedBy(key: JsonWebKey, header: string, claims: string): string {
  const text = `${header}.${claims}`;
  return `${text}.${sign(null, Buffer.from(text), createPrivateKey({ key, format: 'jwk' })).toString('base64url')}`;
}

/** Signed with the public key as if it were a secret: accepted by who lets an assertion choose its algorithm. */
function macOf(jwksJson: string, header: string, claims: string): string {
  const { keys } = JSON.parse(jwksJson) as { readonly keys: readonly { readonly x: string }[] };
  const text = `${header}.${claims}`;
  const mac = createHmac('sha256', Buffer.from(keys[0]?.x ?? '', 'base64url')).update(text);
  return `${text}.${mac.digest('base64url')}`;
}

function inTheNameOf(assertion: string, service: string): string {
  const [header = '', claims = '', signature = ''] = assertion.split('.');
  return `${changed(header, { kid: service })}.${changed(claims, { iss: service })}.${signature}`;
}

function withoutAlgorithm(assertion: string): string {
  const [header = '', claims = ''] = assertion.split('.');
  return `${changed(header, { alg: 'none' })}.${claims}.`;
}

function changed(part: string, change: Readonly<Record<string, unknown>>): string {
  const value = { ...JSON.parse(Buffer.from(part, 'base64url').toString('utf8')), ...change };
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function flipped(signature: string): string {
  const bytes = Buffer.from(signature, 'base64url');
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return bytes.toString('base64url');
}

function publicOf({ kty, crv, x }: JsonWebKey): JsonWebKey {
  return {
    ...(kty === undefined ? {} : { kty }),
    ...(crv === undefined ? {} : { crv }),
    ...(x === undefined ? {} : { x }),
  };
}
