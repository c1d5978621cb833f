import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Everything by which the product says something to somebody. */
export const CHANNELS = ['logs', 'spans', 'metrics', 'answers', 'database', 'processes'] as const;
export type Channel = (typeof CHANNELS)[number];

export interface Said {
  /** Which process, address or table. */
  readonly source: string;
  readonly text: string;
}

/**
 * True if this run of tests keeps a record: which secrets it made and what the product said, over all its specs, so that
 * one can be searched for the other at the end. It lies in the folder that VIVARIUM_RECORD names.
 */
export function keepsRecord(): boolean {
  return folder() !== undefined;
}

/** Notes a secret of this run under a name that may be shown. Secrets too short to be told from other text are left out. */
export function recordSecret(name: string, secret: string): void {
  if (secret.length >= 8) append('secrets', { source: name, text: secret });
}

/** Notes what the product said. */
export function recordSaid(channel: Channel, source: string, text: string): void {
  if (text !== '') append(channel, { source, text });
}

/** Every secret of this run so far, and its name. */
export function recordedSecrets(): ReadonlyMap<string, string> {
  return new Map(linesOf('secrets').map(({ source, text }) => [text, source]));
}

/** What was said by this channel so far, over the whole run. */
export function recordedSaid(channel: Channel): readonly Said[] {
  return linesOf(channel);
}

function folder(): string | undefined {
  const path = process.env.VIVARIUM_RECORD;
  return path === '' ? undefined : path;
}

function append(name: string, line: Said): void {
  const path = folder();
  if (path !== undefined) appendFileSync(join(path, `${name}.ndjson`), `${JSON.stringify(line)}\n`, { mode: 0o600 });
}

function linesOf(name: string): readonly Said[] {
  const path = join(folder() ?? '', `${name}.ndjson`);
  if (folder() === undefined || !existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Said);
}
