import { setTimeout as pause } from 'node:timers/promises';
import type { Msg, MsgHdrs, NatsConnection, Subscription as NatsSubscription } from '@nats-io/transport-node';
import { connect, errors, headers as newHeaders } from '@nats-io/transport-node';
import { Fault } from '@vivarium/fault/fault';
import type { Bus, BusAnswer, BusMessage, BusReply, FailureLog, Headers, RequestOptions, Subscription } from './bus.js';
import { absentFault, answerOf, checkEnvelope, lateFault, lostFault, openReply, requestHeadersOf } from './envelope.js';
import { natsAddressOf } from './nats-address.js';
import { checkPattern, checkSubject } from './subject.js';

export interface NatsOptions {
  /** `nats://user:password@host:4222`, several separated by commas; `tls://` for TLS. */
  readonly url: string;
  /** The name of the connection, and the part of `_INBOX.<service>.>` that its replies come to. */
  readonly service: string;
  readonly log: FailureLog;
  /** How long the first connection is tried. Afterwards it is tried for ever. */
  readonly startTimeoutMs?: number;
}

/**
 * The bus on NATS. Waits for the server up to `startTimeoutMs` (30 s).
 * Throws Fault('unavailable') if it does not come, Fault('invalid') if the URL or the credentials are refused, or if the server
 * takes anyone although it is not on this machine.
 */
export async function openNatsBus(options: NatsOptions): Promise<Bus> {
  const address = natsAddressOf(options.url);
  const connection = await connectWithin(options, address);
  if (!connection.info?.auth_required && !address.isLoopback) {
    await connection.close();
    // Whoever reaches such a server could answer in the name of any service.
    throw new Fault(
      'invalid',
      'The NATS server takes connections without a password. Configure its users, then start again.',
    );
  }
  return new NatsBus(connection, options.log);
}

async function connectWithin(options: NatsOptions, address: ReturnType<typeof natsAddressOf>): Promise<NatsConnection> {
  const giveUpAt = performance.now() + (options.startTimeoutMs ?? 30_000);
  for (;;) {
    try {
      return await connect({
        servers: [...address.servers],
        ...(address.user === undefined ? {} : { user: address.user, pass: address.password ?? '' }),
        ...(address.isTls ? { tls: {} } : {}),
        name: options.service,
        inboxPrefix: `_INBOX.${options.service}`,
        timeout: 5_000,
        maxReconnectAttempts: -1,
        // Jitter, because all replicas lose a restarted server at the same moment.
        reconnectTimeWait: 200,
        reconnectJitter: 300,
        pingInterval: 10_000,
        // A server that rotates its passwords refuses for a moment: go on trying, readiness tells meanwhile.
        ignoreAuthErrorAbort: true,
        noAsyncTraces: true,
      });
    } catch (error) {
      if (error instanceof errors.AuthorizationError) {
        throw new Fault('invalid', `NATS refuses the user "${address.user ?? ''}". Correct NATS_URL.`, {
          cause: error,
        });
      }
      if (performance.now() > giveUpAt) {
        throw new Fault('unavailable', `No NATS server answers at ${address.servers.join(', ')}.`, { cause: error });
      }
      await pause(100 + Math.random() * 200);
    }
  }
}

class NatsBus implements Bus {
  readonly #connection: NatsConnection;
  readonly #log: FailureLog;
  readonly #subscriptions = new Set<Subscription>();
  readonly #waiting = new Set<(fault: Fault) => void>();
  readonly #listeners: (() => void)[] = [];
  #connected = true;
  #isTaking = true;
  #drained: Promise<void> | undefined;

  constructor(connection: NatsConnection, log: FailureLog) {
    this.#connection = connection;
    this.#log = log;
    void this.#watch();
  }

  get connected(): boolean {
    return this.#connected;
  }

