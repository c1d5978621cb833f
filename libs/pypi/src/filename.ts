import { Fault } from '@vivarium/fault/fault';
import { isProjectName, normalizeProjectName } from './name.js';
import { isPep440, normalizeVersion } from './version.js';

/** What the name of a wheel says. `name` and `version` are normalised; the rest is as written. */
export interface WheelFilename {
  readonly distribution: string;
  readonly name: string;
  readonly version: string;
  readonly build?: string;
  readonly pythonTag: string;
  readonly abiTag: string;
  readonly platformTag: string;
}

/** What the name of a source distribution says, normalised. */
export interface SdistFilename {
  readonly name: string;
  readonly version: string;
}

export type DistributionFilename =
  | ({ readonly filetype: 'bdist_wheel' } & WheelFilename)
  | ({ readonly filetype: 'sdist' } & SdistFilename);

const MAX_FILENAME_LENGTH = 255;

const DISTRIBUTION = /^[A-Za-z0-9._]+$/;
const BUILD = /^[0-9][A-Za-z0-9_.]*$/;
const TAGS = /^[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*$/;

/**
 * Takes the name of a wheel apart: `{distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl`. Tags may be
 * compressed sets (`py2.py3`); no tag is refused for what it says, since private servers live from `linux_x86_64`.
 * Throws Fault('invalid') with what is wrong.
 * Source: Binary distribution format, "File name convention" (PEP 427).
 */
export function parseWheelFilename(text: string): WheelFilename {
  requireFilename(text);
  if (!text.endsWith('.whl')) throw refusal(text, 'the name of a wheel ends in ".whl"');
  const parts = text.slice(0, -'.whl'.length).split('-');
  const build = parts.length === 6 ? parts.splice(2, 1)[0] : undefined;
  const [distribution, version, pythonTag, abiTag, platformTag, ...rest] = parts;
  if (
    distribution === undefined ||
    version === undefined ||
    pythonTag === undefined ||
    abiTag === undefined ||
    platformTag === undefined ||
    rest.length > 0
  ) {
    throw refusal(text, 'a wheel is named {name}-{version}[-{build}]-{python}-{abi}-{platform}.whl');
  }
  if (!DISTRIBUTION.test(distribution) || distribution.includes('__') || !isProjectName(distribution)) {
    throw refusal(text, `${JSON.stringify(distribution)} is not a project name as wheels spell it`);
  }
  if (!isPep440(version)) throw refusal(text, `${JSON.stringify(version)} is not a PEP 440 version`);
  if (build !== undefined && !BUILD.test(build)) {
    throw refusal(text, `the build number ${JSON.stringify(build)} does not begin with a digit`);
  }
  for (const tags of [pythonTag, abiTag, platformTag]) {
    if (!TAGS.test(tags)) throw refusal(text, `${JSON.stringify(tags)} is not a compatibility tag`);
  }
  return {
    distribution,
    name: normalizeProjectName(distribution),
    version: normalizeVersion(version),
    ...(build !== undefined && { build }),
    pythonTag,
    abiTag,
    platformTag,
  };
}

/**
 * Takes the name of a source distribution apart: `{name}-{version}.tar.gz`, or `.zip` as old tools wrote it. Old names
 * hold several hyphens, so the split is at the last one whose tail is a version. Throws Fault('invalid').
 * Source: PEP 625; PEP 527.
 */
export function parseSdistFilename(text: string): SdistFilename {
  requireFilename(text);
  const suffix = ['.tar.gz', '.zip'].find((ending) => text.endsWith(ending));
  if (suffix === undefined) {
    throw refusal(text, 'the name of a source distribution ends in ".tar.gz" (or, from old tools, ".zip")');
  }
  const stem = splitNameVersion(text.slice(0, -suffix.length));
  if (stem === undefined) throw refusal(text, `a source distribution is named {name}-{version}${suffix}`);
  return stem;
}

/**
 * Takes the name of a wheel or of a source distribution apart, by its ending. Throws Fault('invalid') for every other
 * kind of file: eggs, installers and bdist_* are no longer accepted anywhere.
 */
export function parseDistributionFilename(text: string): DistributionFilename {
  if (text.endsWith('.whl')) return { filetype: 'bdist_wheel', ...parseWheelFilename(text) };
  if (text.endsWith('.tar.gz') || text.endsWith('.zip')) return { filetype: 'sdist', ...parseSdistFilename(text) };
  requireFilename(text);
  throw refusal(text, 'only wheels (.whl) and source distributions (.tar.gz, .zip) are accepted');
}

/**
 * Splits `{name}-{version}` at the last hyphen whose tail is a PEP 440 version, both normalised. Undefined if there is
 * no such hyphen or the head is not a project name. Folders inside archives are named in the same way.
 */
export function splitNameVersion(stem: string): SdistFilename | undefined {
  for (let at = stem.lastIndexOf('-'); at > 0; at = stem.lastIndexOf('-', at - 1)) {
    const name = stem.slice(0, at);
    const version = stem.slice(at + 1);
    if (/\s/.test(version) || !isPep440(version)) continue;
    if (!isProjectName(name)) return undefined;
    return { name: normalizeProjectName(name), version: normalizeVersion(version) };
  }
  return undefined;
}

function requireFilename(text: string): void {
  if (text.length > MAX_FILENAME_LENGTH) {
    throw refusal(text, `it is longer than ${MAX_FILENAME_LENGTH} characters`);
  }
  // Clients have decoded file names twice, so a percent sign could come to mean a path.
  if (!/^[\x21-\x7e]+$/.test(text) || /[%/\\]/.test(text)) {
    throw refusal(
      text,
      'it holds a character that is not allowed: only printable ASCII without space, "%", "/" and "\\"',
    );
  }
}

function refusal(text: string, reason: string): Fault {
  return new Fault(
    'invalid',
    `The file name ${JSON.stringify(text.slice(0, 120))} is refused: ${reason}. Rename it, or build it again.`,
  );
}
