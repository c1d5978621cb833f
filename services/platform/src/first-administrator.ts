import type { Config } from '@vivarium/boot/config';
import type { Log } from '@vivarium/boot/log';
import { openPool } from '@vivarium/db/open';
import { ensureFirstAdmin, outboxOnly } from '@vivarium/identity/administration';
import { openDb } from '@vivarium/identity/db';
import type { OpenPorts } from './open-ports.js';
import { RESERVED_LOGINS } from './reserved-logins.js';

export interface Administrator {
  readonly login: string;
  /** Set when it was made now and the password was generated: it is shown once. */
  readonly password: string | undefined;
  readonly isNew: boolean;
}

const LOGIN = 'admin';

/**
 * Makes the first administrator where there is none. A password is generated only where a person sees it: a role whose
 * output is a log makes an administrator from VIVARIUM_ADMIN_PASSWORD, or says how to make one.
 */
export async function firstAdministrator(
  config: Config,
  open: OpenPorts,
  log: Log,
): Promise<Administrator | undefined> {
  if (config.target !== 'all' && config.target !== 'identity') return undefined;
  const { adminPassword } = config;
  if (config.target === 'identity' && adminPassword === undefined) {
    log.info(
      'To make an administrator: vivarium user create NAME --email E --superuser, or set VIVARIUM_ADMIN_PASSWORD',
    );
    return undefined;
  }
  const url = await open.databaseUrl(() => undefined);
  const warn = (line: string): void => log.warn(line);
  const pool = openPool({
    url,
    schema: 'identity',
    applicationName: 'vivarium first administrator',
    max: 1,
    log: warn,
  });
  const db = openDb(pool);
  try {
    const rules = { clock: Date.now, reservedLogins: RESERVED_LOGINS, invalidations: outboxOnly };
    const admin = { login: LOGIN, ...(adminPassword === undefined ? {} : { password: adminPassword }) };
    const { created, password } = await ensureFirstAdmin(db, rules, admin);
    return { login: LOGIN, password, isNew: created };
  } finally {
    await db.$disconnect();
    await pool.end();
  }
}