  async request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusReply> {
    // A request kept for the next connection would arrive after its caller has gone.
    if (!this.#connected) throw lostFault();
    checkSubject(subject);
    const headers = requestHeadersOf(subject, options);
    checkEnvelope(subject, payload, headers, this.#limitBytes());
    const reply = await new Promise<Msg>((resolve, reject) => {
      this.#waiting.add(reject);
      this.#connection
        .request(subject, payload.slice(), { timeout: options.timeoutMs, headers: natsHeadersOf(headers) })
        .then(resolve, (error: unknown) => reject(requestFaultOf(error, subject, options.timeoutMs)))
        .finally(() => this.#waiting.delete(reject));
    });
    return openReply({ payload: reply.data, headers: headersOf(reply.headers) });
  }

  async serve(
    subject: string,
    queue: string,
    handler: (message: BusMessage) => Promise<BusAnswer>,
  ): Promise<Subscription> {
    checkPattern(subject);
    const running = new Set<Promise<void>>();
    const take = (message: Msg) => {
      const handled = answerOf(messageOf(message), handler, this.#log, this.#limitBytes()).then((answer) => {
        running.delete(handled);
        this.#respond(message, answer);
      });
      running.add(handled);
    };
    return this.#listen(subject, queue, take, running);
  }

  publish(subject: string, payload: Uint8Array, headers: Headers = new Map()): void {
    checkSubject(subject);
    checkEnvelope(subject, payload, headers, this.#limitBytes());
    if (this.#drained || this.#connection.isClosed()) throw lostFault();
    // Not kept for the next connection: what is published during an outage is lost, as promised, and not half of it.
    if (!this.#connected) return;
    // The client keeps the array until the end of this turn, and its owner may write on.
    this.#connection.publish(subject, payload.slice(), { headers: natsHeadersOf(headers) });
  }

  async subscribe(
    pattern: string,
    handler: (message: BusMessage) => void,
    options: { readonly queue?: string } = {},
  ): Promise<Subscription> {
    checkPattern(pattern);
    const take = (message: Msg) => {
      try {
        handler(messageOf(message));
      } catch (error) {
        this.#log.error({ err: error, subject: message.subject }, 'an event handler failed');
      }
    };
    return this.#listen(pattern, options.queue, take, new Set());
  }

  async flush(): Promise<void> {
    try {
      await this.#connection.flush();
    } catch (error) {
      throw lostFault(error);
    }
  }

  onReconnect(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async check(): Promise<void> {
    if (!this.#connected) throw lostFault();
    const late = AbortSignal.timeout(2_000);
    await Promise.race([
      this.flush(),
      new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(lostFault(late.reason)))),
    ]);
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    this.#isTaking = false;
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()));
    // Without a connection there is nobody to take leave of.
    await (this.#connected ? this.#connection.drain() : this.#connection.close());
    this.#connected = false;
  }

  async #listen(
    pattern: string,
    queue: string | undefined,
    take: (message: Msg) => void,
    running: ReadonlySet<Promise<void>>,
  ): Promise<Subscription> {
    if (!this.#isTaking) throw lostFault();
    let refusal: Error | undefined;
    const inner = this.#connection.subscribe(pattern, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        if (error) refusal = error;
        else take(message);
      },
    });
    await this.flush();
    if (refusal) {
      throw new Fault('forbidden', `NATS does not let this service listen to ${pattern}.`, { cause: refusal });
    }
    const subscription = { close: () => this.#stop(subscription, inner, running) };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async #stop(subscription: Subscription, inner: NatsSubscription, running: ReadonlySet<Promise<void>>): Promise<void> {
    this.#subscriptions.delete(subscription);
    if (this.#connected && !inner.isClosed()) await inner.drain();
    else inner.unsubscribe();
    await Promise.all(running);
  }

  #respond(message: Msg, answer: BusReply): void {
    try {
      message.respond(answer.payload.slice(), { headers: natsHeadersOf(answer.headers) });
    } catch (error) {
      this.#log.error({ err: error, subject: message.subject }, 'an answer could not be sent');
    }
  }

  #limitBytes(): number {
    return this.#connection.info?.max_payload ?? 1_048_576;
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'disconnect') this.#lose();
      if (status.type === 'reconnect') this.#return();
      if (status.type === 'error') this.#log.error({ err: status.error }, 'NATS reports an error');
    }
    this.#lose();
  }

  #lose(): void {
    this.#connected = false;
    for (const reject of this.#waiting) reject(lostFault());
  }

  #return(): void {
    this.#connected = true;
    for (const listener of this.#listeners) listener();
  }
}

function requestFaultOf(error: unknown, subject: string, timeoutMs: number): Fault {
  if (error instanceof errors.TimeoutError) return lateFault(subject, timeoutMs);
  if (error instanceof errors.RequestError && error.isNoResponders()) return absentFault(subject);
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof errors.PermissionViolationError || error instanceof errors.PermissionViolationError) {
    return new Fault('forbidden', `NATS does not let this service call ${subject}.`, { cause: error });
  }
  return lostFault(error);
}

function messageOf(message: Msg): BusMessage {
  return { subject: message.subject, payload: message.data, headers: headersOf(message.headers) };
}

function headersOf(headers: MsgHdrs | undefined): Headers {
  const found = new Map<string, string>();
  for (const [name, values] of headers ?? []) found.set(name.toLowerCase(), values.at(-1) ?? '');
  return found;
}

function natsHeadersOf(headers: Headers): MsgHdrs {
  const written = newHeaders();
  for (const [name, value] of headers) written.set(name, value);
  return written;
}
