import { Fault } from '@vivarium/fault/fault';

const MAX_VERSION_CHARACTERS = 64;
const MAX_NUMBER = 2_147_483_647;

// Narrower than either client alone: every accepted text means the same to conda and to rattler.
const VERSION = /^(?:\d+!)?[0-9a-z]+(?:[._-][0-9a-z]+)*_?(?:\+[0-9a-z]+(?:[._-][0-9a-z]+)*)?$/i;

type Part = string | number;
type Component = readonly Part[];
interface Version {
  readonly main: readonly Component[];
  readonly local: readonly Component[];
}

const ZERO: Component = [0];

/**
 * True if the text is a version that every client can order: `[epoch!]main[+local]`, at most 64 characters, components of
 * letters and digits between single `.`, `_` or `-` (never both `_` and `-`), one trailing `_` allowed, no run of digits
 * above 2^31-1. Source: CEP-33.
 */
export function isCondaVersion(text: string): boolean {
  if (text.length > MAX_VERSION_CHARACTERS || !VERSION.test(text)) return false;
  if (text.includes('-') && text.includes('_')) return false;
  // Asked for each artifact that is read: shorter runs cannot be too large, and most versions have no longer one.
  return !/\d{10}/.test(text) || (text.match(/\d+/g) ?? []).every((digits) => Number(digits) <= MAX_NUMBER);
}

/**
 * Orders two conda versions: negative if a < b, zero if equal, positive if a > b. Different texts may be equal
 * (`1.1` and `1.1.0`, `RC` and `rc`).
 * Throws Fault('invalid') if either is not a conda version. Source: CEP-33, "version order".
 */
export function compareVersions(a: string, b: string): number {
  if (a === b && isCondaVersion(a)) return 0;
  const left = parseVersion(a);
  const right = parseVersion(b);
  return compareLists(left.main, right.main) || compareLists(left.local, right.local);
}

function parseVersion(text: string): Version {
  if (!isCondaVersion(text)) {
    throw new Fault(
      'invalid',
      `${JSON.stringify(text.slice(0, 80))} is not a conda version. Write it like 1.2.3, 2.0rc1 or 1!2.0+local.`,
    );
  }
  const [rest = '', local] = text.toLowerCase().replaceAll('-', '_').split('+');
  const [epoch, main] = rest.includes('!') ? rest.split('!') : ['0', rest];
  return {
    main: [[Number(epoch)], ...componentsOf(main ?? '')],
    local: local === undefined ? [] : componentsOf(local),
  };
}

function componentsOf(text: string): Component[] {
  // A trailing underscore belongs to its component (`1.0.1_` of openssl sorts before `1.0.1a`); others separate.
  const marked = text.endsWith('_');
  const pieces = (marked ? text.slice(0, -1) : text).split(/[._]/);
  return pieces.map((piece, i) => componentOf(marked && i === pieces.length - 1 ? `${piece}_` : piece));
}

function componentOf(piece: string): Component {
  const parts = (piece.match(/\d+|\D+/g) ?? []).map((run) => (/^\d/.test(run) ? Number(run) : run));
  return typeof parts[0] === 'number' ? parts : [0, ...parts];
}

function compareLists(a: readonly Component[], b: readonly Component[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = compareComponents(a[i] ?? ZERO, b[i] ?? ZERO);
    if (order !== 0) return order;
  }
  return 0;
}

function compareComponents(a: Component, b: Component): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = compareParts(a[i] ?? 0, b[i] ?? 0);
    if (order !== 0) return order;
  }
  return 0;
}

function compareParts(a: Part, b: Part): number {
  const rank = rankOf(a) - rankOf(b);
  if (rank !== 0 || a === b) return rank;
  return a < b ? -1 : 1;
}

// `dev` is below every text, a text below every number, `post` above every number.
function rankOf(part: Part): number {
  if (typeof part === 'number') return 2;
  if (part === 'dev') return 0;
  return part === 'post' ? 3 : 1;
}
