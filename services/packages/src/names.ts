import { JSON_LIMITS, parseJsonObject } from '@vivarium/conda/json';
import { Fault } from '@vivarium/fault/fault';

const NAME = /^[a-z0-9_](?:[a-z0-9._+-]{0,212}[a-z0-9_+])?$/;
const VERSION = /^[A-Za-z0-9_](?:[A-Za-z0-9._+!~@*-]{0,126}[A-Za-z0-9._+])?$/;
const ATTRIBUTES_BYTES = 128 * 1024;

/** The name of a package, lower-cased. Throws Fault('invalid'). */
export function parsePackageName(text: string): string {
  const name = text.toLowerCase();
  // A lower-cased letter from outside ASCII may have fallen into it.
  if (NAME.test(name) && /^[ -~]*$/.test(text) && !name.includes('..')) return name;
  throw new Fault(
    'invalid',
    `"${text.slice(0, 100)}" is not a package name: use letters, digits, "-", "_" and ".", beginning with a letter or digit.`,
  );
}

/** The version of a release, as it is. Throws Fault('invalid'). */
export function parseVersion(text: string): string {
  if (VERSION.test(text) && !text.includes('..')) return text;
  throw new Fault('invalid', `"${text.slice(0, 100)}" is not a version: write it like 1.2.3.`);
}

/** What a publisher says of something: a JSON object of at most 128 kB; empty text is an empty one. Throws Fault. */
export function parseAttributes(json: string, name: string): Record<string, unknown> {
  if (json === '') return {};
  return parseJsonObject(Buffer.from(json), name, { ...JSON_LIMITS, sizeBytes: ATTRIBUTES_BYTES });
}
