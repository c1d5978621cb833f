import { Fault } from '@vivarium/fault/fault';
import { isCondaName } from './name.js';
import { isCondaVersion } from './version.js';

const MAX_FILENAME_CHARACTERS = 211;
const BUILD = /^[a-zA-Z0-9_.+]{1,64}$/;

export interface CondaFilename {
  readonly name: string;
  readonly version: string;
  readonly build: string;
  readonly format: 'conda' | 'tar.bz2';
  /** `name-version-build`, without the extension. */
  readonly stem: string;
}

/**
 * The parts of an artifact's file name, `<name>-<version>-<build>.conda` or `.tar.bz2`. A name may hold `-`, version and build
 * may not, so the stem is split twice from the right.
 * Throws Fault('invalid') with the part at fault. Source: CEP-26.
 */
export function parseCondaFilename(text: string): CondaFilename {
  const refuse = (reason: string): never => {
    const shown = JSON.stringify(text.slice(0, 240));
    throw new Fault('invalid', `${shown} is not the file name of a conda package: ${reason}. Rename it.`);
  };
  if (text.length > MAX_FILENAME_CHARACTERS) return refuse(`it is longer than ${MAX_FILENAME_CHARACTERS} characters`);
  const format = text.endsWith('.conda') ? 'conda' : text.endsWith('.tar.bz2') ? 'tar.bz2' : undefined;
  if (format === undefined) return refuse('it ends in neither ".conda" nor ".tar.bz2"');
  const stem = text.slice(0, -format.length - 1);
  const buildAt = stem.lastIndexOf('-');
  const versionAt = stem.lastIndexOf('-', buildAt - 1);
  if (buildAt < 1 || versionAt < 1) return refuse('it needs three parts, <name>-<version>-<build>');
  const name = stem.slice(0, versionAt);
  const version = stem.slice(versionAt + 1, buildAt);
  const build = stem.slice(buildAt + 1);
  if (!isCondaName(name)) return refuse(`${JSON.stringify(name)} is not a package name`);
  if (!isCondaVersion(version)) return refuse(`${JSON.stringify(version)} is not a version`);
  if (!BUILD.test(build)) return refuse(`${JSON.stringify(build)} is not a build string`);
  return { name, version, build, format, stem };
}

/** True if the text is the file name of a conda package. Source: CEP-26. */
export function isCondaFilename(text: string): boolean {
  try {
    parseCondaFilename(text);
    return true;
  } catch {
    return false;
  }
}

/** True if the text is a build string: 1 to 64 of letters, digits, `_`, `.` and `+`. Source: CEP-26. */
export function isCondaBuild(text: string): boolean {
  return BUILD.test(text);
}

/** The file name of an artifact from its parts; the inverse of `parseCondaFilename`. */
export function printCondaFilename(parts: Pick<CondaFilename, 'name' | 'version' | 'build' | 'format'>): string {
  return `${parts.name}-${parts.version}-${parts.build}.${parts.format}`;
}
