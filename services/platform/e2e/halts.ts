import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StepName } from '@vivarium/boot/step';

const REACHED_WITHIN_MS = 60_000;

/** Makes processes stand still at a step, while they run: those that were started with `env`. */
export class Halts {
  readonly #folder = mkdtempSync(join(tmpdir(), 'vivarium-halts-'));

  get env(): Readonly<Record<string, string>> {
    return { VIVARIUM_HALT_AT: this.#path('at') };
  }

  /** Whoever comes to this step from now on stands still there. Who stood at another goes on. */
  at(step: StepName): void {
    this.#write(`${step}\n`);
  }

  /** Nobody stands still any more. */
  nowhere(): void {
    this.#write('');
  }

  /** Removes what it made. */
  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  // Whole or not at all: a process that read half of it would go on.
  #write(text: string): void {
    writeFileSync(this.#path('next'), text);
    renameSync(this.#path('next'), this.#path('at'));
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }
}

/** How often somebody stood still at a step, by what the processes said. */
export function haltsIn(said: string, step: StepName): number {
  return said.split(`halted at ${step}\n`).length - 1;
}

/** Resolves when `count` gives at least that many. Throws an Error after a minute. */
export async function untilHalted(what: string, atLeast: number, count: () => number): Promise<void> {
  const end = performance.now() + REACHED_WITHIN_MS;
  while (count() < atLeast) {
    if (performance.now() > end) throw new Error(`only ${count()} of ${atLeast} stand still at ${what}`);
    await sleep(10);
  }
}
