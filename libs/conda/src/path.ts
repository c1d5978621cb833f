// The grammar of conda URLs, once the gateway has cut `/conda` and `/t/<token>` from the front:
//
//   path     = "/" channel [ "/label/" label ] "/" resource
//   resource = subdir "/" file                        file under a platform directory
//            | subdir "/shards/" hash ".msgpack.zst"   one shard, hash = 64 of 0-9 a-f
//            | "channeldata.json" | "notices.json"     file of the whole channel
//   file     = "repodata.json" [ ".zst" ] | "repodata_shards.msgpack.zst" | "run_exports.json" [ ".zst" ]
//            | artifact                                <name>-<version>-<build>.conda | .tar.bz2
//            | any other name                          "absent": 404, but only after access was decided
//
// It is read from the RIGHT: a label may hold slashes, but none of its segments is a subdir or `shards`, so the rightmost
// subdir ends the label and each path has one reading. Each segment is percent-decoded exactly once, and nothing that could
// be decoded or cut a second time (%, /, \, ;, controls) survives the decoding.
import { Fault } from '@vivarium/fault/fault';
import { isCondaFilename } from './filename.js';
import { DEFAULT_LABEL, isLabel } from './label.js';
import { isKnownSubdir } from './subdir.js';

export const MAX_PATH_CHARACTERS = 2048;
export const MAX_SEGMENT_CHARACTERS = 256;

export type CondaResource =
  | { readonly kind: 'repodata'; readonly subdir: string; readonly format: 'json' | 'json.zst' }
  | { readonly kind: 'shard-index'; readonly subdir: string }
  | { readonly kind: 'shard'; readonly subdir: string; readonly hash: string }
  | { readonly kind: 'run-exports'; readonly subdir: string; readonly format: 'json' | 'json.zst' }
  | { readonly kind: 'artifact'; readonly subdir: string; readonly filename: string }
  | { readonly kind: 'channeldata' }
  | { readonly kind: 'notices' }
  | { readonly kind: 'absent'; readonly subdir: string; readonly filename: string };

export interface CondaPath {
  readonly channel: string;
  readonly label: string;
  /** Whether the path named its label: `/acme/label/main/…` and `/acme/…` are the same place. */
  readonly explicitLabel: boolean;
  readonly resource: CondaResource;
}

const CHANNEL = /^[a-z0-9][a-z0-9_-]{1,62}$/;
const SHARD = /^([0-9a-f]{64})\.msgpack\.zst$/;
const PLAIN_PATH = /^(?:\/[A-Za-z0-9_.+!-]+)+$/;
const URL_PATH = /^\/[!-~]*$/;

/**
 * What a raw (still percent-encoded) URL path means, read once; access is decided and bytes are found from this value. The
 * path begins after `/conda` and `/t/<token>` and has no query. The label is folded to lower case.
 * Throws Fault('not_found') if it is no conda path (an upper-case channel included), Fault('invalid') if it is encoded in a
 * way that two readers could take differently: `%2f`, `%5c`, `%00`, double encoding, `//`, `;`, `.` and `..` segments,
 * controls, text that is not NFC, a path above 2048 or a segment above 256 characters.
 */
export function parseCondaPath(path: string): CondaPath {
  const segments = segmentsOf(path);
  const [last = '', second = '', third = ''] = segments.toReversed();
  if (isKnownSubdir(second)) return placeOf(segments.slice(0, -2), fileOf(second, last));
  if (second === 'shards' && isKnownSubdir(third)) return placeOf(segments.slice(0, -3), shardOf(third, last));
  if (last === 'channeldata.json') return placeOf(segments.slice(0, -1), { kind: 'channeldata' });
  if (last === 'notices.json') return placeOf(segments.slice(0, -1), { kind: 'notices' });
  throw notFound(path);
}

/** The canonical URL path of a value; `parseCondaPath` of it gives the value again. */
export function printCondaPath(path: CondaPath): string {
  const label = path.explicitLabel ? `/label/${path.label}` : '';
  return `/${path.channel}${label}/${printResource(path.resource)}`;
}

/** True if the text may be a channel in a conda URL: the grammar of logins, and no platform directory. */
export function isCondaChannel(text: string): boolean {
  return CHANNEL.test(text) && !isKnownSubdir(text);
}

