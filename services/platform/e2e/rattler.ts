import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { ask } from './ask.js';

export interface Solved {
  readonly url: string;
  readonly filename: string;
  readonly packageName: string;
  readonly version: string;
  readonly sha256: string;
}

interface Rattler {
  simpleSolve(specs: string[], channels: string[], platforms: string[]): Promise<Solved[]>;
}

// A real conda client in JavaScript: it reads the index of a channel, shards first, and solves.
const { simpleSolve } = createRequire(import.meta.url)('@conda-org/rattler') as Rattler;

/** Solves with a real client. Throws an Error with the client's own words. */
export async function solve(specs: readonly string[], channel: string): Promise<readonly Solved[]> {
  try {
    const solved = await simpleSolve([...specs], [channel], ['linux-64', 'noarch']);
    return [...solved].sort((a, b) => (a.filename < b.filename ? -1 : 1));
  } catch (error) {
    throw new Error(String(error));
  }
}

/** Solves, downloads what the solution names and checks its digests: what an installation does before it unpacks. Gives the file names. */
export async function install(specs: readonly string[], channel: string): Promise<readonly string[]> {
  const solved = await solve(specs, channel);
  for (const { url, sha256, filename } of solved) {
    const { status, bytes } = await ask(url);
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (status !== 200 || digest !== sha256) throw new Error(`${filename}: ${status}, ${digest} instead of ${sha256}`);
  }
  return solved.map(({ filename }) => filename);
}
