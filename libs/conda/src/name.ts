import { Fault } from '@vivarium/fault/fault';

const MAX_NAME_CHARACTERS = 64;

// A double underscore in front marks virtual packages (`__glibc`), which the client invents and nobody may publish.
const NAME = /^(?:[a-z0-9]|[a-z0-9_](?!_))[._-]?(?:[a-z0-9]+(?:\.|-|_|$))*$/;

/**
 * True if the text may name a package: lower case, at most 64 characters, single separators, no leading `__`.
 * Source: CEP-26.
 */
export function isCondaName(text: string): boolean {
  return text.length <= MAX_NAME_CHARACTERS && NAME.test(text);
}

/**
 * The package name, unchanged. Specs are lower-cased by every client, so an upper-case name could never be installed and is
 * refused here instead of being folded.
 * Throws Fault('invalid') if it is not a package name. Source: CEP-26.
 */
export function parseCondaName(text: string): string {
  if (isCondaName(text)) return text;
  const shown = JSON.stringify(text.slice(0, 80));
  if (text.startsWith('__')) {
    throw new Fault(
      'invalid',
      `The package name ${shown} begins with "__", which is kept for virtual packages. Rename it.`,
    );
  }
  if (text !== text.toLowerCase()) {
    throw new Fault('invalid', `The package name ${shown} has upper-case letters. Rename it to lower case.`);
  }
  throw new Fault(
    'invalid',
    `${shown} is not a conda package name. Use at most 64 of a-z, 0-9, and single "-", "_" or "." between them.`,
  );
}
