import { setTimeout as sleep } from 'node:timers/promises';
import type { Poll, Sample } from './poll.js';

/** How long something was still served that a change took away, in milliseconds from sending that change. */
export interface Forgetting {
  /** To the answer of the change. */
  readonly answeredMs: number;
  /** To the head of the last answer that served; below zero: none came after the change was sent. */
  readonly lastBegunMs: number;
  /** To the end of the last answer that served. */
  readonly lastServedMs: number;
  /** How many answers served what was asked for after the change had been answered. */
  readonly servedAfter: number;
  /** When the change was sent, by the clock of the samples. */
  readonly sentAt: number;
  readonly samples: readonly Sample[];
}

// So many questions are under way when the change comes, and so long is looked whether anything comes back.
const BEFORE_MS = 50;
const AFTER_MS = 300;

/** Makes a change while what it takes away is asked for; `during` runs as soon as the change was sent. Ends the poll. */
export async function changeDuring(
  poll: Poll,
  change: () => Promise<unknown>,
  during: () => Promise<void> = async () => undefined,
): Promise<Forgetting> {
  await sleep(BEFORE_MS);
  const sentAt = performance.now();
  const changed = change().then(() => performance.now());
  const [answeredAt] = await Promise.all([changed, during()]);
  await sleep(AFTER_MS);
  const samples = await poll.stop();
  const served = samples.filter(({ isServed }) => isServed);
  return {
    answeredMs: answeredAt - sentAt,
    lastBegunMs: Math.max(...served.map(({ headMs }) => headMs)) - sentAt,
    lastServedMs: Math.max(...served.map(({ endedMs }) => endedMs)) - sentAt,
    servedAfter: served.filter(({ beganMs }) => beganMs > answeredAt).length,
    sentAt,
    samples,
  };
}
