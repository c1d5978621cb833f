import { Fault } from '@vivarium/fault/fault';

/**
 * One PEP 440 version, taken apart. Numbers are digit strings without leading zeros, of any length: date stamps with
 * twenty digits exist, and a JavaScript number would confuse two of them.
 */
export interface Pep440 {
  readonly epoch: string;
  readonly release: readonly string[];
  readonly pre?: { readonly phase: 'a' | 'b' | 'rc'; readonly number: string };
  readonly post?: string;
  readonly dev?: string;
  /** Lower-cased segments after `+`; those made of digits only are numbers. */
  readonly local?: readonly string[];
}

// Longer than any file name, so it refuses nothing that could be stored; it bounds the work on hostile text.
const MAX_VERSION_LENGTH = 512;

const SEPARATOR = '[._-]?';
const VERSION = new RegExp(
  [
    '^[ \\t\\n\\r\\f\\v]*v?',
    '(?:(?<epoch>[0-9]+)!)?',
    '(?<release>[0-9]+(?:\\.[0-9]+)*)',
    `(?:${SEPARATOR}(?<phase>alpha|a|beta|b|preview|pre|c|rc)${SEPARATOR}(?<pre>[0-9]*))?`,
    `(?:-(?<dashPost>[0-9]+)|${SEPARATOR}(?<postWord>post|rev|r)${SEPARATOR}(?<post>[0-9]*))?`,
    `(?:${SEPARATOR}(?<devWord>dev)${SEPARATOR}(?<dev>[0-9]*))?`,
    '(?:\\+(?<local>[a-z0-9]+(?:[._-][a-z0-9]+)*))?',
    '[ \\t\\n\\r\\f\\v]*$',
  ].join(''),
  'i',
);

/**
 * Takes a PEP 440 version apart, in any of the spellings that the PEP permits (`v1.0-alpha1`, `1.0c1`, `1.0-2`).
 * Surrounding ASCII white space is ignored, as the PEP asks. Throws Fault('invalid') for anything else.
 * Source: PEP 440, "Public version identifiers", "Normalization".
 */
export function parsePep440(text: string): Pep440 {
  const groups = text.length <= MAX_VERSION_LENGTH ? VERSION.exec(text)?.groups : undefined;
  if (groups === undefined) {
    throw new Fault(
      'invalid',
      `${JSON.stringify(text.slice(0, 80))} is not a version that Python installers accept: spell it as PEP 440 says, for example 1.2.0, 1.2.0rc1, 1.2.0.dev3 or 1.2.0+local.1.`,
    );
  }
  const phase = groups.phase?.toLowerCase();
  const post = groups.dashPost ?? (groups.postWord === undefined ? undefined : (groups.post ?? ''));
  return {
    epoch: numberOf(groups.epoch ?? '0'),
    release: (groups.release ?? '0').split('.').map(numberOf),
    ...(phase !== undefined && { pre: { phase: phaseOf(phase), number: numberOf(groups.pre ?? '') } }),
    ...(post !== undefined && { post: numberOf(post) }),
    ...(groups.devWord !== undefined && { dev: numberOf(groups.dev ?? '') }),
    ...(groups.local !== undefined && { local: groups.local.toLowerCase().split(/[._-]/).map(localSegmentOf) }),
  };
}

/** True if the text is a PEP 440 version in any permitted spelling. Never throws. */
export function isPep440(text: string): boolean {
  return text.length <= MAX_VERSION_LENGTH && VERSION.test(text);
}

/**
 * Orders two PEP 440 versions. Negative if a < b, zero if equal, positive if a > b.
 * Epoch, release, pre, post, dev and local segments all take part; `1.0` equals `1.0.0`.
 * Throws Fault('invalid') if either is not a PEP 440 version.
 * Source: PEP 440, "Summary of permitted suffixes and relative ordering".
 */
export function compareVersions(a: string, b: string): number {
  return comparePep440(parsePep440(a), parsePep440(b));
}

