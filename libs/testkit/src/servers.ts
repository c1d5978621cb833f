import { existsSync } from 'node:fs';
import { startNats } from './nats-server.js';
import { startPostgres } from './postgres-server.js';
import { startRedis } from './redis-server.js';
import { startS3 } from './s3-server.js';

export type ServerKind = 'postgres' | 'nats' | 'redis' | 's3';

/** A real server for a test, with the configuration that the product reads (`DATABASE_URL`, `NATS_URL`, `REDIS_URL`, `S3_*`). */
export interface TestServer {
  readonly env: Readonly<Record<string, string>>;
  /** Ends what was started for this test, and removes what the test stored on a server that was there before. */
  stop(): Promise<void>;
}

/** Where a server of one kind may come from, best first. `undefined` means: not here. */
export interface ServerSources {
  /** One that the environment names (`TEST_DATABASE_URL`, `TEST_NATS_URL`, `TEST_REDIS_URL`, `TEST_S3_ENDPOINT` and keys). */
  given(): Promise<TestServer | undefined>;
  /** One run from a program of this machine. */
  local(): Promise<TestServer | undefined>;
  /** One run in a container; only asked when a Docker socket is there. */
  container(): Promise<TestServer>;
  /** What to install when there is none. */
  readonly remedy: string;
}

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
