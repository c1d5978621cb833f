import { Fault } from '@vivarium/fault/fault';

const MAX_NAME_LENGTH = 214;

// JavaScript's `$` without the `m` flag matches only at the very end, so a trailing newline does not slip through.
const PROJECT_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/;

/**
 * True if the text may name a Python project: ASCII letters, digits, `.`, `_`, `-`, beginning and ending with a letter
 * or digit, at most 214 characters.
 * Source: PEP 508, "Names"; core metadata, "Name".
 */
export function isProjectName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && PROJECT_NAME.test(text);
}

/**
 * The one spelling under which a project is found: lower case, each run of `-`, `_` and `.` a single `-`.
 * `Foo._Bar` and `foo-bar` give the same text. Throws Fault('invalid') if the text is not a project name.
 * Source: PEP 503, "Normalized Names".
 */
export function normalizeProjectName(text: string): string {
  if (!isProjectName(text)) {
    throw new Fault(
      'invalid',
      `${JSON.stringify(text.slice(0, 80))} is not a project name: use ASCII letters, digits, ".", "_" and "-", beginning and ending with a letter or digit.`,
    );
  }
  return text.toLowerCase().replace(/[-_.]+/g, '-');
}
