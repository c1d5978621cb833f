import { failureOf } from '@vivarium/boot/run';
import { program } from './cli.js';
import type {} from './telemetry-hook.js';

try {
  await program().parseAsync(process.argv);
  await globalThis.vivariumTracing?.stop();
  // What Nest or a driver may still hold open must not keep a finished command from ending.
  process.exit(process.exitCode ?? 0);
} catch (error) {
  const { line, code } = failureOf(error);
  process.stderr.write(`${line}\n`);
  process.exit(code);
}
