import { createHmac } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';
import type { CryptoKey } from 'jose';
import { importJWK, SignJWT } from 'jose';
import { AssertionSigner, verifyAssertion } from './assertion.js';
import { type AssertionKey, Keyring, makeAssertionKey, publishedKeysOf } from './assertion-key.js';
import { signServiceAssertion, verifyServiceAssertion } from './service-assertion.js';

const nowMs = Date.parse('2026-11-24T10:00:00.250Z');
const now = nowMs / 1_000;
const caller = { kind: 'token', accountId: '42', scopes: ['conda:download'] };
const serviceKey = new Uint8Array(32).fill(7);

let current: AssertionKey;
let next: AssertionKey;
let signer: AssertionSigner;
let privateKey: CryptoKey | Uint8Array;
let foreignKey: CryptoKey | Uint8Array;

beforeAll(async () => {
  current = await makeAssertionKey(0);
  next = await makeAssertionKey(nowMs + 60_000);
  const foreign = await makeAssertionKey(0);
  privateKey = await importJWK(current.privateJwk, 'EdDSA');
  foreignKey = await importJWK(foreign.privateJwk, 'EdDSA');
  signer = new AssertionSigner([current, next], () => nowMs);
});

const keyOf = async (kid: string): Promise<CryptoKey | undefined> =>
  new Keyring(
    async () => publishedKeysOf([current, next]),
    () => 0,
  ).keyOf(kid);

const verify = (assertion: string, atMs = nowMs) =>
  verifyAssertion(assertion, { audience: 'packages', keys: keyOf, nowMs: atMs });

interface Forgery {
  readonly header?: Readonly<Record<string, string | undefined>>;
  readonly payload?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

/** A good assertion but for what is said; `undefined` leaves a claim out. */
function forge({ header, payload, key }: Forgery): Promise<string> {
  const claims = { iss: 'identity', aud: 'packages', iat: now, exp: now + 5, caller, ...payload };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'EdDSA', typ: 'vivarium-caller+jwt', kid: current.kid, ...header })
    .sign(key ?? privateKey);
}

const base64 = (value: object | string) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

