/** How a server goes away for a while. */
export interface Outage {
  /** `SIGTERM`, which lets it end in its own way, unless given; `SIGKILL` lets it do nothing any more. */
  readonly signal?: 'SIGTERM' | 'SIGKILL';
  /** How long connections are refused before it is started again; 0 unless given. */
  readonly downMs?: number;
}

/** A real server for a test, with the configuration that the product reads (`DATABASE_URL`, `NATS_URL`, `REDIS_URL`, `S3_*`). */
export interface TestServer {
  readonly env: Readonly<Record<string, string>>;
  /** Ends what was started for this test, and removes what the test stored on a server that was there before. */
  stop(): Promise<void>;
  /**
   * Ends the server and starts it again at the same address with all it had stored; resolves when it answers. Undefined for a
   * server that was there before, which is not ours to end.
   */
  restart?(outage?: Outage): Promise<void>;
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
