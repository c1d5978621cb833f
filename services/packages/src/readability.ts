import { Heads as CondaHeads } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { ChannelReadableSchema } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Heads as PypiHeads } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import type { Subscription } from '@vivarium/rpc/bus';
import { subscribeEvent } from '@vivarium/rpc/events';
import { clientOf } from '@vivarium/rpc/rpc';
import type { PackagesPorts } from './ports.js';

export type IndexedKind = 'conda' | 'pypi';

const REMEMBERED = 20_000;
// The news of an indexer may be lost, or was said before this process began: then it is asked.
const ASK_MS = 1_000;

/** Up to which generation the indexes of each channel can be read everywhere, as the indexers say. */
export class Readability {
  readonly #ports: Pick<PackagesPorts, 'bus' | 'trust'>;
  // In the order of last news, so that the oldest is forgotten first.
  readonly #generations = new Map<string, number>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #subscription: Subscription | undefined;

  constructor(ports: Pick<PackagesPorts, 'bus' | 'trust'>) {
    this.#ports = ports;
  }

  /** Listens from before the first change is committed, so that no news of one can be missed. */
  async start(): Promise<void> {
    this.#subscription = await subscribeEvent(this.#ports.bus, ChannelReadableSchema, 'readable.>', (news) =>
      this.#learn(`${news.channelId} ${news.kind}`, Number(news.generation)),
    );
  }

  async stop(): Promise<void> {
    await this.#subscription?.close();
  }

  /** What is known of a channel; 0 if nothing is. */
  generationOf(channelId: string, kind: IndexedKind): number {
    return this.#generations.get(`${channelId} ${kind}`) ?? 0;
  }

  /** True once the indexes can be read at the generation; false if `timeoutMs` pass before. */
  async wait(channelId: string, kind: IndexedKind, generation: number, timeoutMs: number): Promise<boolean> {
    const end = performance.now() + timeoutMs;
    const key = `${channelId} ${kind}`;
    for (;;) {
      const askAt = Math.min(end, performance.now() + ASK_MS);
      while (this.generationOf(channelId, kind) < generation && performance.now() < askAt) {
        await this.#news(key, askAt - performance.now());
      }
      if (this.generationOf(channelId, kind) >= generation) return true;
      if (performance.now() >= end) return false;
      this.#learn(key, await this.#ask(channelId, kind, end - performance.now()));
    }
  }

  async #ask(channelId: string, kind: IndexedKind, timeoutMs: number): Promise<number> {
    const { bus, trust } = this.#ports;
    try {
      if (kind === 'conda') {
        const assertion = await trust.assertionFor('conda-index');
        const heads = clientOf(CondaHeads, bus, { assertion, timeoutMs });
        return Number((await heads.find({ channelId, label: 'main', subdir: 'noarch', everywhere: true })).generation);
      }
      const assertion = await trust.assertionFor('pypi-index');
      const heads = clientOf(PypiHeads, bus, { assertion, timeoutMs });
      return Number((await heads.find({ channelId, label: 'main', everywhere: true })).generation);
    } catch {
      // An indexer that does not answer has nothing readable to tell; the wait goes on and ends in time.
      return 0;
    }
  }

  #learn(key: string, generation: number): void {
    // News overtake each other; what could be read stays readable.
    const known = Math.max(generation, this.#generations.get(key) ?? 0);
    this.#generations.delete(key);
    this.#generations.set(key, known);
    const [oldest] = this.#generations.keys();
    if (this.#generations.size > REMEMBERED && oldest !== undefined) this.#generations.delete(oldest);
    for (const each of [...(this.#waiting.get(key) ?? [])]) each();
  }

  #news(key: string, withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting);
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        if (waiting.size === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, Math.ceil(withinMs)));
      waiting.add(done);
    });
  }
}
