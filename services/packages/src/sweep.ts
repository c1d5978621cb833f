import { Chore } from '@vivarium/db/chore';
import { sweepBlobs } from './sweep-blobs.js';
import type { SweepOptions, SweepPorts, Swept } from './sweep-options.js';
import { sweepRemoved } from './sweep-removed.js';
import { sweepStages } from './sweep-stages.js';
import { sweepStrays } from './sweep-strays.js';

const EVERY_MS = 10 * 60 * 1000;
const LISTING_EVERY_MS = 24 * 60 * 60 * 1000;
const GRACE_MS = 60 * 60 * 1000;

/** Removes what nothing needs any more, in this order: rows let go of blobs, blobs of their objects. */
export async function sweep(ports: SweepPorts, options: SweepOptions): Promise<readonly Swept[]> {
  const swept = [
    await sweepStages(ports, options),
    ...(await sweepRemoved(ports, options)),
    ...(await sweepBlobs(ports, options)),
    ...(options.listing ? await sweepStrays(ports, options) : []),
  ];
  return swept.filter(({ count }) => count > 0);
}

/** Sweeps every ten minutes, and once a day through the whole store. */
export class Sweep {
  readonly #ports: SweepPorts;
  readonly #chore: Chore<readonly Swept[]>;
  #listedMs = Number.NEGATIVE_INFINITY;

  constructor(ports: SweepPorts) {
    this.#ports = ports;
    const work = (signal: AbortSignal) => this.#turn(signal);
    this.#chore = new Chore({ ...ports, name: 'sweep', everyMs: EVERY_MS, work });
  }

  start(): void {
    this.#chore.start();
  }

  stop(): Promise<void> {
    return this.#chore.stop();
  }

  /** By hand. Throws Fault('conflict') while another one runs. */
  run(asked: { readonly dryRun: boolean; readonly graceMs: number | undefined }): Promise<readonly Swept[]> {
    const { dryRun, graceMs = this.#graceMs } = asked;
    return this.#chore.run((signal) => sweep(this.#ports, { dryRun, graceMs, listing: true, signal }));
  }

  async #turn(signal: AbortSignal): Promise<readonly Swept[]> {
    const listing = performance.now() - this.#listedMs >= LISTING_EVERY_MS;
    const swept = await sweep(this.#ports, { dryRun: false, graceMs: this.#graceMs, listing, signal });
    if (listing) this.#listedMs = performance.now();
    return swept;
  }

  get #graceMs(): number {
    return this.#ports.config?.sweepGraceMs ?? GRACE_MS;
  }
}
