// Loaded by `node --import` before anything else. Without an endpoint for traces it imports nothing, so that telemetry
// which is off costs nothing; with one, the hook must be in place before the libraries that are followed are loaded.
const endpoint = process.env.OTEL_EXPORTER_OTLP_ENDPOINT;

if (endpoint !== undefined && endpoint !== '') {
  const hooks = await import('import-in-the-middle/register-hooks.mjs');
  hooks.register();
  const { startTracing } = await import('@vivarium/boot/telemetry');
  const tracing = startTracing(process.argv[2] ?? 'command', endpoint);
  // Last of all: what happened while the roles were closing is sent too.
  process.on('beforeExit', () => void tracing.stop());
  globalThis.vivariumTracing = tracing;
}

declare global {
  /** Ends tracing; set if it was started. */
  var vivariumTracing: { stop(): Promise<void> } | undefined;
}

export {};
