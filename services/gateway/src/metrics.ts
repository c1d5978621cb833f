import { metrics } from '@opentelemetry/api';
import type { Family } from './target.js';

// Made when they are first used: a meter that was asked for before the provider was set counts nothing for ever.
let instruments: ReturnType<typeof makeInstruments> | undefined;

function makeInstruments() {
  const meter = metrics.getMeter('@vivarium/gateway');
  return {
    requests: meter.createCounter('vivarium_http_requests', { description: 'Requests answered' }),
    seconds: meter.createHistogram('vivarium_http_request_seconds', {
      description: 'Time from the request to the end of the answer',
      unit: 's',
    }),
  };
}

/** Counts an answered request. Labels are few and none is a name: no channel, package, login or path. */
export function countRequest(family: Family, method: string | undefined, status: number, startedMs: number): void {
  instruments ??= makeInstruments();
  const labels = { family, method: METHODS.has(method ?? '') ? (method ?? '') : 'other', code: String(status) };
  instruments.requests.add(1, labels);
  instruments.seconds.record((performance.now() - startedMs) / 1_000, { family: labels.family, method: labels.method });
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
