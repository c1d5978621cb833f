import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { types } from 'node:util';
import { Fault, isFault } from '@vivarium/fault/fault';
import pg from 'pg';
import { findPrograms, type Programs, type RunAs, spawnAs } from './postgres-programs.js';
import { disownPostmasterFile, isAlive, isPostmasterOf, readPostmasterFile } from './postmaster-file.js';

export interface EmbeddedPostgres {
  /** Connection URL of the database `vivarium`, password included: not for logs. */
  readonly url: string;
  /** Ends the server within about 2 s; sessions that are still open are cut, committed data is kept. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Our folder; the server lives in `postgres` below it. Made if missing. */
  readonly dataDir: string;
  /** TCP port on 127.0.0.1; a free one unless given. */
  readonly port?: number;
  /** Takes one line of progress for the operator. Never holds a secret. */
  readonly log: (line: string) => void;
}

// The tree on disk. One rename publishes it, so a crash while it is made leaves nothing half-made behind.
//   <dataDir>/postgres/data        the server's own folder
//   <dataDir>/postgres/password    of the superuser `vivarium`, mode 0600
//   <dataDir>/postgres/server.log  what the server says; no statement and no row value
interface Cluster {
  readonly dir: string;
  readonly dataDir: string;
  readonly passwordFile: string;
  readonly logFile: string;
}

const MAJOR_VERSION = '18';
const DRAFT = 'postgres-new-';
const USER = 'vivarium';
const DATABASE = 'vivarium';
// Held by the process whose server this is; its session ends with the process, so a held lock means a living owner.
const OWNER_LOCK = 7_611_840_187;
const LONGEST_PAUSE_MS = 10_000;

// Small, for a server that shares a machine with everything else. Durability is left as it is: fsync and
// synchronous_commit are on. Statements and row values stay out of the log, which is a plain file.
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  shared_buffers: '64MB',
  max_wal_size: '256MB',
  max_worker_processes: '4',
  max_logical_replication_workers: '0',
  autovacuum_max_workers: '2',
  io_method: 'sync',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
} as const;

