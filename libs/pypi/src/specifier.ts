import { isPep440, parsePep440 } from './version.js';

const MAX_SET_LENGTH = 4096;

const CLAUSE = /^(~=|===|==|!=|<=|>=|<|>)[ \t\n\r\f\v]*(.*)$/s;

/**
 * True if the text is a set of version specifiers such as `>=3.8,<4`, as the field Requires-Python must be. Empty text
 * and empty clauses are allowed, as Python's installers allow them.
 * Source: PEP 440, "Version specifiers".
 */
export function isSpecifierSet(text: string): boolean {
  if (text.length > MAX_SET_LENGTH) return false;
  return text
    .split(',')
    .map(trimAscii)
    .every((clause) => clause === '' || isSpecifier(clause));
}

function isSpecifier(clause: string): boolean {
  const [, operator, version] = CLAUSE.exec(clause) ?? [];
  if (operator === undefined || version === undefined) return false;
  // Arbitrary equality compares text, so nearly any text goes.
  if (operator === '===') return /^[^\s;)]*$/.test(version);
  if (operator === '==' || operator === '!=') return isPep440(version) || isPrefix(version);
  if (!isPep440(version)) return false;
  const { local, release } = parsePep440(version);
  return local === undefined && (operator !== '~=' || release.length > 1);
}

/** `3.8.*`: a release, and no other segment, before the wild card. */
function isPrefix(version: string): boolean {
  return /^v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*\.\*$/i.test(version);
}

function trimAscii(text: string): string {
  return text.replace(/^[ \t\n\r\f\v]+|[ \t\n\r\f\v]+$/g, '');
}
