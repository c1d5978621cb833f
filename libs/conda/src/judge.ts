import { Fault } from '@vivarium/fault/fault';
import type { CondaInspection } from './archive.js';
import { parseCondaFilename } from './filename.js';
import { type CondaIndex, parseCondaIndex } from './index-json.js';
import { parseMatchSpec } from './matchspec.js';
import { isKnownSubdir } from './subdir.js';

/** How far a builder's clock may run ahead of ours. */
export const CLOCK_SKEW_MS = 3_600_000;

export interface CondaCase {
  readonly filename: string;
  /** The directory that the file is to stand in. */
  readonly subdir: string;
  readonly inspection: CondaInspection;
  readonly nowMs: number;
}

/**
 * Refuses a package that would be wrong, unreachable or poisonous in an index: the server is the only gate, since indexers
 * and clients believe what index.json says. Returns nothing; what passes may be given to `recordOf`.
 *
 * File name and index.json must name the same package, version and build; the subdir of index.json must be the directory
 * (a package from before index.json had one is taken at its directory's word); a `noarch: python` package may stand in a
 * platform directory. Every dependency must parse, and the build time must not lie in the future.
 * Throws Fault('invalid') with what to mend. Sources: CEP-20, CEP-26, CEP-29, CEP-34.
 */
export function judgeConda({ filename, subdir, inspection, nowMs }: CondaCase): void {
  const parts = parseCondaFilename(filename);
  const index = parseCondaIndex(inspection.index);
  if (inspection.format !== parts.format) {
    throw new Fault('invalid', `${filename} is a .${inspection.format} archive by its bytes. Correct its extension.`);
  }
  for (const key of ['name', 'version', 'build'] as const) {
    if (index[key] === parts[key]) continue;
    throw new Fault(
      'invalid',
      `The file is named ${filename}, but its info/index.json says ${key} ${JSON.stringify(index[key])}. Name it ` +
        `${index.name}-${index.version}-${index.build}.${parts.format}, or build it again.`,
    );
  }
  judgeSubdir(filename, subdir, index);
  judgeTime(filename, index, nowMs);
  for (const spec of [...index.depends, ...index.constrains]) parseMatchSpec(spec);
}

function judgeSubdir(filename: string, subdir: string, index: CondaIndex): void {
  if (!isKnownSubdir(subdir)) {
    throw new Fault('invalid', `${JSON.stringify(subdir.slice(0, 80))} is not a platform directory like linux-64.`);
  }
  if (index.subdir === undefined || index.subdir === subdir) return;
  const own = JSON.stringify(index.subdir.slice(0, 80));
  throw new Fault(
    'invalid',
    `${filename} is to stand in ${subdir}, but its info/index.json says subdir ${own}. Upload it there, or build it again.`,
  );
}

function judgeTime(filename: string, index: CondaIndex, nowMs: number): void {
  // Clients that leave out new packages go by this time; a date in the future would hide the package or outlive the rule.
  if ((index.timestampMs ?? 0) <= nowMs + CLOCK_SKEW_MS) return;
  throw new Fault(
    'invalid',
    `${filename} was built in the future: timestamp ${index.timestampMs}, and it is ${nowMs} now. Check the builder's clock.`,
  );
}
