import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { migrate } from '@vivarium/db/migrate';
import { openPool } from '@vivarium/db/open';
import { startTemporaryPostgres } from '@vivarium/db/temporary';
import { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import { LocalExchange } from '@vivarium/rpc/local';
import { createBusService } from '@vivarium/rpc/nest';
import { Trust } from '@vivarium/trust/trust';
import { type Db, openDb } from './db.js';
import { authzModule } from './module.js';
import type { StandingPorts } from './standing.js';

export interface RunningAuthz {
  readonly bus: Bus;
  readonly db: Db;
  /** For the changes that have no API yet. */
  readonly ports: StandingPorts;
  /** The assertion of a service that calls authz. */
  assertionOf(service: string): Promise<string>;
  stop(): Promise<void>;
}

/** The service on a local bus and a real PostgreSQL. */
export async function startAuthz(): Promise<RunningAuthz> {
  const postgres = await startTemporaryPostgres();
  const { url } = postgres;
  const [log, clock] = [() => undefined, Date.now];
  const dir = fileURLToPath(new URL('../prisma/migrations', import.meta.url));
  await migrate({ url, migrations: [{ schema: 'authz', dir }], log });
  const pool = openPool({ url, schema: 'authz', applicationName: 'authz test', log });
  const bus = new LocalExchange().connect({ error: console.error });
  const secret = randomBytes(32).toString('hex');
  const invalidations = new Invalidations({ service: 'authz', pool, bus, log });
  await invalidations.start();
  const trust = new Trust({ service: 'authz', secret, bus, clock });
  const service = await createBusService(
    authzModule({ pool, trust, invalidations }),
    bus,
    { error: console.error },
    { logger: false },
  );
  await service.listen();
  const db = openDb(pool);
  return {
    bus,
    db,
    ports: { db, invalidations, clock },
    assertionOf: (name) => new Trust({ service: name, secret, bus, clock }).assertionFor('authz'),
    async stop() {
      await service.close();
      await invalidations.stop();
      await bus.drain();
      await db.$disconnect();
      await pool.end();
      await postgres.stop();
    },
  };
}
