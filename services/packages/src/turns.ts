import { Fault } from '@vivarium/fault/fault';

/**
 * Who may use one of a few places next. Whoever uses all but one waits for one of its own, and those who wait take turns, so
 * that nobody's hundred archives stand before somebody else's first.
 */
export class Turns {
  readonly #places: number;
  readonly #maxWaiting: number;
  readonly #using = new Map<string, number>();
  /** In the order of whose turn it is. */
  readonly #waiting = new Map<string, (() => void)[]>();

  /** `maxWaiting` is how often one may wait at the same time. */
  constructor({ places, maxWaiting }: { readonly places: number; readonly maxWaiting: number }) {
    this.#places = places;
    this.#maxWaiting = maxWaiting;
  }

  /** Resolves when there is a place for this one. Throws Fault('unavailable') if it waits too often already. */
  async take(who: string): Promise<void> {
    if (this.#mayUse(who) && !this.#waiting.has(who)) {
      this.#count(who, 1);
      return;
    }
    const queue = this.#waiting.get(who) ?? [];
    if (queue.length >= this.#maxWaiting) {
      throw new Fault('unavailable', 'Too many uploads at once: repeat the upload in a minute.');
    }
    this.#waiting.set(who, queue);
    await new Promise<void>((resolve) => queue.push(resolve));
  }

  /** Gives the place back that `take` gave. */
  pass(who: string): void {
    this.#count(who, -1);
    for (const [next, queue] of this.#waiting) {
      if (!this.#mayUse(next)) continue;
      const enter = queue.shift();
      // Behind all others again.
      this.#waiting.delete(next);
      if (queue.length > 0) this.#waiting.set(next, queue);
      this.#count(next, 1);
      enter?.();
      return;
    }
  }

  #mayUse(who: string): boolean {
    const used = [...this.#using.values()].reduce((sum, each) => sum + each, 0);
    return used < this.#places && (this.#using.get(who) ?? 0) < Math.max(1, this.#places - 1);
  }

  #count(who: string, change: number): void {
    const now = (this.#using.get(who) ?? 0) + change;
    if (now === 0) this.#using.delete(who);
    else this.#using.set(who, now);
  }
}
