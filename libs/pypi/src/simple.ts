import { Fault } from '@vivarium/fault/fault';
import { parseDistributionFilename } from './filename.js';
import { relativeFileUrl } from './path.js';
import { comparePep440, parsePep440 } from './version.js';

/** All that a project's page tells: the releases and files of one project that the page's readers may see. */
export interface SimpleProject {
  /** Normalised. */
  readonly name: string;
  /** Every version, also those without files. */
  readonly versions: readonly string[];
  readonly files: readonly SimpleFile[];
}

export interface SimpleFile {
  readonly filename: string;
  /** 64 hexadecimal digits, lower case. */
  readonly sha256: string;
  readonly sizeBytes: number;
  /** UTC, as `2026-08-22T10:11:12.123456Z`, with at most six fraction digits: clients refuse more. */
  readonly uploadedAt: string;
  readonly requiresPython?: string;
  /** Of a wheel's METADATA, which must then be served at the file's URL with `.metadata`: clients abort if it is not. */
  readonly metadataSha256?: string;
  /** The reason, if one was given. */
  readonly yanked: boolean | string;
}

// The HTML form is frozen at 1.4; a higher number without its features makes clients warn.
const API_VERSION = '1.4';

/**
 * A project's page in JSON, UTF-8. The same project gives the same bytes: versions in PEP 440 order, files by version and
 * name, and no serial or date but those of the files, so that a change which the reader may not see changes nothing.
 * Throws Fault('invalid') for a row that would break clients. Source: PEP 691, 700, 714, 792.
 */
export function renderProjectJson(project: SimpleProject): Uint8Array {
  const { name, versions, files } = ordered(project);
  return Buffer.from(
    JSON.stringify({
      meta: { 'api-version': API_VERSION },
      name,
      'project-status': { status: 'active' },
      versions,
      files: files.map(fileJson),
    }),
  );
}

/**
 * A project's page in HTML, UTF-8, frozen: one anchor a line, the attributes in the order that scrapers rely on.
 * `data-size` and `data-upload-time` are not of the standard; one client reads them. Otherwise as renderProjectJson.
 * Source: PEP 503, 592, 658, 714, 833.
 */
export function renderProjectHtml(project: SimpleProject): Uint8Array {
  const { name, files } = ordered(project);
  const status = '<meta name="pypi:project-status" content="active">\n';
  return htmlPage(`Links for ${name}`, status, files.map(fileAnchor));
}

/** The list of projects in JSON, ordered, UTF-8. Takes normalised names. Source: PEP 691. */
export function renderRootJson(names: readonly string[]): Uint8Array {
  const projects = distinct(names).map((name) => ({ name }));
  return Buffer.from(JSON.stringify({ meta: { 'api-version': API_VERSION }, projects }));
}

/** The list of projects in HTML, ordered, UTF-8. Takes normalised names. Source: PEP 503. */
export function renderRootHtml(names: readonly string[]): Uint8Array {
  const anchors = distinct(names).map(
    (name) => `<a href="${escaped(encodeURIComponent(name))}/">${escaped(name)}</a><br />`,
  );
  return htmlPage('Simple index', '', anchors);
}

function fileJson(file: SimpleFile): object {
  return {
    filename: file.filename,
    url: relativeFileUrl(file.sha256, file.filename),
    hashes: { sha256: file.sha256 },
    ...(file.requiresPython !== undefined && { 'requires-python': file.requiresPython }),
    // Never its old name `dist-info-metadata`: in JSON that one crashes pip 22.3 to 23.1.
    'core-metadata': file.metadataSha256 === undefined ? false : { sha256: file.metadataSha256 },
    'gpg-sig': false,
    // An empty reason is not a reason; the standard wants a text with at least one character, or `true`.
    yanked: file.yanked === '' ? true : file.yanked,
    size: file.sizeBytes,
    'upload-time': file.uploadedAt,
    provenance: null,
  };
}

function fileAnchor(file: SimpleFile): string {
  const attributes: (readonly [string, string])[] = [
    ['href', `${relativeFileUrl(file.sha256, file.filename)}#sha256=${file.sha256}`],
  ];
  if (file.requiresPython !== undefined) attributes.push(['data-requires-python', file.requiresPython]);
  if (file.yanked !== false) attributes.push(['data-yanked', file.yanked === true ? '' : file.yanked]);
  if (file.metadataSha256 !== undefined) {
    attributes.push(['data-dist-info-metadata', `sha256=${file.metadataSha256}`]);
    attributes.push(['data-core-metadata', `sha256=${file.metadataSha256}`]);
  }
  attributes.push(['data-size', String(file.sizeBytes)], ['data-upload-time', file.uploadedAt]);
  const text = attributes.map(([key, value]) => `${key}="${escaped(value)}"`).join(' ');
  return `<a ${text}>${escaped(file.filename)}</a><br />`;
}

function htmlPage(title: string, head: string, anchors: readonly string[]): Uint8Array {
  return Buffer.from(
    `<!DOCTYPE html>\n<html>\n<head>\n<meta name="pypi:repository-version" content="${API_VERSION}">\n${head}` +
      `<title>${escaped(title)}</title>\n</head>\n<body>\n<h1>${escaped(title)}</h1>\n` +
      `${anchors.map((anchor) => `${anchor}\n`).join('')}</body>\n</html>\n`,
  );
}

function ordered(project: SimpleProject): SimpleProject {
  const versions = distinct(project.versions).map((text) => ({ text, key: parsePep440(text) }));
  const files = project.files.map((file) => {
    requireServable(file);
    return { file, text: file.filename, key: parsePep440(parseDistributionFilename(file.filename).version) };
  });
  const inOrder = (a: (typeof versions)[number], b: (typeof versions)[number]): number =>
    comparePep440(a.key, b.key) || compareTexts(a.text, b.text);
  return {
    name: project.name,
    versions: versions.sort(inOrder).map(({ text }) => text),
    files: files.sort(inOrder).map(({ file }) => file),
  };
}

function requireServable(file: SimpleFile): void {
  const hashes = [file.sha256, file.metadataSha256 ?? file.sha256];
  if (hashes.some((hash) => !/^[0-9a-f]{64}$/.test(hash)))
    throw broken(file, 'a SHA-256 that is not 64 hexadecimal digits');
  if (!Number.isSafeInteger(file.sizeBytes) || file.sizeBytes < 0) throw broken(file, `the size ${file.sizeBytes}`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z$/.test(file.uploadedAt)) {
    throw broken(file, `the upload time ${JSON.stringify(file.uploadedAt.slice(0, 40))}`);
  }
}

function broken(file: SimpleFile, what: string): Fault {
  return new Fault('invalid', `${file.filename} has ${what}, which clients do not accept.`);
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort(compareTexts);
}

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#x27;',
  // One anchor is one line.
  '\n': '&#10;',
  '\r': '&#13;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"'\n\r]/g, (character) => ESCAPES[character] ?? character);
}
