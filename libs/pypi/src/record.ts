import { Fault } from '@vivarium/fault/fault';

/** What RECORD says of one member. */
export interface RecordLine {
  readonly path: string;
  readonly hash?: { readonly algorithm: 'sha256' | 'sha384' | 'sha512'; readonly digest: Buffer };
  readonly sizeBytes?: number;
}

const DIGEST_BYTES = { sha256: 32, sha384: 48, sha512: 64 } as const;

/**
 * Reads RECORD, the CSV list of a wheel's members with digest and size. Throws Fault('invalid') for a line of another
 * shape, a digest weaker than SHA-256, a path that is listed twice.
 * Source: Recording installed projects, "The RECORD file" (PEP 376); Binary distribution format.
 */
export function parseRecord(bytes: Uint8Array): ReadonlyMap<string, RecordLine> {
  const lines = new Map<string, RecordLine>();
  for (const fields of rowsOf(decode(bytes))) {
    const line = lineOf(fields);
    if (lines.has(line.path)) throw recordRefusal(`lists ${JSON.stringify(line.path.slice(0, 200))} twice`);
    lines.set(line.path, line);
  }
  return lines;
}

function lineOf(fields: readonly string[]): RecordLine {
  const [path = '', hash = '', size = '', ...rest] = fields;
  if (path === '' || fields.length < 3 || rest.length > 0) {
    throw recordRefusal(
      `has the line ${JSON.stringify(fields.join(',').slice(0, 200))}, which is not "path,hash,size"`,
    );
  }
  if (!/^[0-9]{0,15}$/.test(size))
    throw recordRefusal(`gives ${JSON.stringify(path.slice(0, 200))} a size that is no number`);
  return {
    path,
    ...(hash !== '' && { hash: hashOf(hash, path) }),
    ...(size !== '' && { sizeBytes: Number(size) }),
  };
}

function hashOf(text: string, path: string): NonNullable<RecordLine['hash']> {
  const [, algorithm, encoded] = /^(sha256|sha384|sha512)=([A-Za-z0-9_-]+)={0,2}$/.exec(text) ?? [];
  const digest = Buffer.from(encoded ?? '', 'base64url');
  if (
    (algorithm !== 'sha256' && algorithm !== 'sha384' && algorithm !== 'sha512') ||
    digest.length !== DIGEST_BYTES[algorithm]
  ) {
    throw recordRefusal(
      `gives ${JSON.stringify(path.slice(0, 200))} a hash that is not sha256, sha384 or sha512 in URL-safe base64`,
    );
  }
  return { algorithm, digest };
}

/** Rows of RFC 4180, with any of the three line ends, as Python's csv module reads them. Empty lines are left out. */
function* rowsOf(text: string): Generator<readonly string[]> {
  // Bounded, since a pattern that repeats without end over megabytes exhausts the stack of the regular expression engine.
  const field = /(?:"((?:[^"]|""){0,4096})"|([^",\r\n]{0,4096}))(,|\r\n|\r|\n|$)/y;
  let row: string[] = [];
  while (field.lastIndex < text.length || row.length > 0) {
    const match = field.exec(text);
    if (match === null) throw recordRefusal('is not a CSV file');
    const [, quoted, plain = '', end] = match;
    row.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === ',') continue;
    if (row.length > 1 || row[0] !== '') yield row;
    row = [];
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('invalid', 'RECORD of the wheel is not valid UTF-8.', { cause });
  }
}

function recordRefusal(reason: string): Fault {
  return new Fault('invalid', `RECORD of the wheel ${reason}. Build the wheel again.`);
}
