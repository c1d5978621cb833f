// Runs a tool from node_modules/.bin under Node 24, to its end.
import { spawnSync } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { Complaint, node24, repositoryRoot } from './node24.mjs';

/** The environment in which `#!/usr/bin/env node` means Node 24, and the tools of node_modules are on PATH. */
export function toolEnvironment() {
  const bin = join(repositoryRoot, 'node_modules', '.bin');
  return { ...process.env, PATH: [dirname(node24(repositoryRoot)), bin, process.env.PATH ?? ''].join(delimiter) };
}

/** Runs a tool at the root and gives its exit code and output; `show` lets the output through to the terminal instead. */
export function runTool(command, args, { show = false, env = {} } = {}) {
  const result = spawnSync(command, args, {
    cwd: repositoryRoot,
    encoding: 'utf8',
    env: { ...toolEnvironment(), ...env },
    maxBuffer: 64 * 1024 * 1024,
    stdio: show ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  if (result.error) throw new Complaint(`${command} could not be started: ${result.error.message}`);
  return {
    code: result.status ?? 1,
    output: `${result.stdout ?? ''}${result.stderr ?? ''}`,
    stdout: result.stdout ?? '',
  };
}
