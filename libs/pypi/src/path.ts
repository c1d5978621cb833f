// The grammar of PyPI URLs, once the gateway has cut `/pypi` and `/t/<token>` from the front:
//
//   path     = "/" channel rest                          label `main`
//            | "/" channel "/label/" label "/" labelled
//   rest     = [ "/" [ "simple" [ "/" ] ] ]              the project list
//            | "/" [ "simple/" ] page                    a project
//            | "/" file
//            | "/legacy" [ "/" ]                         uploads
//   labelled = "simple" [ "/" [ page ] ] | file          after a label `simple` is mandatory
//   page     = project [ "/" [ project [ "/" ] ] ]       doubled for pip --index-url …/<channel>/<project>
//   file     = "files/" sha256 "/" filename [ ".metadata" ]
//
// A label may hold slashes but no segment `simple`, so the first `simple` behind it ends it; a path without one is a file,
// read from the right. A project named as one of the words above is found below `simple` only.
//
// One page object per project serves every address: its links are `../../files/…`, which is right for
// `/<channel>/simple/<project>/` and, since files are found below a label too, for
// `/<channel>/label/<label>/simple/<project>/`. From every other address the reader is redirected there, by a relative
// target, so that `/pypi` and the token in front stay what they were.
import { DEFAULT_LABEL, isLabel, parseLabel } from '@vivarium/conda/label';
import { Fault, isFault } from '@vivarium/fault/fault';
import { parseDistributionFilename } from './filename.js';
import { isProjectName, normalizeProjectName } from './name.js';

export type PypiResource =
  /** The list of projects. */
  | ({ readonly kind: 'root' } & Place)
  /** The page of one project, by its normalised name. */
  | ({ readonly kind: 'project'; readonly project: string } & Place)
  /** A file, or with `metadata` the METADATA of a wheel. */
  | { readonly kind: 'file'; readonly sha256: string; readonly filename: string; readonly metadata: boolean }
  | { readonly kind: 'upload' };

/** Where a page was asked for. */
interface Place {
  /** True if the page's relative links would go astray at this address: see canonicalLocation. */
  readonly needsRedirect: boolean;
  /** How many slashes of the path stand behind the channel or label: a relative target has to climb them. */
  readonly depth: number;
}

export interface PypiPath {
  readonly channel: string;
  /** Lower-cased; `main` if the path names none. */
  readonly label: string;
  readonly explicitLabel: boolean;
  readonly resource: PypiResource;
}

const MAX_PATH_LENGTH = 2048;
const MAX_SEGMENT_LENGTH = 256;
const METADATA_SUFFIX = '.metadata';

const CHANNEL = /^[a-z0-9][a-z0-9_-]{1,62}$/;
const SHA256 = /^[0-9a-f]{64}$/;
const RESERVED: ReadonlySet<string> = new Set(['simple', 'label', 'files', 'legacy']);

/**
 * Reads a raw, still percent-encoded URL path; see the grammar above. It is decoded once, here, and nowhere again: access
 * is decided on the value, and the bytes are found from the value. Throws Fault('invalid') for what could be read in two
 * ways (an encoded slash, a dot segment, an empty segment, encoding twice, …) and Fault('not_found') for what is not of
 * the grammar, a channel in capitals included.
 */
export function parsePypiPath(path: string): PypiPath {
  const { segments, slash } = segmentsOf(path);
  const [channel, ...rest] = segments;
  if (channel === undefined || !CHANNEL.test(channel)) throw notFound(path);
  if (rest[0] !== 'label') {
    const resource = resourceOf(rest, slash);
    if (resource === undefined) throw notFound(path);
    return { channel, label: DEFAULT_LABEL, explicitLabel: false, resource };
  }
  const simple = rest.indexOf('simple');
  const labelEnd = simple < 0 ? rest.length - 3 : simple;
  const labelled = rest.slice(Math.max(labelEnd, 1));
  const label = rest.slice(1, Math.max(labelEnd, 1)).join('/');
  const resource = simple < 0 ? fileOf(labelled, slash) : resourceOf(labelled, slash);
  if (!isLabel(label) || resource === undefined) throw notFound(path);
  return { channel, label: parseLabel(label), explicitLabel: true, resource };
}

/** A path that parsePypiPath reads as this value. For addresses that need no redirect it is the address to publish. */
export function printPypiPath({ channel, label, explicitLabel, resource }: PypiPath): string {
  const base = explicitLabel ? `/${channel}/label/${label}` : `/${channel}`;
  switch (resource.kind) {
    case 'root':
      if (!resource.needsRedirect) return `${base}/simple/`;
      return resource.depth === 0 ? base : `${base}/simple`;
    case 'project':
      return `${base}/${printPage(resource.project, resource)}`;
    case 'file': {
      const suffix = resource.metadata ? METADATA_SUFFIX : '';
      return `${base}/files/${resource.sha256}/${encodeURIComponent(resource.filename)}${suffix}`;
    }
    case 'upload':
      return `${base}/legacy/`;
    default:
      return resource satisfies never;
  }
}

/**
 * Where to send a reader of this address, relative to it; undefined if it may be answered here. Whatever stands before
 * the channel stays, and so does the label.
 */
