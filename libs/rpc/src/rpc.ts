import type { DescMethod, DescService, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { Fault, faultOf, isFault } from '@vivarium/fault/fault';
import type { Bus, BusAnswer, BusMessage, FailureLog, Subscription } from './bus.js';
import { ASSERTION_HEADER, DEADLINE_HEADER, lateFault } from './envelope.js';

/** What a handler knows of the call that it answers. */
export interface Call {
  /** The signed statement of who is calling; not verified yet. */
  readonly assertion: string | undefined;
  /** When the caller stops waiting, on this process's monotonic clock (`performance.now()`). `remainingMsOf` gives the span. */
  readonly deadlineMs: number;
  /** Aborts at the deadline: work whose answer nobody waits for may stop. */
  readonly signal: AbortSignal;
  readonly subject: string;
}

export interface CallOptions {
  readonly assertion?: string;
  readonly timeoutMs?: number;
  /** The call that this one serves: the timeout is cut to what its caller still waits. */
  readonly within?: Call;
}

/** The typed client of a contract: one method per rpc. */
export type ClientOf<S extends DescService> = {
  readonly [M in keyof S['method']]: (
    request: MessageInitShape<S['method'][M]['input']>,
    options?: CallOptions,
  ) => Promise<MessageShape<S['method'][M]['output']>>;
};

/** What a class must have to answer a contract: `class Tokens implements HandlerOf<typeof TokensContract>`. */
export type HandlerOf<S extends DescService> = {
  readonly [M in keyof S['method']]: (
    request: MessageShape<S['method'][M]['input']>,
    call: Call,
  ) => Promise<MessageInitShape<S['method'][M]['output']>>;
};

const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * The client of a contract on a bus. Each method throws the Fault that the handler threw, and Fault('unavailable') when nobody
 * answers within `timeoutMs` (5 s unless said here or at the call).
 */
export function clientOf<S extends DescService>(service: S, bus: Bus, defaults: CallOptions = {}): ClientOf<S> {
  const calls = service.methods.map((method) => [
    method.localName,
    (request: MessageInitShape<DescMethod['input']>, options: CallOptions = {}) =>
      callMethod(method, bus, request, { ...defaults, ...options }),
  ]);
  // The loop covers the contract's methods, which the compiler cannot follow.
  return Object.fromEntries(calls) as ClientOf<S>;
}

/**
 * Answers a contract with a handler, in the queue of its service. Closing stops all methods and waits for those that run.
 * An error that is no Fault is logged here with its cause, once, and reaches the caller as `internal`.
 */
export async function serve<S extends DescService>(
  service: S,
  handler: HandlerOf<S>,
  bus: Bus,
  log: FailureLog,
): Promise<Subscription> {
  const subscriptions = await Promise.all(
    service.methods.map((method) => {
      const answer = handler[method.localName as keyof S['method']] as MethodHandler;
      return bus.serve(
        subjectOf(method),
        queueOf(method),
        answerMethod(method, (request, call) => answer.call(handler, request, call), log),
      );
    }),
  );
  return { close: async () => void (await Promise.all(subscriptions.map((subscription) => subscription.close()))) };
}

/** A method's handler when the contract is only known at run time. */
export type MethodHandler = (request: MessageShape<DescMethod['input']>, call: Call) => Promise<unknown>;

/** Turns the handler of one method into a handler of bus messages: decode, call within a span, encode. */
export function answerMethod(
  method: DescMethod,
  handler: MethodHandler,
  log: FailureLog,
): (message: BusMessage) => Promise<BusAnswer> {
  return (message) => {
    const call = callOf(message);
    const parent = propagation.extract(ROOT_CONTEXT, message.headers, {
      get: (headers, name) => headers.get(name),
      keys: (headers) => [...headers.keys()],
    });
    return context.with(parent, () =>
      inSpan(method, SpanKind.SERVER, async () => {
        try {
          const request = decode(method.input, message.payload);
          return { payload: encode(method.output, await handler(request, call)) };
        } catch (error) {
          const fault = isGiveUp(error, call) ? lateFault(message.subject, 0) : faultOf(error);
          // Logged here and not by the bus, because here the log line gets the trace's id. A cause ends here: it never crosses.
          if (isOurs(fault) && fault.cause !== undefined) {
            log.error({ err: isFault(error) ? fault : error, subject: message.subject }, 'a call failed');
          }
          throw fault;
        }
      }),
    );
  };
}

/** `identity.Callers.whoIs` for `vivarium.identity.v1.Callers/WhoIs`: rights on NATS are given by its first word. */
export function subjectOf(method: DescMethod): string {
  return `${queueOf(method)}.${method.parent.name}.${method.localName}`;
}

/** `identity` for all methods of `vivarium.identity.v1`: the replicas of a service share its requests. */
export function queueOf(method: DescMethod): string {
  const [, service] = method.parent.file.proto.package.split('.');
  if (service === undefined)
    throw new Error(`${method.parent.typeName} is in no package of the form vivarium.<service>.v1`);
  return service;
}

/** Milliseconds that the caller still waits; zero or less if it has gone. */
export function remainingMsOf(call: Call): number {
  return call.deadlineMs - performance.now();
}

async function callMethod(
  method: DescMethod,
  bus: Bus,
  request: MessageInitShape<DescMethod['input']>,
  options: CallOptions,
): Promise<unknown> {
  const subject = subjectOf(method);
  const { timeoutMs = DEFAULT_TIMEOUT_MS, within, assertion } = options;
  return inSpan(method, SpanKind.CLIENT, async () => {
    const headers = new Map<string, string>();
    if (assertion !== undefined) headers.set(ASSERTION_HEADER, assertion);
    propagation.inject(context.active(), headers, { set: (carrier, name, value) => carrier.set(name, value) });
    const reply = await bus.request(subject, encode(method.input, request), {
      headers,
      timeoutMs: within ? Math.min(timeoutMs, remainingMsOf(within)) : timeoutMs,
    });
    return fromBinary(method.output, reply.payload);
  });
}

function callOf(message: BusMessage): Call {
  const remainingMs = Number(message.headers.get(DEADLINE_HEADER) ?? DEFAULT_TIMEOUT_MS);
  const boundedMs = remainingMs >= 0 && remainingMs < 2 ** 31 ? remainingMs : DEFAULT_TIMEOUT_MS;
  let signal: AbortSignal | undefined;
  const deadlineMs = performance.now() + boundedMs;
  return {
    assertion: message.headers.get(ASSERTION_HEADER),
    deadlineMs,
    // Most handlers never look, and a timer each would cost more than the call.
    get signal() {
      signal ??= AbortSignal.timeout(Math.max(0, Math.ceil(deadlineMs - performance.now())));
      return signal;
    },
    subject: message.subject,
  };
}

function decode(schema: DescMethod['input'], payload: Uint8Array): MessageShape<DescMethod['input']> {
  try {
    return fromBinary(schema, payload);
  } catch (cause) {
    throw new Fault('invalid', `The request is no ${schema.typeName}.`, { cause });
  }
}

function encode(schema: DescMethod['output'], init: unknown): Uint8Array {
  return toBinary(schema, create(schema, init as MessageInitShape<DescMethod['output']>));
}

/** True if the handler stopped because nobody waits any more, as the call's signal told it. */
function isGiveUp(error: unknown, call: Call): boolean {
  const name = typeof error === 'object' && error !== null && 'name' in error ? error.name : undefined;
  return (name === 'AbortError' || name === 'TimeoutError') && call.signal.aborted;
}

/** A refusal is a proper answer; these two are for an operator to look at. */
function isOurs(fault: Fault): boolean {
  return fault.code === 'internal' || fault.code === 'unavailable';
}

async function inSpan<T>(method: DescMethod, kind: SpanKind, run: () => Promise<T>): Promise<T> {
  const options: SpanOptions = {
    kind,
    attributes: { 'rpc.service': method.parent.typeName, 'rpc.method': method.name },
  };
  return trace
    .getTracer('@vivarium/rpc')
    .startActiveSpan(`${method.parent.typeName}/${method.name}`, options, async (span) => {
      try {
        return await run();
      } catch (error) {
        const { code } = faultOf(error);
        span.setAttribute('vivarium.fault', code);
        // A refusal is a proper answer: only what an operator should look at counts as an error of the span.
        if (code === 'internal' || code === 'unavailable')
          span.setStatus({ code: SpanStatusCode.ERROR, message: code });
        throw error;
      } finally {
        span.end();
      }
    });
}
