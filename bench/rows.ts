import type { Least } from './bare.js';
import { percentileOf } from './statistics.js';
import { shown } from './table.js';

const PERCENTS = [50, 99, 100];

/** p50, p99 and greatest of some times in ms, as a row. */
export function rowOf(what: string, values: readonly number[]): readonly string[] {
  return [what, ...PERCENTS.map((percent) => shown(percentileOf(values, percent), 1))];
}

/** What the servers below took in the same rounds, and how many times as much the measured values are. */
export function rowsOfPeers(peers: readonly Least[], values: readonly number[]): readonly (readonly string[])[] {
  const [commits, roundTrips] = [peers.map(({ commitMs }) => commitMs), peers.map(({ roundTripMs }) => roundTripMs)];
  const ratios = PERCENTS.map(
    (percent) => percentileOf(values, percent) / (percentileOf(commits, percent) + percentileOf(roundTrips, percent)),
  );
  return [
    rowOf('peer: a bare commit in PostgreSQL', commits),
    rowOf('peer: a bare round trip over NATS', roundTrips),
    ['first row ÷ (commit + round trip)', ...ratios.map((ratio) => shown(ratio, 1))],
  ];
}
