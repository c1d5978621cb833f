import type { Config } from '@vivarium/boot/config';
import { withDatabase } from './cli-database.js';

/** `vivarium migrate`: says what it applied, one line a step. */
export async function migrateDatabase(config: Config): Promise<void> {
  await withDatabase(config, async (_, applied) => {
    for (const name of applied) process.stdout.write(`applied ${name}\n`);
    if (applied.length === 0) process.stdout.write('the database is up to date\n');
  });
}
