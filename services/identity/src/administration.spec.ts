import { jest } from '@jest/globals';
import { ensureFirstAdmin, outboxOnly, resetPassword } from './administration.js';
import { setDisabled } from './change-user.js';
import { createUser } from './create-user.js';
import { findPasswordFacts } from './credential-facts.js';
import { startDatabase, type TestDatabase } from './database.fixture.js';
import { isPasswordOf } from './password.js';

jest.setTimeout(60_000);

const rules = { clock: Date.now, reservedLogins: new Set(['api']), invalidations: outboxOnly };

describe('administration without a bus', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await startDatabase();
  });
  afterAll(() => database.stop());

  const opens = async (login: string, password: string) =>
    isPasswordOf(password, (await findPasswordFacts(database.db, { login }))?.hash ?? undefined);
  const ports = { invalidations: outboxOnly, clock: Date.now };

  it('makes one first administrator, however many processes start at once, with a password shown once', async () => {
    const made = await Promise.all(
      Array.from({ length: 4 }, () => ensureFirstAdmin(database.db, rules, { login: 'admin' })),
    );
    const [password, ...others] = made.flatMap((each) => each.password ?? []);
    expect(made.filter(({ created }) => created)).toHaveLength(1);
    expect(others).toEqual([]);
    expect(password).toMatch(/^[A-Za-z0-9]{20,}$/);
    expect(await opens('admin', password ?? '')).toBe(true);
    const account = await database.db.account.findUniqueOrThrow({ where: { login: 'admin' } });
    expect(account).toMatchObject({ kind: 'user', superuser: true, email: null });
  });

  it('leaves the first administrator alone from then on', async () => {
    const again = await ensureFirstAdmin(database.db, rules, { login: 'admin', password: 'another password' });
    expect(again).toEqual({ created: false });
    expect(await opens('admin', 'another password')).toBe(false);
    expect(await ensureFirstAdmin(database.db, rules, { login: 'root' })).toEqual({ created: false });
  });

  it('makes users', async () => {
    const user = { login: 'Zoe', email: 'zoe@example.org', password: 'a password', superuser: false, name: 'Zoe' };
    expect(await createUser(database.db, rules, user)).toMatchObject({ login: 'zoe', superuser: false });
    await expect(createUser(database.db, rules, user)).rejects.toMatchObject({ code: 'conflict' });
    await expect(createUser(database.db, rules, { ...user, login: 'api' })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('resets a password to a given or a generated one, and leaves word for the servers that run', async () => {
    expect(await resetPassword(database.db, ports, { login: 'Zoe', password: 'chosen by hand' })).toEqual({});
    expect(await opens('zoe', 'chosen by hand')).toBe(true);
    const { password } = await resetPassword(database.db, ports, { login: 'zoe' });
    expect(password).toMatch(/^[A-Za-z0-9]{20,}$/);
    expect(await opens('zoe', password ?? '')).toBe(true);
    const { rows } = await database.pool.query<{ topic: string }>('SELECT topic FROM outbox');
    // Two for the users made before, two for their new passwords.
    expect(rows.map(({ topic }) => topic)).toEqual(Array(4).fill('invalidations.identity'));
    await expect(resetPassword(database.db, ports, { login: 'nobody' })).rejects.toMatchObject({ code: 'not_found' });
    const weak = resetPassword(database.db, ports, { login: 'zoe', password: 'short' });
    await expect(weak).rejects.toMatchObject({ code: 'invalid' });
  });

  it('disables and enables a user, on the record, and leaves word for the servers that run', async () => {
    const told = async () => (await database.pool.query('SELECT 1 FROM outbox')).rows.length;
    const before = await told();
    expect(await setDisabled(database.db, ports, 'Zoe', true)).toMatchObject({ login: 'zoe', disabled: true });
    expect(await setDisabled(database.db, ports, 'zoe', false)).toMatchObject({ login: 'zoe', disabled: false });
    expect((await told()) - before).toBe(2);
    const { rows } = await database.pool.query<{ action: string }>(
      "SELECT action FROM audit WHERE resource = 'user zoe' AND action IN ('user.disable', 'user.enable') ORDER BY at",
    );
    expect(rows.map(({ action }) => action)).toEqual(['user.disable', 'user.enable']);
    await expect(setDisabled(database.db, ports, 'nobody', true)).rejects.toMatchObject({ code: 'not_found' });
    await expect(setDisabled(database.db, ports, 'admin', true)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('refuses a weak first password and makes nobody', async () => {
    const empty = await startDatabase();
    try {
      const weak = ensureFirstAdmin(empty.db, rules, { login: 'admin', password: 'short' });
      await expect(weak).rejects.toMatchObject({ code: 'invalid' });
      expect(await empty.db.account.count()).toBe(0);
      expect(await ensureFirstAdmin(empty.db, rules, { login: 'admin', password: 'good enough' })).toEqual({
        created: true,
      });
    } finally {
      await empty.stop();
    }
  });
});