describe('an assertion of who is calling', () => {
  it('is accepted by the service that it is for', async () => {
    expect(await verify(await signer.sign(caller, 'packages'))).toEqual(caller);
    expect(await verify(await forge({}))).toEqual(caller);
  });

  const clocks: [string, number, boolean][] = [
    ['just before its end and the skew', 5_999, true],
    ['at its end and the skew', 6_000, false],
    ['by a clock one second behind', -1_000, true],
    ['by a clock further behind', -1_001, false],
  ];
  it.each(clocks)('read %s (%i ms after its signing) is good: %p', async (_name, afterMs, isGood) => {
    const verified = verify(await signer.sign(caller, 'packages'), nowMs + afterMs);
    if (isGood) expect(await verified).toEqual(caller);
    else await expect(verified).rejects.toMatchObject({ code: 'unauthenticated' });
  });

  const refused: [string, () => string | Promise<string>][] = [
    ['signed with a key of nobody', () => forge({ key: foreignKey })],
    ['with an unknown key id', () => forge({ header: { kid: 'x' }, key: foreignKey })],
    ['without a key id', () => forge({ header: { kid: undefined } })],
    ['whose key is another published one', () => forge({ header: { kid: next.kid } })],
    ['for another service', () => forge({ payload: { aud: 'authz' } })],
    ['for several services', () => forge({ payload: { aud: ['packages', 'authz'] } })],
    ['for one service, written as a list', () => forge({ payload: { aud: ['packages'] } })],
    ['for nobody', () => forge({ payload: { aud: undefined } })],
    ['of another issuer', () => forge({ payload: { iss: 'authz' } })],
    ['of no issuer', () => forge({ payload: { iss: undefined } })],
    ['that lives too long', () => forge({ payload: { exp: now + 5.1 } })],
    ['that is old and lives too long', () => forge({ payload: { iat: now - 60, exp: now + 5 } })],
    ['that never ends', () => forge({ payload: { exp: undefined } })],
    ['without a time of signing', () => forge({ payload: { iat: undefined } })],
    ['of the future', () => forge({ payload: { iat: now + 2, exp: now + 6 } })],
    ['not good before later', () => forge({ payload: { nbf: now + 60 } })],
    ['with the algorithm under its other name', () => forge({ header: { alg: 'Ed25519' } })],
    ['of another type', () => forge({ header: { typ: 'JWT' } })],
    ['of no type', () => forge({ header: { typ: undefined } })],
    ['with an extension that we do not know', () => tampered({ alg: 'EdDSA', crit: ['x'], x: 1 })],
    ['naming no caller', () => forge({ payload: { caller: undefined } })],
    ['naming a list as caller', () => forge({ payload: { caller: ['42'] } })],
    ['without a signature (none)', () => tampered({ alg: 'none' }, '')],
    ['without a signature (None)', () => tampered({ alg: 'None' }, '')],
    ['with the signature taken off', async () => (await forge({})).replace(/[^.]*$/, '')],
    ['with a changed payload', async () => tampered({ alg: 'EdDSA' }, (await forge({})).split('.')[2])],
    [
      'signed by HS256 with the public key',
      () => forge({ header: { alg: 'HS256' }, key: Buffer.from(`${current.privateJwk.x}`, 'base64url') }),
    ],
    [
      'signed by HS256 with the public key as text',
      () => forge({ header: { alg: 'HS256' }, key: new TextEncoder().encode(current.privateJwk.x) }),
    ],
    ['of a service', () => signServiceAssertion(serviceKey, 'conda-index', 'packages', nowMs)],
    [
      'of a service, with the key id of a caller',
      () => signServiceAssertion(serviceKey, current.kid, 'packages', nowMs),
    ],
    ['that is empty', () => ''],
    ['that is no JWT', () => 'abc'],
    ['that is a megabyte', () => `a.${'a'.repeat(1_000_000)}.a`],
  ];
  function tampered(header: object, signature = 'c2ln'): string {
    const payload = { iss: 'identity', aud: 'packages', iat: now, exp: now + 5, caller: { accountId: '1' } };
    return `${base64({ typ: 'vivarium-caller+jwt', kid: current.kid, ...header })}.${base64(payload)}.${signature}`;
  }
  it.each(refused)('is refused %s', async (_name, make) => {
    const assertion = await make();
    await expect(verify(assertion)).rejects.toMatchObject({ name: 'Fault', code: 'unauthenticated' });
  });

  it('is not refused but unverifiable while the keys cannot be had', async () => {
    const keys = async () => {
      throw new Fault('unavailable', 'identity is away');
    };
    const verified = verifyAssertion(await signer.sign(caller, 'packages'), { audience: 'packages', keys, nowMs });
    await expect(verified).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('cannot be made larger than a header should be', async () => {
    const groups = Array.from({ length: 2_000 }, (_, at) => `group-${at}`);
    await expect(signer.sign({ groups }, 'packages')).rejects.toMatchObject({ code: 'too_large' });
  });
});

describe('the keys of assertions', () => {
  it('change when the next one has been published for its time, without a moment of refusal', async () => {
    let clockMs = nowMs;
    const turning = new AssertionSigner([current, next], () => clockMs);
    const before = await turning.sign(caller, 'packages');
    clockMs = next.signsFromMs;
    const after = await turning.sign(caller, 'packages');
    const kidOf = (assertion: string) =>
      JSON.parse(Buffer.from(`${assertion.split('.')[0]}`, 'base64url').toString()).kid;
    expect([kidOf(before), kidOf(after)]).toEqual([current.kid, next.kid]);
    expect(await verify(after, clockMs)).toEqual(caller);
  });

  it('do not sign before their time', async () => {
    await expect(new AssertionSigner([next], () => nowMs).sign(caller, 'packages')).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('are published without their private part', () => {
    expect(JSON.stringify(publishedKeysOf([current]))).not.toContain(current.privateJwk.d);
    expect(publishedKeysOf([current])).toEqual([{ kid: current.kid, x: current.privateJwk.x }]);
  });
});

describe('a keyring', () => {
  let fetches: number;
  let published: AssertionKey[];
  let clockMs: number;
  let keyring: Keyring;
  beforeEach(() => {
    [fetches, published, clockMs] = [0, [current], 0];
    keyring = new Keyring(
      async () => {
        fetches += 1;
        return publishedKeysOf(published);
      },
      () => clockMs,
    );
  });

  it('asks once for many at a time, and then answers from memory', async () => {
    const keys = await Promise.all([1, 2, 3].map(() => keyring.keyOf(current.kid)));
    expect(keys.every((key) => key !== undefined)).toBe(true);
    await keyring.keyOf(current.kid);
    expect(fetches).toBe(1);
  });

  it('asks once more for an unknown key, and finds one published meanwhile', async () => {
    await keyring.keyOf(current.kid);
    published = [current, next];
    clockMs = 2_000;
    expect(await keyring.keyOf(next.kid)).toBeDefined();
    expect(fetches).toBe(2);
  });

  it('is not made to ask by forged key ids more than once a second', async () => {
    for (let forged = 0; forged < 100; forged++) expect(await keyring.keyOf(`forged-${forged}`)).toBeUndefined();
    expect(fetches).toBe(1);
  });

  it('forgets a withdrawn key within a minute', async () => {
    await keyring.keyOf(current.kid);
    published = [next];
    clockMs = 60_000;
    expect(await keyring.keyOf(current.kid)).toBeUndefined();
  });
});

describe('an assertion of a service', () => {
  const keys = new Map([
    ['conda-index', serviceKey],
    ['pypi-index', new Uint8Array(32).fill(8)],
  ]);
  const verifyService = (assertion: string, atMs = nowMs) =>
    verifyServiceAssertion(assertion, { audience: 'packages', keyOf: (service) => keys.get(service), nowMs: atMs });

  it('is accepted by the service that it is for', async () => {
    expect(await verifyService(await signServiceAssertion(serviceKey, 'conda-index', 'packages', nowMs))).toBe(
      'conda-index',
    );
  });

  const forgeService = (header: object, payload: object) =>
    new SignJWT({ iss: 'conda-index', aud: 'packages', iat: now, exp: now + 5, ...payload })
      .setProtectedHeader({ alg: 'HS256', typ: 'vivarium-service+jwt', kid: 'conda-index', ...header })
      .sign(serviceKey);
  const refused: [string, () => Promise<string>][] = [
    ['for another service', () => signServiceAssertion(serviceKey, 'conda-index', 'authz', nowMs)],
    ['for a list', () => forgeService({}, { aud: ['packages'] })],
    ['that has expired', () => signServiceAssertion(serviceKey, 'conda-index', 'packages', nowMs - 6_000)],
    ['that lives too long', () => forgeService({}, { exp: now + 60 })],
    ['with the key of another', () => signServiceAssertion(serviceKey, 'pypi-index', 'packages', nowMs)],
    ['in the name of another', () => forgeService({}, { iss: 'pypi-index' })],
    ['of a service that may not call', () => signServiceAssertion(serviceKey, 'web', 'packages', nowMs)],
    ['of another type', () => forgeService({ typ: 'vivarium-caller+jwt' }, {})],
    ['of no type', () => forgeService({ typ: undefined }, {})],
    ['with another algorithm and the right key', () => forgeHs512()],
    ['of a caller', () => signer.sign(caller, 'packages')],
  ];
  // By hand, because the library signs HS512 with longer keys only.
  async function forgeHs512(): Promise<string> {
    const header = { alg: 'HS512', typ: 'vivarium-service+jwt', kid: 'conda-index' };
    const signed = `${base64(header)}.${base64({ iss: 'conda-index', aud: 'packages', iat: now, exp: now + 5 })}`;
    return `${signed}.${createHmac('sha512', serviceKey).update(signed).digest('base64url')}`;
  }
  it.each(refused)('is refused %s', async (_name, make) => {
    await expect(verifyService(await make())).rejects.toMatchObject({ name: 'Fault', code: 'unauthenticated' });
  });

  it('is not signed with a short key', async () => {
    await expect(signServiceAssertion(new Uint8Array(16), 'conda-index', 'packages', nowMs)).rejects.toMatchObject({
      code: 'invalid',
    });
  });
});
