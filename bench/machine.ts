import { cpus, freemem, loadavg, totalmem } from 'node:os';
import { machineCpuMs } from './processes.js';

/** What the figures were measured on. */
export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly memoryBytes: number;
  readonly freeBytes: number;
  readonly node: string;
  readonly platform: string;
  readonly loadAverage: readonly number[];
}

export function describeMachine(): Machine {
  return {
    cores: cpus().length,
    model: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    freeBytes: freemem(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    loadAverage: loadavg(),
  };
}

export function printedMachine({ cores, model, memoryBytes, node, platform, loadAverage }: Machine): string {
  const load = loadAverage.map((value) => value.toFixed(2)).join(' ');
  return `${cores} cores (${model}), ${Math.round(memoryBytes / 2 ** 30)} GiB, ${platform}, node ${node}, load average ${load}`;
}

/** How restless the machine is: the share of all processor time that others took while we did nothing, and that was stolen. */
export async function measureNoise(forMs: number): Promise<{ readonly busy: number; readonly stolen: number }> {
  const before = machineCpuMs();
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, forMs));
  const ms = (performance.now() - started) * cpus().length;
  const after = machineCpuMs();
  return { busy: (after.busyMs - before.busyMs) / ms, stolen: (after.stolenMs - before.stolenMs) / ms };
}
