import { randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import { startDatabase, type TestDatabase } from './database.fixture.js';
import { SigningKeys } from './signing-keys.js';

jest.setTimeout(60_000);

const HOUR = 3_600_000;
const policy = { lifetimeMs: 24 * HOUR, cacheMs: 600_000 };
const sealingKey = randomBytes(32);

describe('signing keys', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await startDatabase();
  });
  afterAll(() => database.stop());
  beforeEach(() => database.db.signingKey.deleteMany());

  const open = (clock: () => number, key: Uint8Array = sealingKey) =>
    new SigningKeys({ db: database.db, sealingKey: key, clock, policy });

  it('are made once by replicas that start together', async () => {
    const replicas = Array.from({ length: 4 }, () => open(() => HOUR));
    const kids = await Promise.all(replicas.map(kidOfSigner));
    expect(new Set(kids).size).toBe(1);
    expect(await database.db.signingKey.count()).toBe(2);
  });

  it('publish the key that signs and the next one, and nothing private', async () => {
    const keys = open(() => HOUR);
    const kid = await kidOfSigner(keys);
    const set = JSON.parse(await keys.published());
    expect(set.keys).toHaveLength(2);
    expect(set.keys[0]).toEqual({ kid, kty: 'OKP', crv: 'Ed25519', x: expect.any(String), alg: 'EdDSA', use: 'sig' });
  });

  it('hand over after their lifetime to a key that was published all the time before', async () => {
    let now = HOUR;
    const keys = open(() => now);
    const first = await kidOfSigner(keys);
    const next = (await kidsOf(keys)).find((kid) => kid !== first);
    now += policy.lifetimeMs - 1;
    expect(await kidOfSigner(keys)).toBe(first);
    now += 1;
    expect(await kidOfSigner(keys)).toBe(next);
    now += 61_000;
    expect(await kidOfSigner(keys)).toBe(next);
    const kids = await kidsOf(keys);
    expect(kids).toHaveLength(3);
    expect(kids).toContain(first);
  });

  it('forget a key that was replaced long ago', async () => {
    let now = HOUR;
    const keys = open(() => now);
    const first = await kidOfSigner(keys);
    now += 3 * policy.lifetimeMs;
    await kidOfSigner(keys);
    now += policy.lifetimeMs;
    expect(await kidsOf(keys)).not.toContain(first);
    expect(await database.db.signingKey.findUnique({ where: { kid: first } })).toBeNull();
  });

  it('go on signing after the secret was changed, and still verify what was signed before', async () => {
    const before = await kidOfSigner(open(() => HOUR));
    const changed = open(() => HOUR, randomBytes(32));
    const after = await kidOfSigner(changed);
    expect(after).not.toBe(before);
    expect(await kidsOf(changed)).toEqual(expect.arrayContaining([before, after]));
  });
});

async function kidOfSigner(keys: SigningKeys): Promise<string> {
  const assertion = await (await keys.signer()).sign({}, 'packages');
  return JSON.parse(Buffer.from(assertion.split('.')[0] ?? '', 'base64url').toString()).kid;
}

async function kidsOf(keys: SigningKeys): Promise<readonly string[]> {
  return JSON.parse(await keys.published()).keys.map((key: { kid: string }) => key.kid);
}
