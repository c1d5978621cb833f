import type { IncomingMessage } from 'node:http';
import { Fault } from '@vivarium/fault/fault';
import type { Head } from './expiry-warning.js';
import type { Target } from './target.js';

/** What the listener found out about a request before it handed it to the router. */
export interface Arrival {
  readonly target: Target;
  /** The client's own address. */
  readonly address: string | undefined;
  /** When it came, as of performance.now(). */
  readonly atMs: number;
  /** Of its answer, for what is to be said of the credential. */
  readonly head?: Head | undefined;
}

const arrivals = new WeakMap<IncomingMessage, Arrival>();

/** Remembers the target as it was read, once: the router must not read the URL a second time. */
export function rememberArrival(request: IncomingMessage, arrival: Arrival): void {
  arrivals.set(request, arrival);
}

/** Throws Fault('internal') for a request that did not come through the listener. */
export function arrivalOf(request: IncomingMessage): Arrival {
  const arrival = arrivals.get(request);
  if (arrival !== undefined) return arrival;
  throw new Fault('internal', 'Something went wrong on our side.', {
    cause: new Error('a request passed the listener by'),
  });
}
