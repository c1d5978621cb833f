/** Choices that are the same again for the same seed. */
export class Choice {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, and without, the limit. */
  below(limit: number): number {
    // Mulberry32, which is good enough for choices.
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  one<T>(of: readonly T[]): T {
    const chosen = of[this.below(of.length)];
    if (chosen === undefined) throw new Error('there is nothing to choose from');
    return chosen;
  }

  shuffled<T>(of: readonly T[]): readonly T[] {
    const keyed = of.map((each) => ({ each, key: this.below(2 ** 31) }));
    return keyed.sort((a, b) => a.key - b.key).map(({ each }) => each);
  }
}

/** The seed that VIVARIUM_SEED names, else another one each time. */
export function seedOfRun(): number {
  const given = process.env.VIVARIUM_SEED;
  return given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
}
