import type { Report } from './report.js';
import type { Stand } from './stand.js';
import { shown } from './table.js';

/** How long the product takes to be ready: in an empty data folder, and when it finds one. */
export async function measureStartup({ product, coldStartMs, memory }: Stand): Promise<Report> {
  const ending = performance.now();
  await product.end();
  const stopMs = performance.now() - ending;
  const starting = performance.now();
  await product.start();
  const secondStartMs = performance.now() - starting;
  await memory.note('idle, started again', 3_000);
  return {
    title: 'Start and stop',
    columns: ['what', 'ms'],
    rows: [
      ['first start, empty data folder (PostgreSQL is made)', shown(coldStartMs)],
      ['stop (SIGTERM to exit)', shown(stopMs)],
      ['second start', shown(secondStartMs)],
    ],
    notes: ['From spawning node to 200 from /health/ready, asked every 50 ms. Nothing is installed or compiled in it.'],
    figures: { coldStartMs, stopMs, secondStartMs },
  };
}
