import { AsyncLocalStorage } from 'node:async_hooks';
import type { Bus, BusAnswer, BusMessage, BusReply, FailureLog, Headers, RequestOptions, Subscription } from './bus.js';
import {
  absentFault,
  answerOf,
  checkEnvelope,
  lateFault,
  lostFault,
  MESSAGE_LIMIT_BYTES,
  openReply,
  requestHeadersOf,
} from './envelope.js';
import { checkPattern, checkSubject, isMatch, isWild } from './subject.js';

/** One listener, as the exchange sees it. */
interface Taker {
  readonly pattern: string;
  readonly queue: string | undefined;
  take(message: BusMessage, reply: ((reply: BusReply) => void) | undefined): void;
}

/**
 * The bus inside one process, for the role that runs everything. It behaves as NATS does: bytes are copied, delivery is
 * asynchronous and in order, sizes are limited, so that nothing works here that would fail between machines.
 * Each service gets its own connection and may drain it alone.
 */
export class LocalExchange {
  readonly #exact = new Map<string, Set<Taker>>();
  readonly #wild = new Set<Taker>();
  readonly #turns = new Map<string, number>();
  // Nothing of a caller reaches a handler but its message: without this, a batch would run in the async context, and so in the
  // trace, of whoever filled it first.
  readonly #outside = AsyncLocalStorage.snapshot();
  #pending: (() => void)[] = [];

  /** A connection. The log gets what event handlers throw, and what request handlers throw that is no Fault. */
  connect(log: FailureLog): Bus {
    return new LocalBus(this, log);
  }

  add(taker: Taker): void {
    if (isWild(taker.pattern)) this.#wild.add(taker);
    else this.#exact.set(taker.pattern, (this.#exact.get(taker.pattern) ?? new Set<Taker>()).add(taker));
  }

  remove(taker: Taker): void {
    this.#wild.delete(taker);
    const same = this.#exact.get(taker.pattern);
    same?.delete(taker);
    if (same?.size === 0) this.#exact.delete(taker.pattern);
  }

  /** Hands copies to all takers and to one member of each queue. Gives how many. */
  send(message: BusMessage, reply?: (reply: BusReply) => void): number {
    const takers = this.#takersOf(message.subject);
    for (const taker of takers) {
      const copy = { ...message, payload: message.payload.slice(), headers: new Map(message.headers) };
      this.enqueue(() => taker.take(copy, reply));
    }
    return takers.length;
  }

  /** Runs after all that was enqueued before. A macrotask between batches: services that call each other must not starve I/O. */
  enqueue(delivery: () => void): void {
    this.#pending.push(delivery);
    if (this.#pending.length > 1) return;
    setImmediate(() => {
      const batch = this.#pending;
      this.#pending = [];
      this.#outside(() => {
        for (const deliver of batch) deliver();
      });
    });
  }

  #takersOf(subject: string): readonly Taker[] {
    const matching = [
      ...(this.#exact.get(subject) ?? []),
      ...[...this.#wild].filter((taker) => isMatch(taker.pattern, subject)),
    ];
    const queues = Map.groupBy(
      matching.filter((taker) => taker.queue !== undefined),
      (taker) => taker.queue,
    );
    const chosen = [...queues].flatMap(([queue, members]) => this.#nextOf(`${queue}`, members));
    return [...matching.filter((taker) => taker.queue === undefined), ...chosen];
  }

  #nextOf(queue: string, members: readonly Taker[]): readonly Taker[] {
    const turn = this.#turns.get(queue) ?? 0;
    this.#turns.set(queue, (turn + 1) % Number.MAX_SAFE_INTEGER);
    return members.slice(turn % members.length).slice(0, 1);
  }
}

class LocalBus implements Bus {
  readonly #exchange: LocalExchange;
  readonly #log: FailureLog;
  readonly #subscriptions = new Set<Subscription>();
  #isTaking = true;
  #isOpen = true;

  constructor(exchange: LocalExchange, log: FailureLog) {
    this.#exchange = exchange;
    this.#log = log;
  }

  get connected(): boolean {
    return this.#isOpen;
  }

  async request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusReply> {
    if (!this.#isOpen) throw lostFault();
    checkSubject(subject);
    const headers = requestHeadersOf(subject, options);
    checkEnvelope(subject, payload, headers, MESSAGE_LIMIT_BYTES);
    const reply = await new Promise<BusReply>((resolve, reject) => {
      const timer = setTimeout(() => reject(lateFault(subject, options.timeoutMs)), options.timeoutMs);
      const takers = this.#exchange.send({ subject, payload, headers }, (answer) => {
        clearTimeout(timer);
        resolve({ payload: answer.payload.slice(), headers: new Map(answer.headers) });
      });
      if (takers > 0) return;
      clearTimeout(timer);
      reject(absentFault(subject));
    });
    return openReply(reply);
  }

  async serve(
    subject: string,
    queue: string,
    handler: (message: BusMessage) => Promise<BusAnswer>,
  ): Promise<Subscription> {
    checkPattern(subject);
    const running = new Set<Promise<void>>();
    const taker: Taker = {
      pattern: subject,
      queue,
      take: (message, reply) => {
        const handled = answerOf(message, handler, this.#log, MESSAGE_LIMIT_BYTES).then((answer) => {
          running.delete(handled);
          // The exchange carries the reply too: it comes after the events that the handler published.
          this.#exchange.enqueue(() => reply?.(answer));
        });
        running.add(handled);
      },
    };
    return this.#add(taker, running);
  }

  publish(subject: string, payload: Uint8Array, headers: Headers = new Map()): void {
    if (!this.#isOpen) throw lostFault();
    checkSubject(subject);
    checkEnvelope(subject, payload, headers, MESSAGE_LIMIT_BYTES);
    this.#exchange.send({ subject, payload, headers });
  }

  async subscribe(
    pattern: string,
    handler: (message: BusMessage) => void,
    options: { readonly queue?: string } = {},
  ): Promise<Subscription> {
    checkPattern(pattern);
    const take = (message: BusMessage) => {
      try {
        handler(message);
      } catch (error) {
        this.#log.error({ err: error, subject: message.subject }, 'an event handler failed');
      }
    };
    return this.#add({ pattern, queue: options.queue, take }, new Set());
  }

  async flush(): Promise<void> {
    if (!this.#isOpen) throw lostFault();
    await this.#settled();
  }

  onReconnect(): void {
    // Within one process the connection cannot be lost, so there is nothing to come back from.
  }

  async check(): Promise<void> {
    if (!this.#isOpen) throw lostFault();
  }

  async drain(): Promise<void> {
    this.#isTaking = false;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    await this.#settled();
    this.#isOpen = false;
  }

  #add(taker: Taker, running: ReadonlySet<Promise<void>>): Subscription {
    if (!this.#isTaking) throw lostFault();
    this.#exchange.add(taker);
    const subscription = {
      close: async () => {
        this.#exchange.remove(taker);
        this.#subscriptions.delete(subscription);
        await this.#settled();
        await Promise.all(running);
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  #settled(): Promise<void> {
    return new Promise((resolve) => this.#exchange.enqueue(resolve));
  }
}
