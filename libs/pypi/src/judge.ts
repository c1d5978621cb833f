import { createHash } from 'node:crypto';
import { Fault } from '@vivarium/fault/fault';
import { type DistributionFilename, parseDistributionFilename } from './filename.js';
import { isProjectName, normalizeProjectName } from './name.js';
import type { SdistInspection } from './sdist.js';
import type { SimpleFile } from './simple.js';
import { isSpecifierSet } from './specifier.js';
import { isPep440, normalizeVersion, versionsEqual } from './version.js';
import type { WheelInspection } from './wheel.js';

export type PypiInspection = WheelInspection | SdistInspection;

/** What an uploading client says beside the file. Clients leave fields out and send empty ones; both say nothing. */
export interface PypiForm {
  readonly name?: string;
  readonly version?: string;
  readonly filetype?: string;
}

/** What to record of a file that was found good. */
export interface JudgedPypiFile {
  readonly filename: string;
  readonly filetype: DistributionFilename['filetype'];
  /** The normalised project name: the package that the file belongs to. */
  readonly name: string;
  /** The name as METADATA spells it, to be shown. */
  readonly displayName: string;
  /** The canonical version. */
  readonly version: string;
  readonly requiresPython?: string;
}

/**
 * Decides whether a file may be published: its own metadata, its file name and the form must name the same package and
 * version, and Requires-Python must be a version specifier. The file's word is what counts; the form is only compared.
 * Local versions and all platform tags are allowed. Throws Fault('invalid') with a sentence for the publisher.
 */
export function judgePypi(upload: {
  readonly filename: string;
  readonly inspection: PypiInspection;
  readonly form?: PypiForm;
}): JudgedPypiFile {
  const { filename, inspection, form = {} } = upload;
  const { metadata } = inspection;
  const file = parseDistributionFilename(filename);
  const source = file.filetype === 'bdist_wheel' ? 'METADATA' : 'PKG-INFO';
  if (inspection.filename !== filename || inspection.filetype !== file.filetype) {
    throw new Fault('invalid', `${quoted(filename)} was uploaded, but ${quoted(inspection.filename)} was inspected.`);
  }
  requireName(metadata.name, file.name, `${source} of ${filename}`);
  requireVersion(metadata.version, file.version, `${source} of ${filename}`);
  if (isSaid(form.name)) requireName(form.name, file.name, `the form sent with ${filename}`);
  if (isSaid(form.version)) requireVersion(form.version, file.version, `the form sent with ${filename}`);
  if (isSaid(form.filetype) && form.filetype !== file.filetype) {
    throw new Fault(
      'invalid',
      `The form says filetype ${quoted(form.filetype)}, but ${filename} is of type "${file.filetype}".`,
    );
  }
  const { requiresPython } = metadata;
  if (requiresPython !== undefined && !isSpecifierSet(requiresPython)) {
    throw new Fault(
      'invalid',
      `${source} of ${filename} says Requires-Python: ${quoted(requiresPython)}, which is not a version specifier such as ">=3.9". Mend it and build again.`,
    );
  }
  return {
    filename,
    filetype: file.filetype,
    name: file.name,
    displayName: metadata.name,
    version: normalizeVersion(metadata.version),
    ...(requiresPython !== undefined && { requiresPython }),
  };
}

/**
 * The row of a file on its project's page. The digest of METADATA is given for wheels only: clients that see one ask for
 * `<file>.metadata`, which is served for wheels.
 */
export function projectFileOf(
  inspection: PypiInspection,
  stored: Pick<SimpleFile, 'sha256' | 'sizeBytes' | 'uploadedAt'> & { readonly yanked?: boolean | string },
): SimpleFile {
  const { requiresPython } = inspection.metadata;
  return {
    filename: inspection.filename,
    sha256: stored.sha256,
    sizeBytes: stored.sizeBytes,
    uploadedAt: stored.uploadedAt,
    ...(requiresPython !== undefined && { requiresPython }),
    ...(inspection.filetype === 'bdist_wheel' && {
      metadataSha256: createHash('sha256').update(inspection.metadataBytes).digest('hex'),
    }),
    yanked: stored.yanked ?? false,
  };
}

function requireName(text: string, expected: string, place: string): void {
  if (!isProjectName(text))
    throw new Fault(
      'invalid',
      `${place} gives the name ${quoted(text)}, which is no project name. Mend it and build again.`,
    );
  if (normalizeProjectName(text) !== expected) {
    throw new Fault(
      'invalid',
      `${place} gives the name ${quoted(text)}, but the file name says "${expected}". Rename the file, or build it again.`,
    );
  }
}

function requireVersion(text: string, expected: string, place: string): void {
  if (!isPep440(text)) {
    throw new Fault(
      'invalid',
      `${place} gives the version ${quoted(text)}, which installers do not accept: see PEP 440. Mend it and build again.`,
    );
  }
  if (!versionsEqual(text, expected)) {
    throw new Fault(
      'invalid',
      `${place} gives the version ${quoted(text)}, but the file name says "${expected}". Rename the file, or build it again.`,
    );
  }
}

function isSaid(text: string | undefined): text is string {
  return text !== undefined && text !== '';
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 120));
}
