import { setTimeout as sleep } from 'node:timers/promises';
import type { Product } from '@vivarium/testkit/product';
import { condaFormats, simpleFormats } from './formats.js';

interface Read {
  readonly format: string;
  readonly names: readonly string[];
}

/**
 * Reads every format of a channel in which files are only added, one after the other and over and over. Whoever reads an
 * index of one moment after another then never misses a name that was there before: neither in the same format nor in the
 * next one. So formats are of one generation, and none goes back.
 */
export class GrowingReader {
  readonly #product: Product;
  readonly #channel: string;
  readonly #kind: 'conda' | 'pypi';
  readonly #losses: string[] = [];
  readonly #loop: Promise<void>;
  #last: Read | undefined;
  #isStopped = false;
  /** Times that all formats were read. */
  rounds = 0;

  constructor(product: Product, channel: string, kind: 'conda' | 'pypi') {
    this.#product = product;
    this.#channel = channel;
    this.#kind = kind;
    this.#loop = this.#read();
  }

  /** Resolves after that many more rounds. */
  async untilRead(rounds: number): Promise<void> {
    const enough = this.rounds + rounds;
    while (this.rounds < enough && !this.#isStopped) await sleep(20);
  }

  /** A sentence for each name that was there and then was not, and for each answer that was no answer. */
  async stop(): Promise<readonly string[]> {
    this.#isStopped = true;
    await this.#loop;
    return this.#losses;
  }

  async #read(): Promise<void> {
    while (!this.#isStopped) {
      try {
        for (const read of await this.#formats()) this.#compare(read);
        this.rounds += 1;
      } catch (error) {
        // A client asks again after 503: the gateway guesses nothing while a service does not answer.
        if (!/ answered 503:/.test(String(error))) this.#losses.push(String(error));
      }
      await sleep(10);
    }
  }

  // In the order in which they were asked for.
  async #formats(): Promise<readonly Read[]> {
    const from = { product: this.#product, channel: this.#channel };
    if (this.#kind === 'conda') {
      return Object.entries(await condaFormats(from)).map(([format, names]) => ({ format, names }));
    }
    const formats = await simpleFormats(from);
    return Object.entries(formats).map(([format, names]) => ({ format, names: names.map(projectOf) }));
  }

  #compare(read: Read): void {
    const gone = this.#last?.names.filter((name) => !read.names.includes(name)) ?? [];
    if (gone.length > 0)
      this.#losses.push(`${gone.join(', ')} in ${this.#last?.format} and then not in ${read.format}`);
    this.#last = read;
  }
}

/** The project of a wheel, or of its own name. */
function projectOf(name: string): string {
  return (name.split('-1.0-')[0] ?? name).replaceAll('_', '-');
}
