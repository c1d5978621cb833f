import type { Config } from '@vivarium/boot/config';
import { Health } from '@vivarium/boot/health';
import { openLog } from '@vivarium/boot/log';
import type { RolePorts } from '@vivarium/boot/ports';
import { Running } from '@vivarium/boot/run';
import { Channels } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { migrate } from '@vivarium/db/migrate';
import { runningPostgresUrl } from '@vivarium/db/running';
import { Fault } from '@vivarium/fault/fault';
import { type CallOptions, clientOf } from '@vivarium/rpc/rpc';
import { migrationsOf } from './migrations.js';
import { OpenPorts } from './open-ports.js';
import { STARTERS, TARGETS } from './targets.js';

const COMMAND_MS = 30 * 60_000;

/** The services of an installation, as a command asks them. */
export interface Installation {
  readonly bus: RolePorts['bus'];
  /** How a service is asked: as the command line, with the patience of an operator. */
  readonly asked: (service: string) => Promise<CallOptions>;
}

/**
 * Runs a command that asks services: those of the installation, if it has a bus; else the roles are started for the time of
 * the command, beside a product that may be running in the same folder.
 */
export async function withInstallation<T>(
  config: Config,
  command: string,
  run: (installation: Installation) => Promise<T>,
): Promise<T> {
  const log = openLog({ level: config.logLevel, service: command });
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
    const asked = async (service: string) => ({
      assertion: await trust.assertionFor(service),
      timeoutMs: COMMAND_MS,
    });
    return await run({ bus, asked });
  } finally {
    await running.stop(log, 20_000);
  }
}

/** The id of a channel. Throws Fault('not_found'). */
export async function channelIdOf({ bus, asked }: Installation, login: string): Promise<string> {
  const { channel } = await clientOf(Channels, bus).find({ login }, await asked('packages'));
  if (channel === undefined) throw new Fault('not_found', `There is no channel "${login}".`);
  return channel.id;
}

/** The database of a product that runs in this folder; two indexers of one channel do not harm each other. */
async function besideTheRunningOne(config: Config): Promise<Config> {
  const databaseUrl = config.databaseUrl ?? (await runningPostgresUrl(config.dataDir));
  return { ...config, databaseUrl };
}