/** Orders two versions that are already taken apart; the same order as compareVersions. */
export function comparePep440(a: Pep440, b: Pep440): number {
  return (
    compareNumbers(a.epoch, b.epoch) ||
    compareReleases(a.release, b.release) ||
    phaseRankOf(a) - phaseRankOf(b) ||
    compareNumbers(a.pre?.number ?? '0', b.pre?.number ?? '0') ||
    compareOptional(a.post, b.post, -1) ||
    compareOptional(a.dev, b.dev, 1) ||
    compareLocals(a.local, b.local)
  );
}

/**
 * The canonical spelling, as Python's installers print it: `v1.0-ALPHA` gives `1.0a0`. Trailing zeros of the release
 * stay, so `1.0` and `1.0.0` differ here although they are equal; use versionKey to find a version.
 * Throws Fault('invalid'). Source: PEP 440, "Normalization".
 */
export function normalizeVersion(text: string): string {
  const version = parsePep440(text);
  return spell(version, version.release);
}

/**
 * One text for all spellings of equal versions: the canonical spelling without trailing zeros in the release. Two
 * versions are equal exactly if their keys are. Throws Fault('invalid').
 */
export function versionKey(text: string): string {
  const version = parsePep440(text);
  return spell(version, withoutTrailingZeros(version.release));
}

/** True if both are spellings of equal versions: `1.0` and `v1.0.0`. Throws Fault('invalid') if either is no version. */
export function versionsEqual(a: string, b: string): boolean {
  return compareVersions(a, b) === 0;
}

function spell(version: Pep440, release: readonly string[]): string {
  return [
    version.epoch === '0' ? '' : `${version.epoch}!`,
    release.join('.'),
    version.pre === undefined ? '' : `${version.pre.phase}${version.pre.number}`,
    version.post === undefined ? '' : `.post${version.post}`,
    version.dev === undefined ? '' : `.dev${version.dev}`,
    version.local === undefined ? '' : `+${version.local.join('.')}`,
  ].join('');
}

function phaseOf(word: string): 'a' | 'b' | 'rc' {
  if (word === 'a' || word === 'alpha') return 'a';
  if (word === 'b' || word === 'beta') return 'b';
  return 'rc';
}

function numberOf(digits: string): string {
  return digits.replace(/^0+(?=[0-9])/, '') || '0';
}

function localSegmentOf(segment: string): string {
  return isNumeric(segment) ? numberOf(segment) : segment;
}

function isNumeric(segment: string): boolean {
  return /^[0-9]+$/.test(segment);
}

/** `1.0.dev1` comes before `1.0a1`, which comes before `1.0`: a lone development release is older than any phase. */
function phaseRankOf(version: Pep440): number {
  if (version.pre !== undefined) return ['a', 'b', 'rc'].indexOf(version.pre.phase);
  return version.post === undefined && version.dev !== undefined ? -1 : 3;
}

/** Digit strings without leading zeros: the longer is the larger. */
function compareNumbers(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareReleases(a: readonly string[], b: readonly string[]): number {
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const order = compareNumbers(a[index] ?? '0', b[index] ?? '0');
    if (order !== 0) return order;
  }
  return 0;
}

function compareOptional(a: string | undefined, b: string | undefined, absent: -1 | 1): number {
  if (a === undefined) return b === undefined ? 0 : absent;
  return b === undefined ? -absent : compareNumbers(a, b);
}

function compareLocals(a: readonly string[] | undefined, b: readonly string[] | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  for (const [index, segment] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = compareLocalSegments(segment, other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareLocalSegments(a: string, b: string): number {
  const numeric = Number(isNumeric(a)) - Number(isNumeric(b));
  if (numeric !== 0) return numeric;
  if (isNumeric(a)) return compareNumbers(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

function withoutTrailingZeros(release: readonly string[]): readonly string[] {
  const last = release.findLastIndex((number) => number !== '0');
  return release.slice(0, Math.max(last + 1, 1));
}
