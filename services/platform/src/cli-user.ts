import type { Config } from '@vivarium/boot/config';
import { openPool } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { outboxOnly, resetPassword } from '@vivarium/identity/administration';
import { setDisabled } from '@vivarium/identity/change-user';
import { createUser } from '@vivarium/identity/create-user';
import { type Db, openDb } from '@vivarium/identity/db';
import { generatePassword } from '@vivarium/identity/generate-password';
import { withDatabase } from './cli-database.js';
import { RESERVED_LOGINS } from './reserved-logins.js';

interface Asked {
  readonly login: string;
  readonly passwordStdin: boolean;
}

/** `vivarium user create`. Throws Fault('invalid') and Fault('conflict') with what to do. */
export async function createUserByHand(
  config: Config,
  asked: Asked & { readonly email: string; readonly superuser: boolean },
): Promise<void> {
  const given = asked.passwordStdin ? await readPassword() : undefined;
  const password = given ?? generatePassword();
  await withIdentity(config, async (db) => {
    // A server that runs hears of it from the outbox.
    const rules = { clock: Date.now, reservedLogins: RESERVED_LOGINS, invalidations: outboxOnly };
    const { login, email, superuser } = asked;
    const account = await createUser(db, rules, { login, email, password, superuser, name: '' });
    process.stdout.write(`made the ${superuser ? 'superuser' : 'user'} ${account.login}\n`);
  });
  if (given === undefined) process.stdout.write(`password: ${password}\n`);
}

/** `vivarium user reset-password`. Throws Fault('not_found') for an unknown login. */
export async function resetPasswordByHand(config: Config, asked: Asked): Promise<void> {
  const given = asked.passwordStdin ? await readPassword() : undefined;
  await withIdentity(config, async (db) => {
    const user = { login: asked.login, ...(given === undefined ? {} : { password: given }) };
    const { password } = await resetPassword(db, { clock: Date.now, invalidations: outboxOnly }, user);
    process.stdout.write(`set a new password for ${asked.login}; its sessions have ended\n`);
    if (password !== undefined) process.stdout.write(`password: ${password}\n`);
  });
}

/** `vivarium user disable` and `enable`. Throws Fault('not_found'), and Fault('conflict') for the last superuser. */
export async function setDisabledByHand(config: Config, login: string, disabled: boolean): Promise<void> {
  await withIdentity(config, async (db) => {
    const user = await setDisabled(db, { clock: Date.now, invalidations: outboxOnly }, login, disabled);
    const what = disabled ? 'its sessions have ended, and its tokens are refused' : 'its tokens count again';
    process.stdout.write(`${disabled ? 'disabled' : 'enabled'} ${user.login}; ${what}\n`);
  });
}

async function withIdentity(config: Config, run: (db: Db) => Promise<void>): Promise<void> {
  await withDatabase(config, async (url) => {
    const log = (line: string): void => void process.stderr.write(`${line}\n`);
    const pool = openPool({ url, schema: 'identity', applicationName: 'vivarium user', max: 2, log });
    const db = openDb(pool);
    try {
      await run(db);
    } finally {
      await db.$disconnect();
      await pool.end();
    }
  });
}

const PASSWORD_LIMIT_BYTES = 4_096;

async function readPassword(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > PASSWORD_LIMIT_BYTES) throw new Fault('invalid', 'The password on standard input is too long.');
  }
  const password = text.replace(/\r?\n$/, '');
  if (password === '') throw new Fault('invalid', 'There is no password on standard input.');
  return password;
}
