import type { Config } from '@vivarium/boot/config';
import { Health } from '@vivarium/boot/health';
import { openLog } from '@vivarium/boot/log';
import { Running } from '@vivarium/boot/run';
import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { migrate } from '@vivarium/db/migrate';
import { runningPostgresUrl } from '@vivarium/db/running';
import { Fault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { migrationsOf } from './migrations.js';
import { OpenPorts } from './open-ports.js';
import { STARTERS, TARGETS } from './targets.js';

const REBUILD_MS = 30 * 60_000;

/**
 * `vivarium rebuild CHANNEL`: asks the indexers of the installation, or starts the roles that it takes for the time of the
 * command. Throws Fault('not_found') for a channel that does not exist.
 */
export async function rebuildChannel(config: Config, login: string): Promise<void> {
  const log = openLog({ level: config.logLevel, service: 'rebuild' });
  const running = new Running();
  try {
    const open = new OpenPorts(await besideTheRunningOne(config), log, running);
    if (config.natsUrl === undefined) {
      const url = await open.databaseUrl(() => undefined);
      await migrate({ url, migrations: migrationsOf(), log: () => undefined });
      for (const role of TARGETS.all.filter((each) => each !== 'gateway')) {
        await STARTERS[role]({ open, running }, new Health());
      }
    }
    const { bus, trust } = await open.rolePorts('platform');
    const timed = async (service: string) => ({ assertion: await trust.assertionFor(service), timeoutMs: REBUILD_MS });
    const { channel } = await clientOf(Channels, bus).find({ login }, await timed('packages'));
    if (channel === undefined) throw new Fault('not_found', `There is no channel "${login}".`);
    for (const [kind, heads] of [
      ['conda', clientOf(CondaHeads, bus)],
      ['pypi', clientOf(PypiHeads, bus)],
    ] as const) {
      const built = await heads.rebuild({ channelId: channel.id }, await timed(`${kind}-index`));
      process.stdout.write(
        `${kind}: ${built.names} names at generation ${built.generation}; ${built.changedHeads} indexes were different\n`,
      );
    }
  } finally {
    await running.stop(log, 20_000);
  }
}

/** The database of a product that runs in this folder; two indexers of one channel do not harm each other. */
async function besideTheRunningOne(config: Config): Promise<Config> {
  const databaseUrl = config.databaseUrl ?? (await runningPostgresUrl(config.dataDir));
  return { ...config, databaseUrl };
}
