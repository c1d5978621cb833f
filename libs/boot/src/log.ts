import type { LoggerService } from '@nestjs/common';
import { trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';

export type Log = Logger;

/**
 * A JSON log with the id of the trace each line belongs to. Secrets are cut by whoever holds them; token-shaped text
 * that reaches a line all the same is masked here, as the last net.
 */
export function openLog(options: {
  readonly level: string;
  readonly service: string;
  readonly destination?: DestinationStream;
}): Log {
  return pino(
    {
      level: options.level,
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.errWithCause, err: stdSerializers.errWithCause },
      redact: { paths: SECRET_FIELDS, censor: '[cut]' },
      mixin: () => {
        const span = trace.getActiveSpan()?.spanContext();
        return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
      },
      hooks: { streamWrite: maskTokens },
    },
    options.destination ?? pino.destination({ dest: 2, sync: false }),
  );
}

const SECRET_FIELDS = ['password', 'token', 'secret', 'authorization', 'cookie', '*.password', '*.token', '*.secret'];

/** Masks tokens, session secrets, and whatever stands in a URL where tokens and tickets stand. */
export function maskTokens(line: string): string {
  return line
    .replace(/\b(viv|vis)-[a-z0-9]{8,}(-[a-z0-9]+)?/g, '$1-[cut]')
    .replace(/\/t\/[^/\s"]+/g, '/t/[cut]')
    .replace(/\/-\/upload\/[^/\s"]+/g, '/-/upload/[cut]')
    .replace(/(\w+:\/\/[^:@/\s"]+):[^@/\s"]+@/g, '$1:[cut]@');
}

/** Nest's own messages in our log: life-cycle chatter at debug, troubles as they are. */
export function nestLog(log: Log): LoggerService {
  const writer =
    (level: 'debug' | 'warn' | 'error') =>
    (message: unknown, ...rest: unknown[]): void => {
      const context = rest.findLast((part) => typeof part === 'string');
      if (message instanceof Error) log[level]({ context, error: message }, message.message);
      else log[level]({ context }, String(message));
    };
  const debug = writer('debug');
  return { log: debug, verbose: debug, debug, warn: writer('warn'), error: writer('error'), fatal: writer('error') };
}
