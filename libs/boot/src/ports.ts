import type { Blobs } from '@vivarium/blobs/blobs';
import type { Counters } from '@vivarium/counters/counters';
import type { Invalidations } from '@vivarium/invalidation/invalidations';
import type { Bus } from '@vivarium/rpc/bus';
import type { Trust } from '@vivarium/trust/trust';
import type { Pool } from 'pg';
import type { Config } from './config.js';
import type { Log } from './log.js';

/** What every role is given by whoever starts it. Ports, not drivers: no role knows which one it got. */
export interface RolePorts {
  /** Name of the role, which is also the name of its queue on the bus. */
  readonly service: string;
  readonly config: Config;
  readonly bus: Bus;
  readonly log: Log;
  readonly trust: Trust;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/** A role with a schema of its own. */
export interface DatabasePorts extends RolePorts {
  readonly pool: Pool;
  readonly invalidations: Invalidations;
}

export interface BlobPorts {
  readonly blobs: Blobs;
}

export interface CounterPorts {
  readonly counters: Counters;
}

/** Injection token of a role's ports. */
export const PORTS = Symbol('ports');
