import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { RuntimeNodeInstrumentation } from '@opentelemetry/instrumentation-runtime-node';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { AggregationType, MeterProvider } from '@opentelemetry/sdk-metrics';
import { Fault } from '@vivarium/fault/fault';

export interface MetricsServer {
  stop(): Promise<void>;
}

// Seconds. From an answer out of memory to the upload of a large file.
const REQUEST_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600];

/**
 * Serves what the process counts at `http://<host>:<port>/metrics`, a port that no client's request reaches.
 * Throws Fault('unavailable') if the port is taken.
 */
export async function startMetrics(options: {
  readonly host: string;
  readonly port: number;
  readonly service: string;
}): Promise<MetricsServer> {
  const exporter = new PrometheusExporter({ host: options.host, port: options.port, preventServerStart: true });
  try {
    await exporter.startServer();
  } catch (cause) {
    throw new Fault('unavailable', `Port ${options.port} of METRICS_PORT is taken. Choose another, or 0 for none.`, {
      cause,
    });
  }
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ 'service.name': `vivarium-${options.service}` }),
    readers: [exporter],
    views: [
      {
        instrumentName: '*_seconds',
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: REQUEST_BUCKETS },
        },
      },
    ],
  });
  metrics.setGlobalMeterProvider(provider);
  const runtime = new RuntimeNodeInstrumentation();
  runtime.setMeterProvider(provider);
  runtime.enable();
  return {
    stop: async () => {
      runtime.disable();
      await provider.shutdown();
    },
  };
}
