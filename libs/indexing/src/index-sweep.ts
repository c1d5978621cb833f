import { Chore } from '@vivarium/db/chore';
import { type ObjectSweepOptions, type SweepOptions, type Swept, sweepObjects } from './object-sweep.js';

export interface IndexSweepOptions extends ObjectSweepOptions {
  /** How long objects stay that no row names any more; an hour unless given. */
  readonly graceMs?: number | undefined;
  /** Removes rows that are kept for a time only: what they named is found afterwards. */
  readonly sweepRows: (options: { readonly dryRun: boolean }) => Promise<readonly Swept[]>;
}

const EVERY_MS = 10 * 60 * 1000;
const LISTING_EVERY_MS = 24 * 60 * 60 * 1000;
const GRACE_MS = 60 * 60 * 1000;
const ALL = ['heads', 'index'] as const;

/**
 * The sweep of an indexer, by one replica at a time: every ten minutes through the manifests, which are few and large, since
 * each change of a directory makes another one; once a day through all objects.
 */
export class IndexSweep {
  readonly #options: IndexSweepOptions;
  readonly #chore: Chore<readonly Swept[]>;
  #listedMs = Number.NEGATIVE_INFINITY;

  constructor(options: IndexSweepOptions) {
    this.#options = options;
    const work = (signal: AbortSignal) => this.#turn(signal);
    this.#chore = new Chore({ ...options, name: 'sweep', everyMs: EVERY_MS, work });
  }

  start(): void {
    this.#chore.start();
  }

  stop(): Promise<void> {
    return this.#chore.stop();
  }

  /** By hand. Throws Fault('conflict') while another one runs. */
  run(asked: { readonly dryRun: boolean; readonly graceMs?: number | undefined }): Promise<readonly Swept[]> {
    const { dryRun, graceMs = this.#graceMs } = asked;
    return this.#chore.run((signal) => this.#sweep({ dryRun, graceMs, listing: ALL, signal }));
  }

  async #turn(signal: AbortSignal): Promise<readonly Swept[]> {
    const isFull = performance.now() - this.#listedMs >= LISTING_EVERY_MS;
    const listing = isFull ? ALL : (['heads'] as const);
    const swept = await this.#sweep({ dryRun: false, graceMs: this.#graceMs, listing, signal });
    if (isFull) this.#listedMs = performance.now();
    return swept;
  }

  async #sweep(asked: SweepOptions): Promise<readonly Swept[]> {
    const rows = await this.#options.sweepRows(asked);
    return [...rows, ...(await sweepObjects(this.#options, asked))].filter(({ count }) => count > 0);
  }

  get #graceMs(): number {
    return this.#options.graceMs ?? GRACE_MS;
  }
}
