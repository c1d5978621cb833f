import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface ClientOptions {
  /** Beside what every client gets; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The home folder unless said otherwise. */
  readonly cwd?: string;
  /** What the client reads on standard input: nothing unless given. */
  readonly input?: string | Uint8Array;
  /** 120,000 unless said otherwise. */
  readonly timeoutMs?: number;
  /** A home folder kept over several runs, from `newHome`; a fresh one for this run unless given. */
  readonly home?: string;
}

export interface ClientResult {
  /** The exit code, or -1 if a signal ended the client. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Runs a real client and gives what it said. Its home is a temporary folder, so neither this machine's configuration nor
 * a former run's login has a say; proxies and pip's settings of this machine are taken away; it has no terminal, so that
 * it reads passwords from standard input.
 * Throws an Error with the output so far if it takes longer than `timeoutMs` or cannot be started.
 */
export async function runClient(
  command: string,
  parameters: readonly string[],
  options: ClientOptions = {},
): Promise<ClientResult> {
  const home = options.home ?? (await newHome());
  try {
    return await run(command, parameters, options, home);
  } finally {
    if (options.home === undefined) await removeHome(home);
  }
}

/** A new, empty home folder for a client. Whoever makes it removes it with `removeHome`. */
export function newHome(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'vivarium-home-'));
}

/** Removes a folder made by `newHome`. */
export async function removeHome(home: string): Promise<void> {
  await rm(home, { recursive: true, force: true, maxRetries: 3 });
}

function run(
  command: string,
  parameters: readonly string[],
  options: ClientOptions,
  home: string,
): Promise<ClientResult> {
  return new Promise((resolve, reject) => {
    // A session of its own has no terminal: getpass then reads standard input instead of /dev/tty.
    const child = spawn(command, parameters, {
      cwd: options.cwd ?? home,
      env: clientEnvironment(home, options.env ?? {}),
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let outputBytes = 0;
    const collect = (into: Buffer[]) => (chunk: Buffer) => {
      outputBytes += chunk.length;
      if (outputBytes <= OUTPUT_LIMIT_BYTES) into.push(chunk);
    };
    child.stdout.on('data', collect(stdout));
    child.stderr.on('data', collect(stderr));
    // A client that does not read its input is not an error of ours.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);

    const timeoutMs = options.timeoutMs ?? 120_000;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      // The whole session: clients start others, which would keep the pipes open.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      const result = {
        code: code ?? -1,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      };
      if (!late) resolve(result);
      else reject(new Error(`${command} took longer than ${timeoutMs} ms:\n${result.stdout}\n${result.stderr}`));
    });
  });
}

/** What a client finds in its environment: nothing of this machine's configuration. `undefined` takes a variable away. */
export function clientEnvironment(
  home: string,
  extra: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const wanted: Record<string, string | undefined> = {
    PATH: process.env.PATH,
    SystemRoot: process.env.SystemRoot,
    HOME: home,
    USERPROFILE: home,
    TMPDIR: process.env.TMPDIR,
    XDG_CACHE_HOME: join(home, '.cache'),
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_DATA_HOME: join(home, '.local', 'share'),
    LANG: 'C.UTF-8',
    BINSTAR_CONFIG_DIR: join(home, 'binstar'),
    // Passwords over plain http, with the client's own command line instead of the one that opens a browser.
    ANACONDA_CLIENT_FORCE_STANDALONE: '1',
    ANACONDA_CLIENT_LEGACY_INTERACTIVE_LOGIN: '1',
    ANACONDA_TELEMETRY_ENABLED: 'false',
    PYTHONWARNINGS: 'ignore',
    PYTHON_KEYRING_BACKEND: 'keyring.backends.null.Keyring',
    PIP_CONFIG_FILE: process.platform === 'win32' ? 'nul' : '/dev/null',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    PIP_NO_INPUT: '1',
    UV_NO_CONFIG: '1',
    UV_PYTHON_DOWNLOADS: 'never',
    POETRY_NO_INTERACTION: '1',
    NO_PROXY: '*',
    no_proxy: '*',
    NO_COLOR: '1',
    ...extra,
  };
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(wanted)) if (value !== undefined) environment[name] = value;
  return environment;
}
