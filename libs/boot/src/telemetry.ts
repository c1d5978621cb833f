import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { AwsInstrumentation } from '@opentelemetry/instrumentation-aws-sdk';
import { ExpressInstrumentation } from '@opentelemetry/instrumentation-express';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { NodeSDK } from '@opentelemetry/sdk-node';

export interface Telemetry {
  /** Sends what waits and ends. */
  stop(): Promise<void>;
}

/**
 * Begins to trace into an OTLP endpoint. Must run before the libraries that it follows are imported, with the import hook
 * registered: `telemetry-hook.ts` of the platform does both.
 */
export function startTracing(service: string, endpoint: string): Telemetry {
  const sdk = new NodeSDK({
    serviceName: `vivarium-${service}`,
    traceExporter: new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces` }),
    metricReaders: [],
    instrumentations: [
      // Incoming requests get their span from the gateway itself, which has cut the token from the URL before.
      new HttpInstrumentation({ disableIncomingRequestInstrumentation: true }),
      new ExpressInstrumentation({ ignoreLayersType: [] }),
      // Values of a statement may be secrets; its text is ours.
      new PgInstrumentation({ enhancedDatabaseReporting: false, requireParentSpan: true }),
      new IORedisInstrumentation({ dbStatementSerializer: (command) => command, requireParentSpan: true }),
      new AwsInstrumentation({ suppressInternalInstrumentation: true }),
    ],
  });
  sdk.start();
  return { stop: () => sdk.shutdown() };
}
