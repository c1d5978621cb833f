import { Fault } from '@vivarium/fault/fault';
import { isKnownSubdir } from './subdir.js';

const MAX_LABEL_CHARACTERS = 128;
const LABEL = /^[a-z][0-9a-z_\-./]*$/;

// Words that stand right of a label in some URL, or mean something to a client: a label with such a segment could be read in
// two ways.
const RESERVED: ReadonlySet<string> = new Set([
  't',
  'label',
  'simple',
  'legacy',
  'shards',
  'lock',
  'copy',
  'nolabel',
  '-',
]);

/** The label that a file has unless said otherwise, and that a URL without a label means. */
export const DEFAULT_LABEL = 'main';

/**
 * The label, folded to lower case: at most 128 of letters, digits, `_ - . /`, beginning with a letter. No segment between
 * slashes is empty, `.`, `..`, a platform directory or a reserved word.
 * Throws Fault('invalid') with the segment at fault. Source: CEP-26.
 */
export function parseLabel(text: string): string {
  const shown = JSON.stringify(text.slice(0, 140));
  const label = text.toLowerCase();
  if (text.length > MAX_LABEL_CHARACTERS || !LABEL.test(label) || hasNonAscii(text)) {
    throw new Fault(
      'invalid',
      `${shown} is not a label. Begin with a letter and use at most ${MAX_LABEL_CHARACTERS} of a-z, 0-9, "_", "-", "." and "/".`,
    );
  }
  const bad = label.split('/').find((segment) => !isLabelSegment(segment));
  if (bad === undefined) return label;
  throw new Fault('invalid', `The label ${shown} has the segment ${JSON.stringify(bad)}, which is reserved or empty.`);
}

/** True if the text, folded to lower case, is a label. */
export function isLabel(text: string): boolean {
  try {
    parseLabel(text);
    return true;
  } catch {
    return false;
  }
}

function isLabelSegment(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false;
  return !RESERVED.has(segment) && !isKnownSubdir(segment);
}

// Lower-casing maps a few letters from outside ASCII into it (the Kelvin sign becomes `k`).
function hasNonAscii(text: string): boolean {
  return /[^ -~]/.test(text);
}
