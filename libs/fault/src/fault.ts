/** The nine ways in which a request may fail, the same in every service. One table per client dialect maps them to HTTP. */
export const FAULT_CODES = [
  'invalid',
  'unauthenticated',
  'forbidden',
  'not_found',
  'conflict',
  'too_large',
  'rate_limited',
  'unavailable',
  'internal',
] as const;

export type FaultCode = (typeof FAULT_CODES)[number];

/**
 * An expected failure: a code and one sentence that a user can act on, with the value at fault.
 * The message is public. The cause is for the log of the process where it happened and never crosses a boundary.
 */
export class Fault extends Error {
  override readonly name = 'Fault';
  constructor(
    readonly code: FaultCode,
    message: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
  }
}

/** True for a Fault, whichever copy of this module made it. */
export function isFault(value: unknown): value is Fault {
  return value instanceof Error && value.name === 'Fault' && isFaultCode((value as { code?: unknown }).code);
}

/** True if the text is one of the nine codes. */
export function isFaultCode(text: unknown): text is FaultCode {
  return typeof text === 'string' && (FAULT_CODES as readonly string[]).includes(text);
}

/** The fault itself, or `internal` with a constant public sentence and the original as cause. */
export function faultOf(error: unknown): Fault {
  if (isFault(error)) return error;
  return new Fault('internal', 'Something went wrong on our side. The server log has the details.', { cause: error });
}