export function canonicalLocation({ channel, resource }: PypiPath): string | undefined {
  if ((resource.kind !== 'root' && resource.kind !== 'project') || !resource.needsRedirect) return undefined;
  const climb = resource.depth === 0 ? `${channel}/` : '../'.repeat(resource.depth - 1);
  return `${climb}simple/${resource.kind === 'project' ? `${resource.project}/` : ''}`;
}

/**
 * The link to a file from its project's page, with or without a label. It has no query, since clients append `.metadata`
 * to it, and `+` is encoded, since some take a bare one for a space.
 */
export function relativeFileUrl(sha256: string, filename: string): string {
  return `../../files/${sha256}/${encodeURIComponent(filename)}`;
}

function printPage(project: string, { needsRedirect, depth }: Place): string {
  if (!needsRedirect) return `simple/${project}/`;
  // One address for each depth, wherever else the value may have come from.
  return (
    [project, `simple/${project}`, `simple/${project}/${project}`, `simple/${project}/${project}/`][depth - 1] ?? ''
  );
}

function resourceOf(segments: readonly string[], slash: boolean): PypiResource | undefined {
  const [first, ...rest] = segments;
  // The list may be answered at `/<channel>/` too: its links to projects are redirected once more.
  if (first === undefined) return rootOf(slash, 0);
  if (first === 'simple') return rest.length === 0 ? rootOf(slash, 1) : pageOf(rest, slash, true);
  if (first === 'files' && rest.length > 0) return fileOf(segments, slash);
  if (first === 'legacy' && rest.length === 0) return { kind: 'upload' };
  return RESERVED.has(first.toLowerCase()) ? undefined : pageOf(segments, slash, false);
}

function rootOf(slash: boolean, depth: number): PypiResource {
  return slash ? { kind: 'root', needsRedirect: false, depth: 2 } : { kind: 'root', needsRedirect: true, depth };
}

function pageOf(segments: readonly string[], slash: boolean, simple: boolean): PypiResource | undefined {
  const [text = '', again, ...rest] = segments;
  if (rest.length > 0 || !isProjectName(text)) return undefined;
  const project = normalizeProjectName(text);
  if (again !== undefined && (!isProjectName(again) || normalizeProjectName(again) !== project)) return undefined;
  const needsRedirect = !simple || !slash || again !== undefined || text !== project;
  return { kind: 'project', project, needsRedirect, depth: segments.length + Number(simple) + Number(slash) };
}

function fileOf(segments: readonly string[], slash: boolean): PypiResource | undefined {
  const [word, sha256, last, ...rest] = segments;
  if (word !== 'files' || sha256 === undefined || last === undefined || rest.length > 0 || slash) return undefined;
  const metadata = last.endsWith(METADATA_SUFFIX);
  const filename = metadata ? last.slice(0, -METADATA_SUFFIX.length) : last;
  return SHA256.test(sha256) && isDistributionFilename(filename)
    ? { kind: 'file', sha256, filename, metadata }
    : undefined;
}

function isDistributionFilename(text: string): boolean {
  try {
    parseDistributionFilename(text);
    return true;
  } catch (error) {
    if (isFault(error)) return false;
    throw error;
  }
}

function segmentsOf(path: string): { readonly segments: readonly string[]; readonly slash: boolean } {
  if (path.length > MAX_PATH_LENGTH) throw invalid(`it is longer than ${MAX_PATH_LENGTH} characters`);
  if (!/^\/[!-~]*$/.test(path) || /[;\\?#]/.test(path)) {
    throw invalid('it has a character that must not stand in it');
  }
  const raw = path.slice(1).split('/');
  const slash = raw.at(-1) === '';
  if (slash) raw.pop();
  if (raw.includes('')) throw invalid('it has an empty segment ("//")');
  return { segments: raw.map(segmentOf), slash };
}

function segmentOf(raw: string): string {
  const segment = raw.includes('%') ? decodeOnce(raw) : raw;
  const limit = segment.endsWith(METADATA_SUFFIX) ? MAX_SEGMENT_LENGTH + METADATA_SUFFIX.length : MAX_SEGMENT_LENGTH;
  if (segment.length > limit) throw invalid(`a segment is longer than ${MAX_SEGMENT_LENGTH} characters`);
  if (segment === '.' || segment === '..') throw invalid('it has a "." or ".." segment');
  return segment;
}

function decodeOnce(raw: string): string {
  let segment: string;
  try {
    segment = decodeURIComponent(raw);
  } catch (cause) {
    throw invalid('it is not percent-encoded UTF-8', cause);
  }
  // A percent sign that is left means that the path was encoded twice: another reader would decode once more.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[/\\;%\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(segment)) {
    throw invalid('it encodes a slash, backslash, semicolon, percent sign or control character');
  }
  if (segment !== segment.normalize('NFC')) throw invalid('it is not in Unicode normal form C');
  return segment;
}

function invalid(reason: string, cause?: unknown): Fault {
  return new Fault('invalid', `The address is refused: ${reason}.`, { cause });
}

function notFound(path: string): Fault {
  return new Fault(
    'not_found',
    `${JSON.stringify(path.slice(0, 200))} is not an address of a Python index: use /<channel>/simple/<project>/ or /<channel>/label/<label>/simple/<project>/.`,
  );
}
