import type { Server } from 'node:http';
import type { DynamicModule } from '@nestjs/common';
import type { Role } from '@vivarium/boot/config';
import { Health, type HealthCheck, healthServer } from '@vivarium/boot/health';
import { nestLog } from '@vivarium/boot/log';
import type { DatabasePorts, RolePorts } from '@vivarium/boot/ports';
import type { Running } from '@vivarium/boot/run';
import { checkDatabase } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { openGateway } from '@vivarium/gateway/gateway';
import { openRouter } from '@vivarium/gateway/router';
import { createBusService } from '@vivarium/rpc/nest';
import type { OpenPorts } from './open-ports.js';

export interface Context {
  readonly open: OpenPorts;
  readonly running: Running;
}

/** What a role that was started is asked about before it counts as ready. */
export type Started = readonly HealthCheck[];

/** Starts a role that answers on the bus. */
export async function startService(
  { running }: Context,
  ports: DatabasePorts,
  module: DynamicModule,
  checks: readonly HealthCheck[] = [],
): Promise<Started> {
  const { service, bus, log, pool, invalidations } = ports;
  await invalidations.start();
  running.opened(`the outbox of ${service}`, () => invalidations.stop());
  const app = await createBusService(module, bus, log, { logger: nestLog(log) });
  await app.listen();
  running.opened(service, () => app.close());
  log.info('serving');
  return [
    { name: `database of ${service}`, check: () => checkDatabase(pool) },
    { name: `bus of ${service}`, check: () => bus.check() },
    ...checks,
  ];
}

/** Starts the gateway: the one role that clients reach. */
export async function startGateway({ open, running }: Context, ports: RolePorts, health: Health): Promise<Started> {
  const [blobs, counters] = await Promise.all([open.blobs(), open.counters()]);
  const all = { ...ports, blobs, counters };
  const { router, close } = await openRouter(all);
  running.opened('the router', close);
  const gateway = await openGateway(all, router, health);
  const { host, port } = ports.config;
  await listen(gateway.server, host, port, 'PORT');
  running.opened('the gateway', () => gateway.stop());
  return [
    { name: 'bus of gateway', check: () => ports.bus.check() },
    {
      name: 'leases',
      check: async () => {
        if (!gateway.isLeased()) throw new Fault('unavailable', 'a service has not answered within five seconds');
      },
    },
  ];
}

/** Health for a role that clients do not reach. */
export async function startHealth({ running }: Context, health: Health, ports: RolePorts): Promise<void> {
  const server = healthServer(health);
  await listen(server, ports.config.host, ports.config.port, 'PORT');
  running.opened('health', () => new Promise((resolve) => server.close(resolve)));
}

/** Throws Fault('unavailable') with the remedy if the port is taken. */
function listen(server: Server, host: string, port: number, variable: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(listenFault(cause, host, port, variable)));
    server.listen(port, host, () => resolve());
  });
}

function listenFault(cause: NodeJS.ErrnoException, host: string, port: number, variable: string): Fault {
  const sentences: Record<string, string> = {
    EADDRINUSE: `Port ${port} on ${host} is taken by another program. Choose another: ${variable}=${port + 1} npm start`,
    EACCES: `Port ${port} may not be opened by this user. Choose one above 1023 with ${variable}.`,
    EADDRNOTAVAIL: `The address ${host} is not one of this machine. Set HOST to one that is.`,
  };
  const sentence = sentences[cause.code ?? ''] ?? `Port ${port} on ${host} cannot be opened (${cause.code}).`;
  return new Fault('unavailable', sentence, { cause });
}

export type RoleStarter = (context: Context, health: Health) => Promise<Started>;

/** How each role is started, by its name. */
export type Starters = Readonly<Record<Role, RoleStarter>>;