/**
 * Runs a real PostgreSQL 18 in `dataDir`, made at the first start and found again at every later one, also after a
 * crash of the machine, of the server or of this process. The server ends with this process, however that ends,
 * and is started again, on the same port, if it ends alone.
 * Throws Fault('unavailable') with a line for the operator if the folder is broken, unwritable or in use, or the port is taken.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log } = options;
  const dataDir = await openFolder(options.dataDir);
  const cluster = clusterIn(dataDir);
  const programs = await findPrograms(cluster.dir);
  if ((await stat(cluster.dir).catch(() => undefined)) === undefined) {
    log(`Making a PostgreSQL ${MAJOR_VERSION} database in ${cluster.dir} (once, a few seconds)`);
    await makeCluster(dataDir, programs);
  }
  await giveAway(dataDir, cluster, programs.as);
  const password = await readPassword(cluster);
  await endFormerServer(cluster, password, log);
  const server = new Server(cluster, programs, password, log);
  await server.start(options.port);
  log(`PostgreSQL ${MAJOR_VERSION} is ready on 127.0.0.1:${server.port}`);
  return { url: urlOf(server.port, password, DATABASE), stop: () => server.stop() };
}

class Server {
  port = 0;
  private child: ChildProcess | undefined;
  private watcher: ChildProcess | undefined;
  private owner: pg.Client | undefined;
  private owning: Promise<void> | undefined;
  private stopping = false;
  private restarting: Promise<void> = Promise.resolve();
  /** When it was started again, in the last minute. */
  private readonly starts: number[] = [];

  constructor(
    private readonly cluster: Cluster,
    private readonly programs: Programs,
    private readonly password: string,
    private readonly log: (line: string) => void,
  ) {}

  async start(port: number | undefined): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.port = port ?? (await freePort());
      try {
        await this.launch();
        break;
      } catch (error) {
        // Somebody took the free port between our look and the server's: look again.
        if (port !== undefined || attempt === 5 || !isPortTaken(error)) throw error;
      }
    }
    try {
      await this.own();
      await this.makeDatabase();
    } catch (error) {
      await this.stop();
      // Another process that began at the same moment took this server for one that was left running, and ended it.
      throw isEndedByOthers(error) ? inUse(this.cluster, error) : error;
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await this.restarting;
    await this.owner?.end().catch(() => undefined);
    await this.end();
  }

  private async launch(): Promise<void> {
    const started = Date.now();
    for (;;) {
      try {
        return await this.launchOnce();
      } catch (error) {
        // After the server was killed, its other processes take a moment to notice and to let go of the folder.
        const passing = types.isNativeError(error) && /still in use|already exists/.test(String(error.cause));
        if (!passing || Date.now() - started > 10_000) throw error;
        await sleep(100);
      }
    }
  }

  private async launchOnce(): Promise<void> {
    const { cluster, programs } = this;
    const from = await logSizeOf(cluster);
    const out = await open(cluster.logFile, 'a', 0o600);
    const args = ['-D', cluster.dataDir, '-p', String(this.port)];
    for (const [name, value] of Object.entries(SETTINGS)) args.push('-c', `${name}=${value}`);
    // A session of its own: Ctrl-C in the terminal is for us, who let requests finish before the server ends.
    const child = spawnAs(programs.as, programs.postgres, args, {
      stdio: ['ignore', out.fd, out.fd],
      detached: true,
      cwd: cluster.dataDir,
    });
    let failed: Error | undefined;
    child.once('error', (error) => {
      failed = error;
    });
    await out.close();
    let waitedMs = 0;
    while (failed === undefined && !hasEnded(child)) {
      const file = await readPostmasterFile(cluster.dataDir);
      if (file?.pid === child.pid && file?.ready) {
        this.adopt(child);
        return;
      }
      await sleep(20);
      waitedMs += 20;
      if (waitedMs % 5_000 === 0)
        this.log(`PostgreSQL is still starting in ${cluster.dir} (recovery after a crash takes time)`);
    }
    throw await startFaultOf(cluster, this.port, from, failed);
  }

  private adopt(child: ChildProcess): void {
    this.child = child;
    this.watcher = watchOver(child);
    child.once('exit', () => {
      this.watcher?.stdin?.end('ended\n');
      if (!this.stopping) this.restarting = this.restart();
    });
  }

  // Never rejects: while the server cannot be had again, its clients see that it is unavailable. It is tried for ever: what keeps
  // it from starting, as a full disk, is mended by somebody who does not know of us.
  private async restart(): Promise<void> {
    this.log('PostgreSQL ended unexpectedly and is started again');
    try {
      if (!(await this.relaunch())) return;
      await this.own();
      this.log(`PostgreSQL is ready again on 127.0.0.1:${this.port}`);
    } catch (error) {
      this.complain(error);
    }
  }

  /** False if it was told to stop before the server was there. */
  private async relaunch(): Promise<boolean> {
    for (;;) {
      await this.pause();
      if (this.stopping) return false;
      try {
        await this.launch();
        return true;
      } catch (error) {
        this.complain(error);
      }
    }
  }

  private complain(error: unknown): void {
    this.log(types.isNativeError(error) ? error.message : `PostgreSQL cannot start again: see ${this.cluster.logFile}`);
  }

  /** Nothing for the first starts of a minute, then longer and longer. */
  private async pause(): Promise<void> {
    const now = Date.now();
    while (this.starts[0] !== undefined && now - this.starts[0] > 60_000) this.starts.shift();
    this.starts.push(now);
    const pauseMs = this.starts.length <= 3 ? 0 : Math.min(250 * 2 ** (this.starts.length - 4), LONGEST_PAUSE_MS);
    const until = now + pauseMs;
    while (!this.stopping && Date.now() < until) await sleep(50);
  }

  /** Takes the owner's lock and keeps it for the life of this process. */
  private own(): Promise<void> {
    this.owning ??= this.takeLock().finally(() => {
      this.owning = undefined;
    });
    return this.owning;
  }

  private async takeLock(): Promise<void> {
    for (let attempt = 1; !this.stopping; attempt++) {
      const client = await tryToOwn(this.cluster, this.port, this.password);
      if (typeof client !== 'string') {
        this.owner = client;
        client.once('end', () => {
          // The server cuts every session when one of its processes crashes, and goes on by itself.
          if (!this.stopping) void this.own().catch(() => undefined);
        });
        return;
      }
      if (attempt === 400) throw inUse(this.cluster);
      await sleep(50);
    }
  }

  private async makeDatabase(): Promise<void> {
    const exists = await this.owner?.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (exists?.rowCount === 0) await this.owner?.query(`CREATE DATABASE ${DATABASE}`);
  }

  private async end(): Promise<void> {
    const child = this.child;
    if (child === undefined || hasEnded(child)) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGINT');
    // A slow disk may make the last checkpoint long; what is committed is in the log already, so it may be skipped.
    const impatient = setTimeout(() => child.kill('SIGQUIT'), 2_000);
    await ended;
    clearTimeout(impatient);
  }
}