function placeOf(head: readonly string[], resource: CondaResource): CondaPath {
  const [channel = '', word, ...rest] = head;
  if (!isCondaChannel(channel)) throw notFound(`/${head.join('/')}`);
  if (word === undefined) return { channel, label: DEFAULT_LABEL, explicitLabel: false, resource };
  const label = rest.join('/');
  if (word !== 'label' || !isLabel(label)) throw notFound(`/${head.join('/')}`);
  return { channel, label: label.toLowerCase(), explicitLabel: true, resource };
}

function fileOf(subdir: string, filename: string): CondaResource {
  switch (filename) {
    case 'repodata.json':
      return { kind: 'repodata', subdir, format: 'json' };
    case 'repodata.json.zst':
      return { kind: 'repodata', subdir, format: 'json.zst' };
    case 'repodata_shards.msgpack.zst':
      return { kind: 'shard-index', subdir };
    case 'run_exports.json':
      return { kind: 'run-exports', subdir, format: 'json' };
    case 'run_exports.json.zst':
      return { kind: 'run-exports', subdir, format: 'json.zst' };
    default:
      return { kind: isCondaFilename(filename) ? 'artifact' : 'absent', subdir, filename };
  }
}

function shardOf(subdir: string, filename: string): CondaResource {
  const hash = SHARD.exec(filename)?.[1];
  return hash === undefined
    ? { kind: 'absent', subdir, filename: `shards/${filename}` }
    : { kind: 'shard', subdir, hash };
}

function printResource(resource: CondaResource): string {
  switch (resource.kind) {
    case 'repodata':
      return `${resource.subdir}/repodata.${resource.format}`;
    case 'shard-index':
      return `${resource.subdir}/repodata_shards.msgpack.zst`;
    case 'shard':
      return `${resource.subdir}/shards/${resource.hash}.msgpack.zst`;
    case 'run-exports':
      return `${resource.subdir}/run_exports.${resource.format}`;
    case 'artifact':
      return `${resource.subdir}/${resource.filename}`;
    case 'absent':
      return `${resource.subdir}/${resource.filename.split('/').map(encodeURIComponent).join('/')}`;
    case 'channeldata':
      return 'channeldata.json';
    case 'notices':
      return 'notices.json';
    default:
      return resource satisfies never;
  }
}

function segmentsOf(path: string): string[] {
  if (path.length > MAX_PATH_CHARACTERS) {
    throw new Fault('invalid', `The path is longer than ${MAX_PATH_CHARACTERS} characters.`);
  }
  if (!URL_PATH.test(path) || /[;\\?#]/.test(path)) {
    throw new Fault(
      'invalid',
      'The path has a character that must not stand in it. Percent-encode it, or leave it out.',
    );
  }
  const raw = path.slice(1).split('/');
  if (raw.slice(0, -1).includes('')) throw new Fault('invalid', 'The path has an empty segment ("//"). Remove it.');
  const segments = PLAIN_PATH.test(path) ? raw : raw.map(decodeSegment);
  for (const segment of segments) {
    if (segment.length > MAX_SEGMENT_CHARACTERS) {
      throw new Fault('invalid', `A segment of the path is longer than ${MAX_SEGMENT_CHARACTERS} characters.`);
    }
    if (segment === '.' || segment === '..') {
      throw new Fault('invalid', 'The path has a "." or ".." segment. Write the address out.');
    }
  }
  return segments;
}

function decodeSegment(raw: string): string {
  const segment = decodeOnce(raw);
  // A percent sign after decoding means that it was encoded twice. Line and paragraph separators count as controls.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
  if (segment === undefined || /[/\\;%\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(segment)) {
    throw new Fault(
      'invalid',
      'The path encodes a slash, backslash, semicolon, percent sign or control character, or is not UTF-8.',
    );
  }
  if (segment !== segment.normalize('NFC')) {
    throw new Fault('invalid', 'The path is not in Unicode normal form C. Normalise it before encoding.');
  }
  return segment;
}

function decodeOnce(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

function notFound(path: string): Fault {
  return new Fault('not_found', `${JSON.stringify(path.slice(0, 200))} is not a path of a conda channel.`);
}
