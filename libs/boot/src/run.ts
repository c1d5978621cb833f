import { faultOf, isFault } from '@vivarium/fault/fault';
import type { Log } from './log.js';

type Stop = () => Promise<unknown> | unknown;

/** What a process holds open, closed in reverse order with one deadline for all of it. */
export class Running {
  readonly #stops: { readonly name: string; readonly stop: Stop }[] = [];
  #stopping: Promise<void> | undefined;

  /** Remembers how to close something that was just opened. */
  opened(name: string, stop: Stop): void {
    this.#stops.push({ name, stop });
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Closes everything, the last opened first. A step that fails or hangs does not keep the others from closing. */
  stop(log: Log, deadlineMs: number): Promise<void> {
    this.#stopping ??= this.#stopAll(log, performance.now() + deadlineMs);
    return this.#stopping;
  }

  async #stopAll(log: Log, deadline: number): Promise<void> {
    for (const { name, stop } of this.#stops.reverse()) {
      try {
        await within(Math.max(50, deadline - performance.now()), stop);
      } catch (error) {
        log.warn({ error }, `${name} did not stop in good order`);
      }
    }
  }
}

/** The exit code and the line for a person, when a program cannot start or a command fails. */
export function failureOf(error: unknown): { readonly line: string; readonly code: number } {
  if (isFault(error)) return { line: error.message, code: 1 };
  const cause = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { line: `${faultOf(error).message}\n${cause}`, code: 1 };
}

/** Runs until the first SIGINT or SIGTERM; a second one ends the process at once. */
export function untilSignalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const first = (signal: NodeJS.Signals): void => {
      for (const each of ['SIGINT', 'SIGTERM'] as const) {
        process.off(each, first);
        process.on(each, () => process.exit(130));
      }
      resolve(signal);
    };
    process.on('SIGINT', first);
    process.on('SIGTERM', first);
  });
}

async function within(limitMs: number, run: Stop): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${Math.round(limitMs)} ms`)), limitMs);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}