/** A shell that reads a pipe of ours. When we die, however we die, the pipe closes and the shell ends the server. */
function watchOver(child: ChildProcess): ChildProcess | undefined {
  if (child.pid === undefined || process.platform === 'win32') return undefined;
  const script = 'trap "" INT TERM HUP; read -r word || kill -INT "$1" 2>/dev/null';
  const watcher = spawn('/bin/sh', ['-c', script, 'sh', String(child.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    env: {},
  });
  watcher.on('error', () => undefined);
  watcher.stdin?.on('error', () => undefined);
  return watcher;
}

async function makeCluster(dataDir: string, { initdb, as }: Programs): Promise<void> {
  await removeOldDrafts(dataDir);
  const dir = await mkdtemp(join(dataDir, DRAFT)).catch((error: unknown) => {
    throw unusable(dataDir, error);
  });
  const draft = clusterIn(dataDir, dir);
  try {
    await mkdir(draft.dataDir, { mode: 0o700 });
    await writeFile(draft.passwordFile, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    await giveAway(dataDir, draft, as);
    await runInitdb(draft, clusterIn(dataDir), initdb, as);
    await rename(draft.dir, clusterIn(dataDir).dir);
  } catch (error) {
    await rm(draft.dir, { recursive: true, force: true });
    // Two processes began at once: the other one's database is as good as ours.
    if (isErrno(error, 'ENOTEMPTY') || isErrno(error, 'EEXIST')) return;
    throw isFault(error) ? error : unusable(dataDir, error);
  }
}

/** What a process that was killed at its first start left behind. A young one may be another process's, at work now. */
async function removeOldDrafts(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const path = join(dataDir, name);
    if (!name.startsWith(DRAFT) || Date.now() - (await stat(path)).mtimeMs < 600_000) continue;
    await rm(path, { recursive: true, force: true });
  }
}

/** Lets another account own the cluster and enter, but not list, the folder around it. */
async function giveAway(dataDir: string, cluster: Cluster, as: RunAs): Promise<void> {
  if (as.way !== 'account' || (await stat(cluster.dir)).uid === as.uid) return;
  await chown(dataDir, 0, as.gid);
  await chmod(dataDir, (await stat(dataDir)).mode | 0o010);
  const paths = await readdir(cluster.dir, { recursive: true });
  for (const path of [...paths.map((each) => join(cluster.dir, each)), cluster.dir]) await lchown(path, as.uid, as.gid);
}

async function runInitdb(cluster: Cluster, target: Cluster, initdb: string, as: RunAs): Promise<void> {
  const args = [
    `--pgdata=${cluster.dataDir}`,
    `--username=${USER}`,
    `--pwfile=${cluster.passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
  ];
  const child = spawnAs(as, initdb, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: cluster.dir });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (bytes: Buffer) => {
      said = (said + bytes.toString()).slice(-4_000);
    });
  }
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? undefined : lastComplaintOf(said)));
  });
  if (failure === undefined) return;
  const remedy =
    as.way === 'account'
      ? 'put DATA_DIR where the account postgres may enter, start as an ordinary user, or set DATABASE_URL'
      : 'choose a DATA_DIR on a disk with room that this user may write, or set DATABASE_URL';
  throw new Fault('unavailable', `PostgreSQL cannot make a database in ${target.dir} (${failure}): ${remedy}.`);
}

/** Ends a server that outlived its process. Throws Fault('unavailable') if its process is alive. */
async function endFormerServer(cluster: Cluster, password: string, log: (line: string) => void): Promise<void> {
  const began = Date.now();
  for (;;) {
    const file = await readPostmasterFile(cluster.dataDir);
    if (file === undefined || !isAlive(file.pid)) return;
    if (!(await isPostmasterOf(file.pid, cluster.dataDir))) {
      await disownPostmasterFile(cluster.dataDir);
      return;
    }
    // A server that starts up or shuts down refuses us for a moment; so does one whose owner is just ending.
    const owned = await tryToOwn(cluster, file.port, password);
    if (typeof owned !== 'string') {
      log(`Ending a PostgreSQL (process ${file.pid}) that was left running in ${cluster.dir}`);
      if (isAlive(file.pid)) process.kill(file.pid, 'SIGINT');
      await owned.end().catch(() => undefined);
    }
    if (Date.now() - began > (owned === 'taken' ? 3_000 : 15_000)) throw inUse(cluster);
    await sleep(100);
  }
}

/** A session that holds the owner's lock; 'taken' if a living process holds it; 'away' if the server does not answer now. */
async function tryToOwn(cluster: Cluster, port: number, password: string): Promise<pg.Client | 'taken' | 'away'> {
  const client = new pg.Client({
    connectionString: urlOf(port, password, 'postgres'),
    application_name: 'vivarium owner',
    connectionTimeoutMillis: 3_000,
    keepAlive: true,
  });
  // Its loss is noticed by 'end'; without a listener the error would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ owned: boolean }>('SELECT pg_try_advisory_lock($1) AS owned', [OWNER_LOCK]);
    if (rows[0]?.owned === true) return client;
    await client.end();
    return 'taken';
  } catch (error) {
    if (isErrno(error, '28P01')) throw broken(cluster, 'the server does not accept the password of the file password');
    return 'away';
  }
}

async function openFolder(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    return await realpath(dataDir);
  } catch (error) {
    throw unusable(dataDir, error);
  }
}

async function readPassword(cluster: Cluster): Promise<string> {
  const version = await readFile(join(cluster.dataDir, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) throw broken(cluster, 'data/PG_VERSION is missing or unreadable');
  if (version.trim() !== MAJOR_VERSION)
    throw broken(cluster, `it was made by PostgreSQL ${version.trim()}, this is ${MAJOR_VERSION}`);
  const password = await readFile(cluster.passwordFile, 'utf8').catch(() => '');
  if (password.trim() === '') throw broken(cluster, 'the file password is missing or unreadable');
  return password.trim();
}

async function startFaultOf(cluster: Cluster, port: number, from: number, failed: Error | undefined): Promise<Fault> {
  const said = failed?.message ?? (await readFile(cluster.logFile)).subarray(from).toString();
  const cause = new Error(said.slice(-4_000));
  if (said.includes('Address already in use')) {
    return new Fault(
      'unavailable',
      `Port ${port} of 127.0.0.1 is in use: stop what listens there, or choose another port.`,
      { cause },
    );
  }
  if (said.includes('lock file "postmaster.pid" already exists')) return inUse(cluster, cause);
  if (said.includes('No space left on device')) {
    return new Fault('unavailable', `The disk of ${cluster.dir} is full: free space there, or enlarge it.`, { cause });
  }
  return broken(cluster, lastComplaintOf(said), cause);
}

function broken(cluster: Cluster, reason: string, cause?: Error): Fault {
  return new Fault(
    'unavailable',
    `PostgreSQL cannot start in ${cluster.dir} (${reason}): restore this folder from a backup, or move it away to begin with an empty database.`,
    { cause },
  );
}

function inUse(cluster: Cluster, cause?: Error): Fault {
  return new Fault(
    'unavailable',
    `${cluster.dir} is in use by another Vivarium: stop that one, or set DATA_DIR to another folder.`,
    { cause },
  );
}

/** True for what a session says when its server was told to end. */
function isEndedByOthers(error: unknown): error is Error {
  return (
    isErrno(error, '57P01') ||
    (types.isNativeError(error) && /terminated unexpectedly|not queryable/.test(error.message))
  );
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function unusable(dataDir: string, cause: unknown): Fault {
  return new Fault(
    'unavailable',
    `${dataDir} cannot be used (${reasonOf(cause)}): let this user write it, or set DATA_DIR to another folder.`,
    { cause },
  );
}

function isPortTaken(error: unknown): boolean {
  return isFault(error) && error.message.startsWith('Port ');
}

function lastComplaintOf(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const line = lines.findLast((each) => /FATAL|PANIC|ERROR|error:/i.test(each)) ?? lines.at(-1) ?? 'it said nothing';
  return line.replace(/^.*?(FATAL|PANIC|ERROR|error):\s*/i, '').trim();
}

/** Where this start's part of the log begins. A long log is emptied first: it is for the last start, not for history. */
async function logSizeOf(cluster: Cluster): Promise<number> {
  const size = (await stat(cluster.logFile).catch(() => undefined))?.size ?? 0;
  if (size < 1_000_000) return size;
  await truncate(cluster.logFile);
  return 0;
}

function clusterIn(dataDir: string, dir = join(dataDir, 'postgres')): Cluster {
  return { dir, dataDir: join(dir, 'data'), passwordFile: join(dir, 'password'), logFile: join(dir, 'server.log') };
}

function urlOf(port: number, password: string, database: string): string {
  return `postgresql://${USER}:${password}@127.0.0.1:${port}/${database}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

function isErrno(error: unknown, code: string): boolean {
  return types.isNativeError(error) && 'code' in error && error.code === code;
}

function reasonOf(error: unknown): string {
  return types.isNativeError(error) && 'code' in error ? String(error.code) : 'it cannot be opened';
}
