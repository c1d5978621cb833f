import type { Config } from '@vivarium/boot/config';
import type { Swept } from '@vivarium/contracts/gen/vivarium/common/v1/upkeep_pb';
import { Upkeep as CondaUpkeep } from '@vivarium/contracts/gen/vivarium/condaindex/v1/upkeep_pb';
import { Upkeep as PackagesUpkeep } from '@vivarium/contracts/gen/vivarium/packages/v1/upkeep_pb';
import { Upkeep as PypiUpkeep } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/upkeep_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { withInstallation } from './cli-installation.js';

export interface SweepFlags {
  readonly dryRun: boolean;
  /** Seconds. */
  readonly grace: number | undefined;
}

/** `vivarium sweep`: one line for each sort of what was removed, or would be. Throws Fault('conflict') while one runs. */
export function sweepByHand(config: Config, { dryRun, grace }: SweepFlags): Promise<void> {
  return withInstallation(config, 'sweep', async ({ bus, asked }) => {
    const request = { dryRun, ...(grace === undefined ? {} : { graceMs: BigInt(grace) * 1000n }) };
    const answers = [
      ['packages', await clientOf(PackagesUpkeep, bus).sweep(request, await asked('packages'))],
      ['conda-index', await clientOf(CondaUpkeep, bus).sweep(request, await asked('conda-index'))],
      ['pypi-index', await clientOf(PypiUpkeep, bus).sweep(request, await asked('pypi-index'))],
    ] as const;
    const lines = answers.flatMap(([service, { swept }]) => swept.map((each) => lineOf(service, each)));
    for (const line of lines) process.stdout.write(`${line}\n`);
    if (lines.length === 0) process.stdout.write('there is nothing to sweep\n');
    else if (dryRun) process.stdout.write('nothing was removed: this was a dry run\n');
  });
}

function lineOf(service: string, { what, count, sizeBytes }: Swept): string {
  return `${service}: ${count} ${what}${sizeBytes === 0n ? '' : ` (${sizeBytes} bytes)`}`;
}
