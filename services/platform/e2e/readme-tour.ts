import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ClientOptions, type ClientResult, runClient } from '@vivarium/testkit/clients';

const MARK = '<!-- tour -->';

/** The commands of the block behind the mark, in order, a comment or empty line left out; undefined if there is no such block. */
export function tourIn(readme: string): readonly string[] | undefined {
  const [, after] = readme.split(MARK, 2);
  const block = after === undefined ? undefined : /^\s*```\w*\n([\s\S]*?)^```/m.exec(after)?.[1];
  return block
    ?.replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

/** The commands of the README of this repository. */
export function readmeTour(): readonly string[] | undefined {
  return tourIn(readFileSync(new URL('../../../README.md', import.meta.url), 'utf8'));
}

/** Names of the package files that a command takes. */
export function filesIn(command: string): readonly string[] {
  return command.split(/\s+/).filter((word) => /^[^-$'"/].*\.(conda|tar\.bz2|whl|tar\.gz)$/.test(word));
}

/**
 * A shell that a person would have the tour in: one folder, one home, and variables that live from one command to the next.
 * Every command is a process of its own, so that each gets its own standard input.
 */
export class TourShell {
  readonly #home: string;
  readonly #env: Readonly<Record<string, string>>;

  constructor(home: string, env: Readonly<Record<string, string>>) {
    this.#home = home;
    this.#env = env;
  }

  /** Runs one command as it stands. */
  async run(command: string, options: Pick<ClientOptions, 'input' | 'timeoutMs'> = {}): Promise<ClientResult> {
    const kept = join(this.#home, 'variables');
    const script = join(this.#home, 'command');
    await writeFile(script, `set -ae\n[ ! -f "${kept}" ] || . "${kept}"\n${command}\nexport -p >"${kept}"\n`);
    return runClient('bash', [script], { ...options, home: this.#home, env: this.#env });
  }

  /** The value of a variable that the tour set. */
  async valueOf(name: string): Promise<string> {
    return (await this.run(`printf %s "$${name}"`)).stdout;
  }
}
