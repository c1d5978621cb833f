import { setTimeout as sleep } from 'node:timers/promises';
import { cpuMsOf } from './processes.js';
import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { shown } from './table.js';

const IDLE_MS = 5_000;

/** How long the product takes to be ready: in an empty data folder, and when it finds one. */
export async function measureStartup({ product, pid, coldStartMs, memory }: Stand): Promise<Report> {
  const ending = performance.now();
  await product.end();
  const stopMs = performance.now() - ending;
  const starting = performance.now();
  await product.start();
  const secondStartMs = performance.now() - starting;
  await memory.note('idle, started again', 3_000);
  const idleCpuPercent = await idleCpuPercentOf(pid());
  return {
    title: 'Start and stop',
    columns: ['what', 'ms'],
    rows: [
      ['first start, empty data folder (PostgreSQL is made)', shown(coldStartMs)],
      ['stop (SIGTERM to exit)', shown(stopMs)],
      ['second start', shown(secondStartMs)],
      ['CPU of the idle process, ms in each second', shown(idleCpuPercent * 10, 1)],
    ],
    notes: ['From spawning node to 200 from /health/ready, asked every 50 ms. Nothing is installed or compiled in it.'],
    figures: { coldStartMs, stopMs, secondStartMs, idleCpuPercent },
  };
}

/** What leases, sweeps and relays take of one core when nobody asks for anything. */
async function idleCpuPercentOf(pid: number): Promise<number> {
  const before = cpuMsOf(pid);
  await sleep(IDLE_MS);
  return ((cpuMsOf(pid) - before) / IDLE_MS) * 100;
}
