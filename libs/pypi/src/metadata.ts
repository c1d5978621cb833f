import { Fault } from '@vivarium/fault/fault';

/** The fields of METADATA or PKG-INFO. Fields that may repeat are lists, empty if absent. */
export interface CoreMetadata {
  readonly metadataVersion: string;
  readonly name: string;
  readonly version: string;
  readonly summary?: string;
  readonly description?: string;
  readonly descriptionContentType?: string;
  readonly keywords?: string;
  readonly homePage?: string;
  readonly downloadUrl?: string;
  readonly author?: string;
  readonly authorEmail?: string;
  readonly maintainer?: string;
  readonly maintainerEmail?: string;
  readonly license?: string;
  readonly licenseExpression?: string;
  readonly requiresPython?: string;
  readonly classifiers: readonly string[];
  readonly platforms: readonly string[];
  readonly supportedPlatforms: readonly string[];
  readonly licenseFiles: readonly string[];
  readonly requiresDist: readonly string[];
  readonly providesDist: readonly string[];
  readonly obsoletesDist: readonly string[];
  readonly requires: readonly string[];
  readonly provides: readonly string[];
  readonly obsoletes: readonly string[];
  readonly requiresExternal: readonly string[];
  /** As written, `Label, URL`. */
  readonly projectUrls: readonly string[];
  readonly providesExtra: readonly string[];
  readonly dynamic: readonly string[];
  readonly importNames: readonly string[];
  readonly importNamespaces: readonly string[];
}

/** The largest METADATA or PKG-INFO that is read. */
export const MAX_METADATA_BYTES = 8 * 1024 * 1024;

const MAX_FIELDS = 100_000;

/**
 * Reads METADATA of a wheel or PKG-INFO of a source distribution. Lines are split, fields unfolded and the end of the
 * fields found exactly as Python's mail parser does, which installers use: what we show is what they will read.
 * `UNKNOWN` counts as absent, as old tools meant it. Metadata-Version 1.x and 2.x are accepted; a new major version may
 * change the meaning of anything, so it is refused. Throws Fault('invalid'), or Fault('too_large') above 8 MiB.
 * Source: Core metadata specifications; PEP 566.
 */
export function parseMetadata(bytes: Uint8Array): CoreMetadata {
  if (bytes.length > MAX_METADATA_BYTES) {
    throw new Fault('too_large', `The metadata has ${bytes.length} bytes; at most ${MAX_METADATA_BYTES} are read.`);
  }
  const { fields, body } = splitFields(decode(bytes));
  const one = (field: string): string | undefined => single(fields, field);
  const many = (field: string): readonly string[] => (fields.get(field) ?? []).filter(isMeant);
  const description = body.trim() === '' ? one('description')?.replace(/\n(?: {7}\|| {8})/g, '\n') : body;
  const optional = {
    summary: one('summary'),
    description,
    descriptionContentType: one('description-content-type'),
    keywords: one('keywords'),
    homePage: one('home-page'),
    downloadUrl: one('download-url'),
    author: one('author'),
    authorEmail: one('author-email'),
    maintainer: one('maintainer'),
    maintainerEmail: one('maintainer-email'),
    license: one('license'),
    licenseExpression: one('license-expression'),
    requiresPython: one('requires-python'),
  };
  return {
    metadataVersion: metadataVersionOf(required(fields, 'Metadata-Version')),
    name: required(fields, 'Name'),
    version: required(fields, 'Version'),
    ...withoutAbsent(optional),
    classifiers: many('classifier'),
    platforms: many('platform'),
    supportedPlatforms: many('supported-platform'),
    licenseFiles: many('license-file'),
    requiresDist: many('requires-dist'),
    providesDist: many('provides-dist'),
    obsoletesDist: many('obsoletes-dist'),
    requires: many('requires'),
    provides: many('provides'),
    obsoletes: many('obsoletes'),
    requiresExternal: many('requires-external'),
    projectUrls: many('project-url'),
    providesExtra: many('provides-extra'),
    dynamic: many('dynamic'),
    importNames: many('import-name'),
    importNamespaces: many('import-namespace'),
  };
}

type Fields = ReadonlyMap<string, readonly string[]>;

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new Fault('invalid', 'The metadata is not valid UTF-8. Build the package again with a current tool.', {
      cause,
    });
  }
}

function splitFields(text: string): { readonly fields: Fields; readonly body: string } {
  const fields = new Map<string, string[]>();
  let last: string[] | undefined;
  let count = 0;
  let at = 0;
  for (const [line, next] of linesOf(text)) {
    if (line === '') {
      at = next;
      break;
    }
    const colon = line.indexOf(':');
    // Python's parser skips these two quietly, others do not: no tool writes them but to make readers disagree.
    if (colon === 0 || line.startsWith('From ')) {
      throw new Fault(
        'invalid',
        `The metadata holds the line ${JSON.stringify(line.slice(0, 40))}, which is no field. Remove it.`,
      );
    }
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (last === undefined) throw new Fault('invalid', 'The metadata begins with white space instead of a field.');
      last.push(`${last.pop() ?? ''}\n${line}`);
    } else if (colon > 0 && /^[\x21-\x7e]+$/.test(line.slice(0, colon))) {
      count += 1;
      if (count > MAX_FIELDS) throw new Fault('invalid', `The metadata has more than ${MAX_FIELDS} fields.`);
      const name = line.slice(0, colon).toLowerCase();
      last = fields.get(name) ?? [];
      fields.set(name, last);
      last.push(line.slice(colon + 1));
    } else {
      // Python's parser takes the rest as the body, so that is what an installer sees.
      break;
    }
    at = next;
  }
  const trimmed = [...fields].map(([name, values]): [string, string[]] => [name, values.map(trimAscii)]);
  return { fields: new Map(trimmed), body: text.slice(at) };
}

/** Lines with the offset of the next one; the line ends that Python's universal newlines know, and no others. */
function* linesOf(text: string): Generator<readonly [line: string, next: number]> {
  const end = /\r\n|\r|\n/g;
  let at = 0;
  while (at < text.length) {
    end.lastIndex = at;
    const match = end.exec(text);
    const stop = match?.index ?? text.length;
    const next = stop + (match?.[0].length ?? 0);
    yield [text.slice(at, stop), next];
    at = next;
  }
}

/** Only ASCII white space: a name that ends in an exotic space is another name to an installer. */
function trimAscii(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function single(fields: Fields, field: string): string | undefined {
  const values = fields.get(field) ?? [];
  // Tools disagree on which of two wins, so a file with two could be shown as one thing and installed as another.
  if (values.length > 1)
    throw new Fault('invalid', `The metadata has the field "${field}" ${values.length} times; keep one.`);
  return values.find(isMeant);
}

function required(fields: Fields, field: string): string {
  const value = single(fields, field.toLowerCase());
  if (value === undefined) throw new Fault('invalid', `The metadata has no field "${field}". Add it and build again.`);
  return value;
}

function isMeant(value: string): boolean {
  return value !== '' && value !== 'UNKNOWN';
}

function metadataVersionOf(text: string): string {
  if (!/^[12]\.[0-9]{1,3}$/.test(text)) {
    throw new Fault(
      'invalid',
      `Metadata-Version ${JSON.stringify(text.slice(0, 40))} is not known here: 1.x and 2.x are. Build it with one of them.`,
    );
  }
  return text;
}

function withoutAbsent<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
