import { existsSync } from 'node:fs';
import { startNats } from './nats-server.js';
import { startPostgres } from './postgres-server.js';
import { startRedis } from './redis-server.js';
import { startS3 } from './s3-server.js';
import type { ServerSources, TestServer } from './test-server.js';

export type { TestServer } from './test-server.js';

export type ServerKind = 'postgres' | 'nats' | 'redis' | 's3';

const SOURCES: Readonly<Record<ServerKind, ServerSources>> = {
  postgres: startPostgres,
  nats: startNats,
  redis: startRedis,
  s3: startS3,
};

/**
 * Gives a real server: the one named by the environment, else one run from a program of this machine on a free port of
 * 127.0.0.1 in a temporary folder, else one in a container. Throws an Error that names what to install if there is none.
 */
export async function startServer(kind: ServerKind): Promise<TestServer> {
  const sources = SOURCES[kind];
  const server = (await sources.given()) ?? (await sources.local());
  if (server !== undefined) return server;
  if (hasDocker()) return sources.container();
  throw new Error(`No ${kind} server for the tests: ${sources.remedy}, or start Docker.`);
}

function hasDocker(): boolean {
  return process.env.DOCKER_HOST !== undefined || existsSync('/var/run/docker.sock');
}
