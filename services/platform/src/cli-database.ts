import type { Config } from '@vivarium/boot/config';
import { openLog } from '@vivarium/boot/log';
import { Running } from '@vivarium/boot/run';
import { migrate } from '@vivarium/db/migrate';
import { runningPostgresUrl } from '@vivarium/db/running';
import { migrationsOf } from './migrations.js';
import { OpenPorts } from './open-ports.js';

/**
 * Runs a command on the database: the configured one, the embedded one of a product that runs, or the embedded one started
 * for the time of the command. The schema is brought up to date first.
 */
export async function withDatabase<T>(
  config: Config,
  run: (url: string, applied: readonly string[]) => Promise<T>,
): Promise<T> {
  const running = new Running();
  const log = openLog({ level: config.logLevel, service: 'command' });
  try {
    const beside = config.databaseUrl === undefined ? await runningPostgresUrl(config.dataDir) : undefined;
    const url = beside ?? (await new OpenPorts(config, log, running).databaseUrl(() => undefined));
    const { applied } = await migrate({ url, migrations: migrationsOf(), log: () => undefined });
    return await run(url, applied);
  } finally {
    await running.stop(log, 10_000);
  }
}
