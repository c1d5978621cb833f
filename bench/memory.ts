import { setTimeout as sleep } from 'node:timers/promises';
import { postgresBytesOf, residentBytesOf } from './processes.js';
import type { Report } from './report.js';
import { shown } from './table.js';

interface Reading {
  readonly when: string;
  readonly nodeBytes: number;
  readonly postgresBytes: number;
}

const SAMPLE_MS = 100;
const MIB = 2 ** 20;

/** The memory of the product at moments of the run. */
export class MemoryLog {
  readonly #pid: () => number;
  readonly #dataDir: string;
  readonly #readings: Reading[] = [];

  constructor(pid: () => number, dataDir: string) {
    this.#pid = pid;
    this.#dataDir = dataDir;
  }

  /** Reads now, after a while of rest. */
  async note(when: string, restMs = 0): Promise<void> {
    await sleep(restMs);
    this.#readings.push({ when, nodeBytes: residentBytesOf(this.#pid()), ...this.#postgres() });
  }

  /** The greatest RSS of the node process while something runs; PostgreSQL is read at its end. */
  async during<T>(when: string, run: () => Promise<T>): Promise<{ readonly result: T; readonly peakBytes: number }> {
    let peakBytes = residentBytesOf(this.#pid());
    const timer = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentBytesOf(this.#pid()));
    }, SAMPLE_MS);
    try {
      const result = await run();
      this.#readings.push({ when: `peak, ${when}`, nodeBytes: peakBytes, ...this.#postgres() });
      return { result, peakBytes };
    } finally {
      clearInterval(timer);
    }
  }

  report(): Report {
    return {
      title: 'Memory of the one-process product',
      columns: ['when', 'node RSS, MiB', 'PostgreSQL PSS, MiB'],
      rows: this.#readings.map(({ when, nodeBytes, postgresBytes }) => [
        when,
        shown(nodeBytes / MIB),
        shown(postgresBytes / MIB),
      ]),
      notes: [`Peaks are the greatest of samples ${SAMPLE_MS} ms apart. PSS counts a page that processes share once.`],
      figures: this.#readings,
    };
  }

  #postgres(): { readonly postgresBytes: number } {
    return { postgresBytes: postgresBytesOf(this.#dataDir) };
  }
}
