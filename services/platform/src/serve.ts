import type { Config } from '@vivarium/boot/config';
import { Health } from '@vivarium/boot/health';
import { type Log, openLog } from '@vivarium/boot/log';
import { startMetrics } from '@vivarium/boot/metrics';
import { Running, untilSignalled } from '@vivarium/boot/run';
import { migrate, migrationsPending } from '@vivarium/db/migrate';
import { Fault } from '@vivarium/fault/fault';
import { firstAdministrator } from './first-administrator.js';
import { migrationsOf } from './migrations.js';
import { OpenPorts } from './open-ports.js';
import { type Context, type Started, startHealth } from './start-role.js';
import { STARTERS, TARGETS } from './targets.js';
import { welcome } from './welcome.js';

// Below the grace that an orchestrator gives: what has not ended by then is cut.
const STOP_MS = 25_000;
const MIGRATIONS_WAIT_MS = 60_000;

/**
 * Runs a role, or everything, until it is told to stop. Resolves when all is closed in good order.
 * Throws the fault that kept it from starting, after closing what was open.
 */
export async function serve(config: Config): Promise<void> {
  const log = openLog({ level: config.logLevel, service: config.target });
  const running = new Running();
  try {
    const isStopping = await start(config, log, running);
    await isStopping;
  } finally {
    await running.stop(log, STOP_MS);
  }
}

async function start(config: Config, log: Log, running: Running): Promise<Promise<unknown>> {
  const stopped = untilSignalled();
  const isTogether = config.target === 'all';
  const say = (line: string): void => (isTogether ? void process.stdout.write(`${line}\n`) : log.info(line));
  const context: Context = { open: new OpenPorts(config, log, running), running };
  const checks: Started[] = [];
  const health = new Health();
  await openMetrics(config, log, running);
  await prepareDatabase(config, context.open, say);
  for (const role of TARGETS[config.target]) checks.push(await STARTERS[role](context, health));
  if (config.target !== 'all' && config.target !== 'gateway') {
    await startHealth(context, health, await context.open.rolePorts(config.target));
  }
  const administrator = await firstAdministrator(config, context.open, log);
  health.begin(checks.flat());
  if (isTogether) say(welcome(config, administrator));
  else log.info({ port: config.port }, 'ready');
  return stopped.then((signal) => {
    health.drain();
    if (isTogether) say(`\nStopping (${signal}) …`);
  });
}

/** In one process the schema is brought up to date; a single role waits for the migration job to have done it. */
async function prepareDatabase(config: Config, open: OpenPorts, say: (line: string) => void): Promise<void> {
  if (config.target === 'gateway') return;
  const url = await open.databaseUrl(say);
  if (config.target === 'all') {
    const { applied } = await migrate({ url, migrations: migrationsOf(), log: () => undefined });
    if (applied.length > 0) say(`Brought the database up to date (${applied.length} steps)`);
    return;
  }
  const until = Date.now() + MIGRATIONS_WAIT_MS;
  for (;;) {
    const pending = await migrationsPending({ url, migrations: migrationsOf(config.target) });
    if (pending.length === 0) return;
    if (Date.now() > until) {
      throw new Fault('unavailable', `The database lacks ${pending.join(', ')}. Run: vivarium migrate`);
    }
    say(`waiting for the migration of the database: ${pending.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function openMetrics({ metricsPort, host, target }: Config, log: Log, running: Running): Promise<void> {
  if (metricsPort === 0) return;
  try {
    const metrics = await startMetrics({ host, port: metricsPort, service: target });
    running.opened('metrics', () => metrics.stop());
  } catch (error) {
    // Two products on one machine are no reason not to start; in a cluster the port is the pod's own.
    if (target !== 'all') throw error;
    log.warn(`No metrics: ${error instanceof Error ? error.message : 'the port cannot be opened'}`);
  }
}
