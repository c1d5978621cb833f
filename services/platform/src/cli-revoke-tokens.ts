import { openDb as openAuthzDb } from '@vivarium/authz/db';
import { ownersOf } from '@vivarium/authz/owners-of';
import type { Config } from '@vivarium/boot/config';
import { openLog } from '@vivarium/boot/log';
import { openPool } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { outboxOnly } from '@vivarium/identity/administration';
import { openDb } from '@vivarium/identity/db';
import { revokeInText } from '@vivarium/identity/revoke-in-text';
import { withDatabase } from './cli-database.js';

const TEXT_LIMIT_BYTES = 64 * 2 ** 20;

/**
 * `vivarium revoke-tokens`. The text comes by standard input: other users of the machine can read a command line. Throws
 * Fault('invalid') if there is no token in it.
 */
export async function revokeTokensByHand(config: Config): Promise<void> {
  const text = await readText();
  await withDatabase(config, async (url) => {
    const line = (said: string): void => void process.stderr.write(`${said}\n`);
    const open = (schema: string) =>
      openPool({ url, schema, applicationName: 'vivarium revoke-tokens', max: 2, log: line });
    const [pool, authzPool] = [open('identity'), open('authz')];
    const [db, authz] = [openDb(pool), openAuthzDb(authzPool)];
    const log = openLog({ level: config.logLevel, service: 'revoke-tokens' });
    const whose = (organizationId: string) => ownersOf(authz, organizationId);
    try {
      const rules = { clock: Date.now, log, invalidations: outboxOnly, ownersOf: whose };
      const { found, revoked } = await revokeInText(rules, db, text);
      process.stdout.write(`revoked ${revoked} of ${found} tokens; the others counted for nothing here\n`);
    } finally {
      await Promise.all([db.$disconnect(), authz.$disconnect()]);
      await Promise.all([pool.end(), authzPool.end()]);
    }
  });
}

async function readText(): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin) {
    const bytes = Buffer.from(chunk);
    sizeBytes += bytes.byteLength;
    if (sizeBytes > TEXT_LIMIT_BYTES) {
      throw new Fault(
        'invalid',
        `The text on standard input is larger than ${TEXT_LIMIT_BYTES / 2 ** 20} MiB; send it in parts.`,
      );
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}
