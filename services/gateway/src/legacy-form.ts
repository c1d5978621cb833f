import { Fault } from '@vivarium/fault/fault';

/** What the form of an upload says beside its file. The metadata that counts is read from the file itself. */
export interface UploadForm {
  readonly name: string;
  readonly version: string;
  readonly filetype: 'sdist' | 'bdist_wheel';
  readonly digests: FormDigests;
}

/** Lower case hex; at least one is there. */
export interface FormDigests {
  readonly sha256: string | undefined;
  readonly md5: string | undefined;
  readonly blake2: string | undefined;
}

const DIGESTS = { sha256: 'sha256_digest', md5: 'md5_digest', blake2: 'blake2_256_digest' } as const;

/** The fields that are looked at; all others repeat what the file says. */
export const FORM_FIELDS: ReadonlySet<string> = new Set([
  ':action',
  'protocol_version',
  'name',
  'version',
  'filetype',
  'pyversion',
  ...Object.values(DIGESTS),
]);

const CHECKS: readonly ((fields: ReadonlyMap<string, string>) => string | undefined)[] = [
  (fields) => wrongValue(fields, ':action', ['file_upload'], 'this address takes file_upload only'),
  (fields) => wrongValue(fields, 'protocol_version', ['1'], 'Unknown protocol version.'),
  (fields) => wrongValue(fields, 'filetype', ['sdist', 'bdist_wheel'], 'Use a known file type: sdist or bdist_wheel.'),
  (fields) =>
    textIn(fields, 'filetype') === 'sdist'
      ? wrongValue(fields, 'pyversion', ['source'], "Use 'source' as Python version for an sdist.")
      : undefined,
  (fields) => wrongDigest(fields, 'sha256_digest', 64),
  (fields) => wrongDigest(fields, 'blake2_256_digest', 64),
  (fields) => wrongDigest(fields, 'md5_digest', 32),
];

/** Throws Fault('invalid') for a field that is wrong whatever follows it. Fields that have not come yet are not missed. */
export function checkFields(fields: ReadonlyMap<string, string>): void {
  for (const check of CHECKS) {
    const complaint = check(fields);
    if (complaint !== undefined) throw new Fault('invalid', complaint);
  }
}

/**
 * The form, once all of it is there. Throws Fault('invalid') in the words that Python's own index has for it.
 * Source: PyPI's upload API ("legacy"), form of metadata versions 1.0 to 2.6.
 */
export function parseUploadForm(fields: ReadonlyMap<string, string>): UploadForm {
  checkFields(fields);
  need(fields, ':action');
  const filetype = need(fields, 'filetype') === 'sdist' ? 'sdist' : 'bdist_wheel';
  if (filetype === 'bdist_wheel' && textIn(fields, 'pyversion') === undefined) {
    throw new Fault('invalid', 'Python version is required for binary distribution uploads.');
  }
  const digests = digestsIn(fields);
  if (Object.values(digests).every((digest) => digest === undefined)) {
    throw new Fault('invalid', 'Include at least one message digest: sha256_digest, blake2_256_digest or md5_digest.');
  }
  return { name: need(fields, 'name'), version: need(fields, 'version'), filetype, digests };
}

export function digestsIn(fields: ReadonlyMap<string, string>): FormDigests {
  const [sha256, md5, blake2] = [DIGESTS.sha256, DIGESTS.md5, DIGESTS.blake2].map((name) =>
    textIn(fields, name)?.toLowerCase(),
  );
  // SHA-256 is our identity of the bytes. BLAKE2b in JavaScript is ten times slower, so it is checked only where a client
  // sends nothing better.
  return { sha256, md5, blake2: sha256 === undefined ? blake2 : undefined };
}

/** The name under which the file was sent. Throws Fault('invalid') for none, and for one with a folder. */
export function filenameIn(filename: string | undefined): string {
  if (filename === undefined || filename === '') throw new Fault('invalid', 'The part "content" has no file name.');
  if (/[/\\]|\p{Cc}/u.test(filename)) {
    throw new Fault('invalid', `Cannot upload a file with '/', '\\' or a control character in its name.`);
  }
  return filename;
}

function need(fields: ReadonlyMap<string, string>, name: string): string {
  const text = textIn(fields, name);
  if (text !== undefined) return text;
  throw new Fault('invalid', `Invalid value for ${name}. Error: This field is required.`);
}

/** Some clients send every field they know, empty. */
function textIn(fields: ReadonlyMap<string, string>, name: string): string | undefined {
  const text = fields.get(name)?.trim();
  return text === '' ? undefined : text;
}

function wrongValue(
  fields: ReadonlyMap<string, string>,
  name: string,
  known: readonly string[],
  complaint: string,
): string | undefined {
  const text = textIn(fields, name);
  if (text === undefined || known.includes(text)) return undefined;
  return `Invalid value for ${name}. Error: ${complaint}`;
}

function wrongDigest(fields: ReadonlyMap<string, string>, name: string, digits: number): string | undefined {
  const text = textIn(fields, name);
  if (text === undefined || (/^[0-9a-f]+$/i.test(text) && text.length === digits)) return undefined;
  return `Invalid value for ${name}. Error: Use a valid, hex-encoded, digest of ${digits} digits.`;
}
