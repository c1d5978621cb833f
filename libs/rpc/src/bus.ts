export type Headers = ReadonlyMap<string, string>;

/** What arrives: the subject it was sent to, its bytes, its headers (lower-case names). */
export interface BusMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: Headers;
}

/** What a handler answers. */
export interface BusAnswer {
  readonly payload: Uint8Array;
  readonly headers?: Headers;
}

/** What a requester receives. */
export interface BusReply {
  readonly payload: Uint8Array;
  readonly headers: Headers;
}

export interface Subscription {
  /** Takes no further message, and resolves when the handlers of those taken have ended. */
  close(): Promise<void>;
}

export interface RequestOptions {
  readonly headers?: Headers;
  /** How long the requester waits. The handler is told, in the header `x-deadline-ms`. */
  readonly timeoutMs: number;
}

/**
 * The one way by which services speak to each other: requests with a reply, and events.
 * It has two drivers, `local.ts` in process and `nats.ts` on NATS, and one conformance suite run on both.
 *
 * Subjects are words of letters, digits, `_` and `-` joined by dots. A pattern may hold `*` for one word and end in `>` for one or
 * more. A message with its headers is at most 1 MiB: Fault('too_large') otherwise. Files never travel here.
 */
export interface Bus {
  /**
   * Sends a request and waits for the first reply. A Fault of the handler arrives as that Fault.
   * Throws Fault('unavailable') when nobody serves the subject, when the reply is late, and when the connection is lost.
   */
  request(subject: string, payload: Uint8Array, options: RequestOptions): Promise<BusReply>;
  /**
   * Answers requests, many at a time. One member of each queue gets a request. Resolves when the server knows.
   * An error that is no Fault reaches the requester as `internal`, without its cause.
   */
  serve(subject: string, queue: string, handler: (message: BusMessage) => Promise<BusAnswer>): Promise<Subscription>;
  /** Sends an event to all who listen now. Nothing tells whether it arrived; while disconnected it is lost. */
  publish(subject: string, payload: Uint8Array, headers?: Headers): void;
  /**
   * Listens to events, one at a time, those of one publisher in the order of sending.
   * With a queue, one of its members gets each event. Resolves when the server knows.
   */
  subscribe(
    pattern: string,
    handler: (message: BusMessage) => void,
    options?: { readonly queue?: string },
  ): Promise<Subscription>;
  /**
   * Resolves when all that was published and subscribed here has reached the server, and all that had reached the server for us
   * before has been handed to its handler. Throws Fault('unavailable') if the connection is lost meanwhile.
   */
  flush(): Promise<void>;
  /** False from the loss of the connection until its return. */
  readonly connected: boolean;
  /** Calls after each return of the connection: events may have been missed, so what was learnt from them is void. */
  onReconnect(listener: () => void): void;
  /** Throws Fault('unavailable') unless the server answers within two seconds. */
  check(): Promise<void>;
  /** Takes nothing more, lets the running handlers answer, then closes. */
  drain(): Promise<void>;
}

/** Where failures go that nobody is waiting for. A pino logger fits. */
export interface FailureLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}
