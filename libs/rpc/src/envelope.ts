import { Fault, faultOf, isFault, isFaultCode } from '@vivarium/fault/fault';
import type { BusAnswer, BusMessage, BusReply, FailureLog, Headers, RequestOptions } from './bus.js';

/** Milliseconds that the requester still waited when it sent: a span, not a time, because clocks of two machines differ. */
export const DEADLINE_HEADER = 'x-deadline-ms';
/** The signed statement of who is calling. */
export const ASSERTION_HEADER = 'x-assertion';
/** On a reply: it is a fault with this code, and its payload is the public message. */
export const FAULT_HEADER = 'x-fault-code';

/** Headers and payload together, as NATS counts them. */
export const MESSAGE_LIMIT_BYTES = 1_048_576;

const HEADER_NAME = /^[a-z0-9-]{1,64}$/;
// Printable ASCII only: a line break in a value would begin a header of the sender's choice.
const HEADER_VALUE = /^[\x20-\x7e]*$/;
const FAULT_MESSAGE_LIMIT = 4_096;

/** Throws Fault('too_large') over the limit, Fault('invalid') on a header that cannot be written. */
export function checkEnvelope(subject: string, payload: Uint8Array, headers: Headers, limitBytes: number): void {
  let sizeBytes = payload.byteLength + 'NATS/1.0\r\n\r\n'.length;
  for (const [name, value] of headers) {
    if (!HEADER_NAME.test(name))
      throw new Fault('invalid', `"${name.slice(0, 80)}" is no header name: use a-z, 0-9 and -.`);
    if (!HEADER_VALUE.test(value))
      throw new Fault('invalid', `The header ${name} holds a character outside printable ASCII.`);
    sizeBytes += name.length + value.length + ': \r\n'.length;
  }
  if (sizeBytes <= limitBytes) return;
  throw new Fault(
    'too_large',
    `A message for ${subject} has ${sizeBytes} bytes, and the bus takes ${limitBytes}. Ask for less at a time.`,
  );
}

/** The headers of a request, with its deadline. Throws Fault('unavailable') when no time is left to wait. */
export function requestHeadersOf(subject: string, options: RequestOptions): Headers {
  if (!(options.timeoutMs > 0 && options.timeoutMs <= 2 ** 31 - 1)) throw lateFault(subject, options.timeoutMs);
  return new Map([...(options.headers ?? []), [DEADLINE_HEADER, String(Math.ceil(options.timeoutMs))]]);
}

/**
 * Runs a handler and gives what goes back, whatever happens: the answer, or its fault with the public message only.
 * An error that is no Fault is logged here, once, with its cause. An answer over the limit becomes Fault('too_large').
 */
export async function answerOf(
  message: BusMessage,
  handler: (message: BusMessage) => Promise<BusAnswer>,
  log: FailureLog,
  limitBytes: number,
): Promise<BusReply> {
  try {
    const { payload, headers = new Map() } = await handler(message);
    checkEnvelope(`a caller of ${message.subject}`, payload, headers, limitBytes);
    return { payload, headers };
  } catch (error) {
    if (!isFault(error)) log.error({ err: error, subject: message.subject }, 'a request failed');
    const fault = faultOf(error);
    return {
      payload: new TextEncoder().encode(fault.message.slice(0, FAULT_MESSAGE_LIMIT)),
      headers: new Map([[FAULT_HEADER, fault.code]]),
    };
  }
}

/** The reply itself, or throws the Fault that it carries. An unknown code counts as `internal`. */
export function openReply(reply: BusReply): BusReply {
  const code = reply.headers.get(FAULT_HEADER);
  if (code === undefined) return reply;
  throw new Fault(isFaultCode(code) ? code : 'internal', new TextDecoder().decode(reply.payload));
}

export function lateFault(subject: string, timeoutMs: number): Fault {
  return new Fault('unavailable', `${subject} did not answer within ${Math.round(timeoutMs)} ms. Try again.`);
}

export function absentFault(subject: string): Fault {
  return new Fault('unavailable', `Nobody answers ${subject} at present. Try again in a moment.`);
}

export function lostFault(cause?: unknown): Fault {
  return new Fault('unavailable', 'The connection between our services is down. Try again in a moment.', { cause });
}
