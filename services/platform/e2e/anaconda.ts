import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { type ClientResult, clientEnvironment, newHome, removeHome } from '@vivarium/testkit/clients';
import { type Venv, venvBin } from '@vivarium/testkit/programs';

/**
 * The real `anaconda` client, its modules imported once: each command runs in a fork of that process, in a session without a
 * terminal, with standard input, output and errors of its own. Starting Python anew takes ten times as long as a command.
 */
const FORKING = `
import json, os, sys, tempfile, traceback
import binstar_client.scripts.cli as cli

def run(request, files):
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    sys.stdin = open(0, encoding='utf-8', closefd=False)
    os.environ.update(request['env'])
    os.chdir(request['cwd'])
    sys.argv = ['anaconda', *request['argv']]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

print('ready', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    files = [tempfile.TemporaryFile() for _ in range(3)]
    files[0].write(request['input'].encode())
    files[0].seek(0)
    child = os.fork()
    if child == 0:
        run(request, files)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for file in files[1:]:
        file.seek(0)
        texts.append(file.read().decode('utf-8', 'replace'))
    print(json.dumps({'code': code, 'stdout': texts[0], 'stderr': texts[1]}), flush=True)
`;

export interface CommandOptions {
  /** What the client reads on standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Somebody at a machine with the `anaconda` client: a home folder, its configuration and its token. */
export class Anaconda {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly home: string,
    child: ChildProcessWithoutNullStreams,
  ) {
    this.#child = child;
    this.#lines = createInterface(child.stdout);
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** With the configuration that `anaconda config --set url` leaves. */
  static async at(api: string, env: Readonly<Record<string, string>> = {}, venv?: Venv): Promise<Anaconda> {
    const client = await Anaconda.unconfigured(env, venv);
    await client.ok(['config', '--set', 'url', api]);
    return client;
  }

  static async unconfigured(env: Readonly<Record<string, string>> = {}, venv?: Venv): Promise<Anaconda> {
    const home = await newHome();
    const program = venvBin('python', venv);
    if (program === undefined) throw new Error('the Python clients are not installed');
    const child = spawn(program, ['-u', '-c', FORKING], { cwd: home, env: clientEnvironment(home, env) });
    child.stderr.resume();
    const client = new Anaconda(home, child);
    const first = await client.#answers.next();
    if (first.value !== 'ready') throw new Error('the anaconda client does not start');
    return client;
  }

  /** A folder in the home, made if need be. */
  folder(...names: readonly string[]): string {
    const path = join(this.home, ...names);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Runs one command, after those before it. Its parameters come without `anaconda`. */
  run(argv: readonly string[], options: CommandOptions = {}): Promise<ClientResult> {
    const { input = '', env = {} } = options;
    const mine = this.#last.then(async () => {
      this.#child.stdin.write(`${JSON.stringify({ argv, input, env, cwd: this.home })}\n`);
      const { value } = await this.#answers.next();
      if (typeof value !== 'string') throw new Error(`the client ended in the middle of anaconda ${argv.join(' ')}`);
      return JSON.parse(value) as ClientResult;
    });
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  /** As `run`; throws an Error with all that was said unless it ended well. */
  async ok(argv: readonly string[], options?: CommandOptions): Promise<ClientResult> {
    const result = await this.run(argv, options);
    if (result.code === 0) return result;
    throw new Error(`anaconda ${argv.join(' ')} ended with ${result.code}:\n${result.stdout}\n${result.stderr}`);
  }

  /** All that a command said, and how it ended. */
  async said(argv: readonly string[], options?: CommandOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options);
    return `exit ${code}\n${stdout}${stderr}`;
  }

  async stop(): Promise<void> {
    await this.#last;
    this.#child.stdin.end();
    this.#lines.close();
    await new Promise((resolve) => (this.#child.exitCode === null ? this.#child.once('exit', resolve) : resolve(0)));
    await removeHome(this.home);
  }
}
