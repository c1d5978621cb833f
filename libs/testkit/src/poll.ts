import { setTimeout as sleep } from 'node:timers/promises';

/** Something that is asked for again and again. */
export interface Probe {
  readonly name: string;
  readonly ask: () => Promise<Look>;
}

export interface Look {
  /** 0: no answer. */
  readonly status: number;
  /** The answer gave what the probe looks for. */
  readonly isServed: boolean;
  /** When the head of the answer was there, in monotonic milliseconds. */
  readonly headMs: number;
}

export interface Sample extends Look {
  readonly probe: string;
  /** When it was asked for, and when the answer had ended. */
  readonly beganMs: number;
  readonly endedMs: number;
}

const PAUSE_MS = 5;

/** Asks for each probe, one request after the other, until it is stopped. */
export class Poll {
  readonly samples: Sample[] = [];
  readonly #loops: Promise<unknown>;
  #isStopped = false;

  constructor(probes: readonly Probe[]) {
    this.#loops = Promise.all(probes.map((probe) => this.#ask(probe)));
  }

  /** Ends the poll, and gives everything that was answered. */
  async stop(): Promise<readonly Sample[]> {
    this.#isStopped = true;
    await this.#loops;
    return this.samples;
  }

  /** When the last answer that served was received; undefined if there was none. */
  get lastServedMs(): number | undefined {
    return this.samples.findLast(({ isServed }) => isServed)?.endedMs;
  }

  async #ask({ name, ask }: Probe): Promise<void> {
    while (!this.#isStopped) {
      const beganMs = performance.now();
      const look = await ask().catch(() => ({ status: 0, isServed: false, headMs: performance.now() }));
      this.samples.push({ ...look, probe: name, beganMs, endedMs: performance.now() });
      await sleep(PAUSE_MS);
    }
  }
}
