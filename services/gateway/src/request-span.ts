import type { IncomingMessage, ServerResponse } from 'node:http';
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

/**
 * Runs what answers a request inside a span of its own, so that every call made for it belongs to the request's trace.
 * `route` names the span: an address may hold what is nobody's business.
 */
export function inRequestSpan(
  route: string,
  request: IncomingMessage,
  response: ServerResponse,
  run: () => void,
): void {
  const parent = propagation.extract(context.active(), request.headers);
  const span = trace.getTracer('@vivarium/gateway').startSpan(
    `${request.method} ${route}`,
    {
      kind: SpanKind.SERVER,
      attributes: { 'http.request.method': request.method ?? '', 'http.route': route },
    },
    parent,
  );
  // Without tracing there is nothing to carry along.
  if (!span.isRecording()) {
    run();
    return;
  }
  response.once('close', () => {
    span.setAttribute('http.response.status_code', response.statusCode);
    if (response.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    span.end();
  });
  context.with(trace.setSpan(parent, span), run);
}
