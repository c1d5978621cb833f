import type { Config } from '@vivarium/boot/config';
import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { channelIdOf, withInstallation } from './cli-installation.js';

/** `vivarium rebuild CHANNEL`. Throws Fault('not_found') for a channel that does not exist. */
export function rebuildChannel(config: Config, login: string): Promise<void> {
  return withInstallation(config, 'rebuild', async (installation) => {
    const { bus, asked } = installation;
    const channelId = await channelIdOf(installation, login);
    for (const [kind, heads] of [
      ['conda', clientOf(CondaHeads, bus)],
      ['pypi', clientOf(PypiHeads, bus)],
    ] as const) {
      const built = await heads.rebuild({ channelId }, await asked(`${kind}-index`));
      process.stdout.write(
        `${kind}: ${built.names} names at generation ${built.generation}; ${built.changedHeads} indexes were different\n`,
      );
    }
  });
}
