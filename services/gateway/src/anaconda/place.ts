import { Fault } from '@vivarium/fault/fault';

// What stands in a path of the API, decoded once by the router: one segment is one value, and only the basename of a file
// (`linux-64/foo-1.0-0.conda`) and the name of a token may hold a slash, encoded or not.

export interface PackageParams {
  readonly owner: string;
  readonly package: string;
}

export interface ReleaseParams extends PackageParams {
  readonly version: string;
}

export interface FileParams extends ReleaseParams {
  readonly basename: readonly string[];
}

const LOGIN = /^[a-z0-9][a-z0-9_-]{1,62}$/;

/** True for what an account can be called. */
export function isLogin(text: string): boolean {
  return LOGIN.test(text);
}

/** Throws Fault('not_found') for what no account can be called, upper case included. */
export function loginIn(text: string): string {
  if (isLogin(text)) return text;
  throw new Fault('not_found', `There is no account "${text.slice(0, 70)}".`);
}

/** Throws as `loginIn` and `nameIn`. */
export function packageIn({ owner, package: name }: PackageParams) {
  return { channel: loginIn(owner), package: nameIn(name) };
}

export function releaseIn(params: ReleaseParams) {
  return { ...packageIn(params), version: nameIn(params.version) };
}

export function fileIn(params: FileParams) {
  return { ...releaseIn(params), basename: basenameIn(params.basename) };
}

/**
 * Looks at a raw path before it is taken apart. Throws Fault('invalid') for what two readers could take differently: an
 * empty, `.` or `..` segment, encoded or not, controls, and what is not UTF-8. One slash at the end is no segment.
 */
export function checkPath(path: string): void {
  const segments = path.slice(1).split('/');
  if (segments.at(-1) === '') segments.pop();
  for (const raw of segments) {
    if (raw === '') throw new Fault('invalid', 'The path has an empty segment ("//"). Remove it.');
    checkSegment(decode(raw));
  }
}

/** Looks at a raw query before it is taken apart. Throws Fault('invalid') for controls, which no name and no text has. */
export function checkQuery(query: string): void {
  if (/%(?:[01][0-9a-f]|7f)/i.test(query)) throw new Fault('invalid', 'The query encodes a control character.');
}

/** A name or version. Throws Fault('invalid') for one that holds what could be read as two segments. */
function nameIn(text: string): string {
  if (!/[/\\]/.test(text)) return text;
  throw new Fault('invalid', `"${text.slice(0, 100)}" holds a slash, which a name or version cannot.`);
}

/** `<file>` or `<subdir>/<file>`, of one or two segments. Throws Fault('invalid'). */
function basenameIn(segments: readonly string[]): string {
  const basename = segments.join('/');
  const parts = basename.split('/');
  if (parts.length <= 2 && !parts.includes('') && !basename.includes('\\')) return basename;
  throw new Fault('invalid', `"${basename.slice(0, 200)}" is no file: give <file>, or <subdir>/<file> for conda.`);
}

function checkSegment(segment: string): void {
  if (/\p{Cc}/u.test(segment)) throw new Fault('invalid', 'The path encodes a control character.');
  if (segment.split(/[/\\]/).some((part) => part === '.' || part === '..')) {
    throw new Fault('invalid', 'The path has a "." or ".." segment. Write the address out.');
  }
}

function decode(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new Fault('invalid', 'The path is not percent-encoded UTF-8.');
  }
}
