import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Health } from '@vivarium/boot/health';
import type { BlobPorts, CounterPorts, RolePorts } from '@vivarium/boot/ports';
import { Invalidations as AuthzInvalidations } from '@vivarium/contracts/gen/vivarium/authz/v1/views_pb';
import { Invalidations as CondaInvalidations } from '@vivarium/contracts/gen/vivarium/condaindex/v1/heads_pb';
import { Invalidations as IdentityInvalidations } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { Invalidations as PackagesInvalidations } from '@vivarium/contracts/gen/vivarium/packages/v1/channels_pb';
import { Invalidations as PypiInvalidations } from '@vivarium/contracts/gen/vivarium/pypiindex/v1/heads_pb';
import { clientOf } from '@vivarium/rpc/rpc';
import { Access } from './access.js';
import { rememberArrival } from './arrival.js';
import { FactCache } from './cache.js';
import { Conda } from './conda.js';
import { watch } from './currency.js';
import { Downloads } from './downloads.js';
import { Files } from './files.js';
import { Floors } from './floor.js';
import { Lease } from './lease.js';
import { createListener } from './listener.js';
import { ObjectStore } from './object-store.js';
import { Peer } from './peer.js';
import { Pypi } from './pypi.js';

export type GatewayPorts = RolePorts & BlobPorts & CounterPorts;

/** A gateway that answers. */
export interface Gateway {
  readonly server: Server;
  /** True while it may answer from memory what every service said. */
  isLeased(): boolean;
  /** Takes no further connection, lets requests end, gives up its leases. */
  stop(): Promise<void>;
}

export type Router = (request: IncomingMessage, response: ServerResponse) => void;

const MEMORY_BYTES = 256 * 2 ** 20;

/**
 * Opens the gateway's server, not yet listening: reads are answered here, the rest by `router`. The leases are asked for in
 * the order subscribe, flush, lease, and only then is anything remembered.
 */
export async function openGateway(ports: GatewayPorts, router: Router, health: Health): Promise<Gateway> {
  const leases = new Map<string, Lease>();
  const nowMs = (): number => performance.now();
  const cache = new FactCache({ isLeased: (service) => leases.get(service)?.isHeld() === true, nowMs });
  const isLeased = (): boolean => [...leases.values()].every((lease) => lease.isHeld());
  const floors = new Floors({ cache, blobs: ports.blobs, nowMs });
  const objects = new ObjectStore(ports.blobs, MEMORY_BYTES);
  const access = new Access(ports, cache, floors);
  const downloads = new Downloads(ports);
  const files = new Files(ports, floors, objects, ports.blobs, downloads);
  const parts = { ports, access, floors, objects, files };
  const peer = new Peer(ports.config.trustedProxies);
  const listener = createListener({
    ports,
    conda: new Conda(parts),
    pypi: new Pypi(parts),
    peer,
    health,
    watch: () => watch({ cache, isLeased, nowMs }),
    others: (request, response, target) => {
      const address = peer.addressOf(request);
      rememberArrival(request, { target, address, atMs: performance.now(), head: response });
      // One router for the API's own host and for the path on the main host.
      if (target.family !== 'web') request.url = `/${target.family}${request.url === '/' ? '' : request.url}`;
      router(request, response);
    },
  });
  const server = createServer(
    {
      // The client waits ten hours for its upload; how long a body may take is a matter of the route.
      requestTimeout: 0,
      headersTimeout: 20_000,
      // Longer than any proxy's idle time, so that the next call of a long upload finds its connection alive.
      keepAliveTimeout: 650_000,
      maxHeaderSize: 16 * 1024,
      // One parser, strict: what two parsers could read differently is refused.
      insecureHTTPParser: false,
      // Of two Hosts or Authorizations node would take the first, a proxy perhaps the last: joined they are neither.
      joinDuplicateHeaders: true,
      noDelay: true,
    },
    listener,
  );
  server.maxHeadersCount = 100;
  for (const [service, lease] of leasesOf(ports, cache)) leases.set(service, lease);
  await Promise.all([...leases.values()].map((lease) => lease.start()));
  return {
    server,
    isLeased,
    stop: async () => {
      // Told at once too: connections may take longer to end than there is time.
      await Promise.all([closeServer(server), downloads.tell()]);
      await downloads.stop();
      await Promise.all([...leases.values()].map((lease) => lease.stop()));
    },
  };
}

function leasesOf(ports: GatewayPorts, cache: FactCache): readonly (readonly [string, Lease])[] {
  const holder = `gateway-${randomBytes(12).toString('hex')}`;
  const { bus, trust, log } = ports;
  const contracts = [
    ['identity', clientOf(IdentityInvalidations, bus)],
    ['authz', clientOf(AuthzInvalidations, bus)],
    ['packages', clientOf(PackagesInvalidations, bus)],
    ['conda-index', clientOf(CondaInvalidations, bus)],
    ['pypi-index', clientOf(PypiInvalidations, bus)],
  ] as const;
  return contracts.map(([service, client]) => {
    const lease = new Lease({
      service,
      holder,
      bus,
      ask: async (held) => client.lease(held, { assertion: await trust.assertionFor(service), timeoutMs: 2_000 }),
      forget: (facts) => cache.forget(facts),
      forgetAll: () => cache.forgetService(service),
      nowMs: () => performance.now(),
      log: (line) => log.info(line),
    });
    return [service, lease] as const;
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) {
      resolve();
      return;
    }
    server.close(() => resolve());
    server.closeIdleConnections();
  });
}
