import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Bus, BusMessage, Subscription } from './bus.js';

/** Sends an event to all who listen now, with the trace that it belongs to. It may be lost: whoever needs it has another net. */
export function publishEvent<Schema extends DescMessage>(
  bus: Bus,
  schema: Schema,
  subject: string,
  init: MessageInitShape<Schema>,
): void {
  const headers = new Map<string, string>();
  propagation.inject(context.active(), headers, { set: (carrier, name, value) => carrier.set(name, value) });
  bus.publish(subject, toBinary(schema, create(schema, init)), headers);
}

/**
 * Listens to events of one type, in the order of each publisher. `*` and `>` in the subject as in `Bus.subscribe`.
 * What the handler throws, and an event that cannot be read, is logged by the bus; later events go on.
 */
export function subscribeEvent<Schema extends DescMessage>(
  bus: Bus,
  schema: Schema,
  subject: string,
  handler: (event: MessageShape<Schema>, subject: string) => void,
  options?: { readonly queue?: string },
): Promise<Subscription> {
  return bus.subscribe(
    subject,
    (message) => inSpan(schema, message, () => handler(fromBinary(schema, message.payload), message.subject)),
    options,
  );
}

/** Work begun by an event may last, or serve many events: so it is a trace of its own, linked to the publisher's. */
function inSpan(schema: DescMessage, message: BusMessage, run: () => void): void {
  const origin = propagation.extract(ROOT_CONTEXT, message.headers, {
    get: (headers, name) => headers.get(name),
    keys: (headers) => [...headers.keys()],
  });
  const cause = trace.getSpanContext(origin);
  const options = { kind: SpanKind.CONSUMER, links: cause ? [{ context: cause }] : [] };
  trace.getTracer('@vivarium/rpc').startActiveSpan(`${schema.typeName} received`, options, ROOT_CONTEXT, (span) => {
    try {
      run();
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}
