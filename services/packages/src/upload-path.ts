import { FILE_KINDS, type FileKind } from '@vivarium/access/scope';
import { parseCondaFilename } from '@vivarium/conda/filename';
import { DEFAULT_LABEL, parseLabel } from '@vivarium/conda/label';
import { isKnownSubdir } from '@vivarium/conda/subdir';
import { Fault } from '@vivarium/fault/fault';
import { parseDistributionFilename } from '@vivarium/pypi/filename';
import { normalizeProjectName } from '@vivarium/pypi/name';
import { isPep440, versionsEqual } from '@vivarium/pypi/version';
import { LABELS_LIMIT } from './labels.js';
import { parsePackageName, parseVersion } from './names.js';

/** What a client says that it is going to upload, in one spelling. */
export interface UploadPath {
  readonly kind: FileKind;
  readonly basename: string;
  /** As the kind normalises it: the name that rights and rows are looked up by. */
  readonly name: string;
  readonly version: string;
  readonly subdir: string | undefined;
}

const PLAIN_BASENAME = /^[A-Za-z0-9_][A-Za-z0-9 ._+!~=@,()-]{0,254}$/;

/** Throws Fault('invalid') unless the text is a kind of file. */
export function parseKind(text: string): FileKind {
  const kind = FILE_KINDS.find((each) => each === text);
  if (kind !== undefined) return kind;
  throw new Fault('invalid', `"${text.slice(0, 40)}" is not a kind of file; there are ${FILE_KINDS.join(', ')}.`);
}

/** The labels in one spelling, each once; `main` if none is given. Throws Fault('invalid'). */
export function parseLabels(texts: readonly string[]): readonly string[] {
  if (texts.length > LABELS_LIMIT) {
    throw new Fault('invalid', `A file has at most ${LABELS_LIMIT} labels, not ${texts.length}.`);
  }
  return texts.length === 0 ? [DEFAULT_LABEL] : [...new Set(texts.map(parseLabel))];
}

/**
 * What the basename says, held against the package and version that the URL names. Throws Fault('invalid') where they
 * disagree. The archive itself is asked later.
 */
export function parseUploadPath(said: {
  readonly kind: string;
  readonly package: string;
  readonly version: string;
  readonly basename: string;
}): UploadPath {
  const kind = parseKind(said.kind);
  const named = basenameOf(kind, said.basename);
  const name = parsePackageName(said.package);
  const version = parseVersion(said.version);
  if (named === undefined) return { kind, basename: said.basename, name, version, subdir: undefined };
  const isSame =
    kind === 'pypi'
      ? normalizeProjectName(said.package) === named.name && isPep440(version) && versionsEqual(version, named.version)
      : name === named.name && version === named.version;
  if (isSame) return { kind, basename: said.basename, ...named };
  throw new Fault(
    'invalid',
    `${said.basename} is the file of ${named.name} ${named.version}, and was to become one of ${said.package} ${said.version}.`,
  );
}

/** The name, version and directory that a basename of this kind says; undefined for kinds whose names say nothing. */
export function basenameOf(
  kind: FileKind,
  basename: string,
): { readonly name: string; readonly version: string; readonly subdir: string | undefined } | undefined {
  if (kind === 'conda') {
    const [subdir = '', filename = '', ...rest] = basename.split('/');
    if (rest.length > 0 || !isKnownSubdir(subdir)) {
      throw new Fault(
        'invalid',
        `"${basename.slice(0, 200)}" must be a platform directory like linux-64, a slash and the file name.`,
      );
    }
    const { name, version } = parseCondaFilename(filename);
    return { name, version, subdir };
  }
  if (kind === 'pypi') {
    const { name, version } = parseDistributionFilename(basename);
    return { name, version, subdir: undefined };
  }
  if (PLAIN_BASENAME.test(basename) && !basename.includes('..')) return undefined;
  throw new Fault('invalid', `"${basename.slice(0, 200)}" is not a file name that can be stored here.`);
}

/** The file name of a basename, without its directory. */
export function filenameOf(basename: string): string {
  return basename.slice(basename.lastIndexOf('/') + 1);
}
