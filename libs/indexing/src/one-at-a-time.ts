/** Runs what is done under one key one after the other, in the order of asking, and different keys at once. */
export class OneAtATime {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Gives what `work` gives, after all that was asked for under the key before has ended, well or not. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const mine = before.then(work);
    const ended = mine.catch(() => undefined);
    this.#last.set(key, ended);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key);
    }
  }
}
