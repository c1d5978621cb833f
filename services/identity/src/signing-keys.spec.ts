import { randomBytes, sign } from 'node:crypto';
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
    const signers = await Promise.all(replicas.map((replica) => replica.signer()));
    expect(new Set(signers.map(({ kid }) => kid)).size).toBe(1);
    expect(await database.db.signingKey.count()).toBe(2);
  });

  it('publish the key that signs and the next one, and nothing private', async () => {
    const keys = open(() => HOUR);
    const { kid } = await keys.signer();
    const set: { keys: { kid: string }[] } = JSON.parse(await keys.published());
    expect(set.keys).toHaveLength(2);
    expect(set.keys[0]).toMatchObject({ kid, kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(JSON.stringify(set)).not.toContain('"d"');
  });

  it('hand over after their lifetime to a key that was published all the time before', async () => {
    let now = HOUR;
    const keys = open(() => now);
    const first = await keys.signer();
    const [, next] = JSON.parse(await keys.published()).keys;
    now += policy.lifetimeMs - 1;
    expect((await keys.signer()).kid).toBe(first.kid);
    now += 1;
    await keys.signer();
    now += 61_000;
    expect((await keys.signer()).kid).toBe(next.kid);
    const kids = JSON.parse(await keys.published()).keys.map((each: { kid: string }) => each.kid);
    expect(kids).toHaveLength(3);
    expect(kids).toContain(first.kid);
  });

  it('forget a key that was replaced long ago', async () => {
    let now = HOUR;
    const keys = open(() => now);
    const first = await keys.signer();
    now += 3 * policy.lifetimeMs;
    await keys.signer();
    now += policy.lifetimeMs;
    await keys.signer();
    expect(await database.db.signingKey.findUnique({ where: { kid: first.kid } })).toBeNull();
  });

  it('go on signing after the secret was changed, and still verify what was signed before', async () => {
    const before = await open(() => HOUR).signer();
    const changed = open(() => HOUR, randomBytes(32));
    const after = await changed.signer();
    expect(after.kid).not.toBe(before.kid);
    expect(sign(null, Buffer.from('x'), after.privateKey)).toHaveLength(64);
    const kids = JSON.parse(await changed.published()).keys.map((each: { kid: string }) => each.kid);
    expect(kids).toEqual(expect.arrayContaining([before.kid, after.kid]));
  });

  it('are not readable in the database', async () => {
    const { privateKey } = await open(() => HOUR).signer();
    const secret = privateKey.export({ format: 'jwk' }).d ?? '';
    const der = privateKey.export({ format: 'der', type: 'pkcs8' });
    const rows = await database.db.signingKey.findMany();
    expect(JSON.stringify(rows)).not.toContain(secret);
    for (const { sealedKey } of rows) expect(Buffer.from(sealedKey).includes(der.subarray(-32))).toBe(false);
  });
});
