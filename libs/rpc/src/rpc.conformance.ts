import { setTimeout as pause } from 'node:timers/promises';
import { context, propagation, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { Echo, HappenedSchema } from '@vivarium/contracts/gen/vivarium/rpctest/v1/echo_pb';
import { Fault, isFaultCode } from '@vivarium/fault/fault';
import type { BusWorld } from './bus.conformance.js';
import type { Bus } from './bus.js';
import { publishEvent, subscribeEvent } from './events.js';
import type { Call, ClientOf, HandlerOf } from './rpc.js';
import { clientOf, remainingMsOf, serve } from './rpc.js';

const tracer = trace.getTracer('test');

/** What typed calls and events must do on every driver of the bus. */
export function describeRpc(name: string, open: () => Promise<BusWorld>): void {
  describe(`typed calls: ${name}`, () => {
    let world: BusWorld;
    let near: Bus;
    let far: Bus;
    let echo: ClientOf<typeof Echo>;
    let logged: { err?: unknown; subject?: unknown }[] = [];
    const spans = new InMemorySpanExporter();

    beforeAll(async () => {
      trace.setGlobalTracerProvider(
        new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter: spans })] }),
      );
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      propagation.setGlobalPropagator(new W3CTraceContextPropagator());
      world = await open();
      const log = { error: (fields: object) => logged.push(fields) };
      [near, far] = await Promise.all([world.connect('near', log), world.connect('far', log)]);
      await serve(Echo, new Echoing(), far, log);
      echo = clientOf(Echo, near);
    });
    beforeEach(() => {
      logged = [];
      spans.reset();
    });
    afterAll(async () => {
      await Promise.all([near.drain(), far.drain()]);
      await world.stop();
      trace.disable();
      context.disable();
      propagation.disable();
    });

    it('carry a message there and back', async () => {
      const answer = await echo.say({ text: 'grüße', payload: new Uint8Array([0, 255]) });
      expect([answer.text, answer.payload]).toEqual(['grüße', new Uint8Array([0, 255])]);
    });

    it('are addressed by service, contract and method', async () => {
      expect((await echo.lookAround({})).subject).toBe('rpctest.Echo.lookAround');
    });

    it('tell the handler who says to be calling, and how long it is waited for', async () => {
      const answer = await echo.lookAround({}, { assertion: 'abc.def.ghi', timeoutMs: 900 });
      expect(answer.assertion).toBe('abc.def.ghi');
      expect(answer.remainingMs).toBeGreaterThan(700);
      expect(answer.remainingMs).toBeLessThanOrEqual(900);
      expect((await echo.lookAround({})).assertion).toBe('');
    });

    it('keep the code and message of a fault', async () => {
      const refusal = echo.refuse({ code: 'conflict', message: 'numpy-2.1.0-py313_0.conda already exists in acme' });
      await expect(refusal).rejects.toEqual(new Fault('conflict', 'numpy-2.1.0-py313_0.conda already exists in acme'));
      expect(logged).toEqual([]);
    });

    it('hide an unexpected error, and log it once on the side where it happened', async () => {
      const refusal = echo.refuse({ message: 'password=hunter2' });
      await expect(refusal).rejects.toMatchObject({
        code: 'internal',
        message: expect.not.stringContaining('hunter2'),
      });
      expect(logged).toEqual([
        { err: expect.objectContaining({ message: 'password=hunter2' }), subject: 'rpctest.Echo.refuse' },
      ]);
    });

    it('refuse bytes that are no such message', async () => {
      const asked = near.request('rpctest.Echo.say', new Uint8Array([255, 255, 255]), { timeoutMs: 1_000 });
      await expect(asked).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('SayRequest') });
    });

    it('refuse an answer over the limit of the bus', async () => {
      await expect(echo.say({ payload: new Uint8Array(1_048_300), text: 'x'.repeat(300) })).rejects.toMatchObject({
        code: 'too_large',
      });
    });

    it('end at the deadline, for the caller and for the handler', async () => {
      const started = performance.now();
      await expect(echo.say({ text: 'late', delayMs: 2_000 }, { timeoutMs: 100 })).rejects.toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('rpctest.Echo.say'),
      });
      expect(performance.now() - started).toBeLessThan(1_000);
      await pause(100);
      expect(Echoing.aborted).toBe('late');
      expect(logged).toEqual([]);
    });

    it('within another call wait no longer than its caller', async () => {
      const call: Call = {
        assertion: undefined,
        deadlineMs: performance.now() + 80,
        signal: AbortSignal.timeout(80),
        subject: 'x.Y.z',
      };
      const started = performance.now();
      await expect(echo.say({ delayMs: 1_000 }, { timeoutMs: 5_000, within: call })).rejects.toMatchObject({
        code: 'unavailable',
      });
      expect(performance.now() - started).toBeLessThan(500);
      const over = { ...call, deadlineMs: performance.now() - 1 };
      await expect(echo.say({}, { within: over })).rejects.toMatchObject({ code: 'unavailable' });
    });

    it('are one trace: caller, client span, server span, handler', async () => {
      const outer = tracer.startSpan('a request');
      const answer = await context.with(trace.setSpan(context.active(), outer), () => echo.lookAround({}));
      outer.end();
      const traceId = outer.spanContext().traceId;
      expect(answer.traceId).toBe(traceId);
      // Only of this trace: a handler whose caller gave up in an earlier test may end its span now.
      const ours = spans.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);
      const [server, client] = [SpanKind.SERVER, SpanKind.CLIENT].map((kind) =>
        ours.find((span) => span.kind === kind),
      );
      expect(ours).toHaveLength(3);
      expect(client?.name).toBe('vivarium.rpctest.v1.Echo/LookAround');
      expect(client?.parentSpanContext?.spanId).toBe(outer.spanContext().spanId);
      expect(server?.parentSpanContext?.spanId).toBe(client?.spanContext().spanId);
      expect(server?.attributes).toMatchObject({
        'rpc.service': 'vivarium.rpctest.v1.Echo',
        'rpc.method': 'LookAround',
      });
    });

    it('carry typed events, each in a trace of its own linked to the publisher', async () => {
      const heard: string[] = [];
      await subscribeEvent(near, HappenedSchema, 'rpctest.events.*', ({ channel, generation }, subject) => {
        heard.push(`${subject} ${channel} ${generation}`);
      });
      const outer = tracer.startSpan('a change');
      context.with(trace.setSpan(context.active(), outer), () => {
        publishEvent(far, HappenedSchema, 'rpctest.events.acme', { channel: 'acme', generation: 42n });
      });
      far.publish('rpctest.events.acme', new Uint8Array([255]));
      publishEvent(far, HappenedSchema, 'rpctest.events.bee', { channel: 'bee', generation: 2n ** 63n });
      await far.flush();
      await near.flush();
      expect(heard).toEqual(['rpctest.events.acme acme 42', `rpctest.events.bee bee ${2n ** 63n}`]);
      expect(logged).toHaveLength(1);
      const [received] = spans.getFinishedSpans().filter((span) => span.kind === SpanKind.CONSUMER);
      expect(received?.links.map((link) => link.context.traceId)).toEqual([outer.spanContext().traceId]);
      expect(received?.spanContext().traceId).not.toBe(outer.spanContext().traceId);
    });

    it('cost little: the median of a small round trip', async () => {
      const times: number[] = [];
      for (let round = 0; round < 1_500; round++) {
        const started = performance.now();
        await echo.say({ text: 'ping' });
        times.push(performance.now() - started);
      }
      const median = times.slice(500).sort((a, b) => a - b)[500] ?? Number.NaN;
      if (process.env.VIVARIUM_MEASURE)
        console.info(`${name}: a round trip takes ${(median * 1_000).toFixed(0)} µs (p50)`);
      expect(median).toBeLessThan(20);
    });
  });
}

class Echoing implements HandlerOf<typeof Echo> {
  static aborted = '';

  async say(request: { text: string; payload: Uint8Array; delayMs: number }, call: Call) {
    if (request.delayMs > 0) {
      call.signal.addEventListener('abort', () => {
        Echoing.aborted = request.text;
      });
      await pause(request.delayMs, undefined, { signal: call.signal });
    }
    return { text: request.text, payload: request.payload };
  }

  async refuse(request: { code: string; message: string }): Promise<never> {
    if (isFaultCode(request.code)) throw new Fault(request.code, request.message, { cause: new Error('hidden') });
    throw new Error(request.message);
  }

  async lookAround(_request: object, call: Call) {
    return {
      assertion: call.assertion ?? '',
      remainingMs: Math.round(remainingMsOf(call)),
      traceId: trace.getActiveSpan()?.spanContext().traceId ?? '',
      subject: call.subject,
    };
  }
}
