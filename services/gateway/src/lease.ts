import {
  AcknowledgementSchema,
  type Invalidation,
  InvalidationSchema,
  type LeaseResponse,
} from '@vivarium/contracts/gen/vivarium/common/v1/invalidations_pb';
import type { FactVersion } from '@vivarium/invalidation/invalidations';
import { acknowledgementSubject, invalidationSubject } from '@vivarium/invalidation/invalidations';
import type { Bus, Subscription } from '@vivarium/rpc/bus';
import { publishEvent, subscribeEvent } from '@vivarium/rpc/events';

export interface LeaseOptions {
  readonly service: string;
  /** A name that this process made for itself at random. */
  readonly holder: string;
  readonly bus: Bus;
  /** Asks the service. */
  readonly ask: (held: { holder: string; epoch: string; seq: bigint }) => Promise<LeaseResponse>;
  readonly forget: (facts: readonly FactVersion[]) => void;
  readonly forgetAll: () => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly log: (line: string) => void;
}

const RENEW_MS = 1_000;
const RETRY_MS = 250;
// News that the answer speaks of is already on its way when the answer arrives. What has not come by then is lost.
const CATCH_UP_MS = 500;

/**
 * The right to answer from memory what one service said: held for the time of the lease, counted from the moment of asking
 * on this process's own clock, and only while all news up to the answer has been taken in. A gap, a new epoch or a
 * reconnect forgets everything.
 */
export class Lease {
  readonly #options: LeaseOptions;
  #epoch = '';
  #seq = 0;
  /** What must be known before the lease counts. */
  #wanted = 0;
  #untilMs = Number.NEGATIVE_INFINITY;
  /** Grows when the lease is lost: an answer to an earlier question brings it back no more. */
  #losses = 0;
  #subscription: Subscription | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #wasHeld = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Subscribes, makes sure that the bus knows, then asks: in this order nothing can be missed. */
  async start(): Promise<void> {
    const { bus, service } = this.#options;
    this.#subscription = await subscribeEvent(bus, InvalidationSchema, invalidationSubject(service), (news) =>
      this.#take(news),
    );
    await bus.flush();
    bus.onReconnect(() => {
      this.#lose();
      this.#options.forgetAll();
    });
    await this.#renew();
  }

  /** Gives the lease up: call it when nothing is answered any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#untilMs = Number.NEGATIVE_INFINITY;
    await this.#subscription?.close();
    // Whoever answers nothing remembers nothing of whatever is to come: so nobody waits until the lease has run out.
    if (this.#epoch !== '') this.#acknowledge(Number.MAX_SAFE_INTEGER);
  }

  isHeld(): boolean {
    return this.#seq >= this.#wanted && this.#options.nowMs() < this.#untilMs;
  }

  #take(news: Invalidation): void {
    const seq = Number(news.seq);
    if (news.epoch === this.#epoch && seq <= this.#seq) {
      this.#acknowledge();
      return;
    }
    if (news.epoch !== this.#epoch || seq !== this.#seq + 1) {
      // What was between is lost, so everything may be old. From here on it is complete again.
      this.#options.forgetAll();
      // Of what was promised under the other epoch nothing holds: its service may not know this holder any more.
      if (news.epoch !== this.#epoch) this.#lose();
    }
    this.#options.forget(news.facts.map(({ tag, version }) => ({ tag, version: Number(version) })));
    this.#epoch = news.epoch;
    this.#seq = seq;
    this.#acknowledge();
  }

  #acknowledge(seq = this.#seq): void {
    const { bus, service, holder } = this.#options;
    const init = { holder, epoch: this.#epoch, seq: BigInt(seq) };
    publishEvent(bus, AcknowledgementSchema, acknowledgementSubject(service), init);
  }

  async #renew(): Promise<void> {
    const { ask, holder, nowMs, service, log } = this.#options;
    const [askedMs, losses] = [nowMs(), this.#losses];
    try {
      const answer = await ask({ holder, epoch: this.#epoch, seq: BigInt(this.#seq) });
      if (losses !== this.#losses || this.#stopped) return;
      const wanted = Number(answer.seq);
      if (answer.epoch !== this.#epoch) this.#jump(answer.epoch, wanted);
      this.#wanted = wanted;
      this.#untilMs = askedMs + Number(answer.leaseMs);
      if (this.#seq < wanted) setTimeout(() => this.#giveUpOn(answer.epoch, wanted), CATCH_UP_MS).unref();
      if (!this.#wasHeld) log(`${service}: answering from memory`);
      this.#wasHeld = true;
      this.#schedule(RENEW_MS);
    } catch (error) {
      if (losses !== this.#losses) return;
      if (this.#wasHeld && !this.isHeld()) {
        log(`${service} does not answer (${error instanceof Error ? error.message : 'unknown error'})`);
        this.#wasHeld = false;
      }
      this.#schedule(RETRY_MS);
    }
  }

  /** Ends the lease, and asks for another one at once. */
  #lose(): void {
    this.#losses++;
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#wanted = 0;
    this.#schedule(0);
  }

  #giveUpOn(epoch: string, wanted: number): void {
    if (epoch === this.#epoch && this.#seq < wanted) this.#jump(epoch, wanted);
  }

  #jump(epoch: string, seq: number): void {
    this.#options.forgetAll();
    this.#epoch = epoch;
    this.#seq = seq;
    this.#acknowledge();
  }

  #schedule(afterMs: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#renew(), afterMs);
    this.#timer.unref();
  }
}
