import type { LoadResult } from './load-order.js';
import { cpuMsOf } from './processes.js';
import type { Stand } from './stand.js';

/** One of those who are compared. */
export interface Contender {
  readonly name: string;
  readonly port: number;
  /** All processes that answer; their processor time is added up. */
  readonly pids: readonly number[];
  readonly request: string;
}

export interface Round extends LoadResult {
  readonly cpuMs: number;
}

export interface Stop {
  readonly stop: { readonly forMs: number } | { readonly requests: number };
  readonly connections: number;
  readonly status: number;
}

// What is compiled while it runs gets its final speed only after some ten thousand requests.
const WARM_MS = 4_000;

/**
 * Puts each contender under load in turn, round after round, so that what disturbs the machine meets all of them. A first
 * round warms up and is not counted.
 */
export async function compare(
  { load, options }: Stand,
  contenders: readonly Contender[],
  { stop, connections, status }: Stop,
): Promise<ReadonlyMap<string, readonly Round[]>> {
  const rounds = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round <= options.rounds; round++) {
    for (const { name, port, pids, request } of contenders) {
      const until = round === 0 && 'forMs' in stop ? { forMs: Math.max(WARM_MS, stop.forMs) } : stop;
      const before = cpuOf(pids);
      const result = await load.run({ port, request, status, connections, stop: until });
      if (round > 0) rounds.get(name)?.push({ ...result, cpuMs: cpuOf(pids) - before });
    }
  }
  return rounds;
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
}
