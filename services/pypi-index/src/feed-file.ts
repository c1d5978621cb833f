import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';
import { renderProjectHtml, renderProjectJson, type SimpleFile } from '@vivarium/pypi/simple';

/** A file with the release that it belongs to. */
export interface ToldFile {
  readonly version: string;
  readonly file: SimpleFile;
}

/**
 * The file of a simple page as the feed gives it. A file that cannot be rendered makes the page of its project fail, so each
 * is tried alone. Throws Fault('invalid').
 */
export function simpleFileOf({ filename, recordJson, version, name }: FileRecord): ToldFile {
  const record = recordIn(recordJson, filename);
  const wrong = Object.entries(FIELDS).find(([field, isRight]) => !isRight(record[field]));
  if (wrong !== undefined || record.filename !== filename) {
    throw new Fault('invalid', `The record of ${filename} has a wrong "${wrong?.[0] ?? 'filename'}".`);
  }
  // The fields were looked at above.
  const file = record as unknown as SimpleFile;
  const alone = { name, versions: [version], files: [file] };
  renderProjectJson(alone);
  renderProjectHtml(alone);
  return { version, file };
}

function recordIn(json: string, filename: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (cause) {
    throw new Fault('invalid', `The record of ${filename} is not JSON.`, { cause });
  }
  throw new Fault('invalid', `The record of ${filename} is no object.`);
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isOptionalText = (value: unknown): boolean => value === undefined || isText(value);

const FIELDS: Readonly<Record<keyof SimpleFile, (value: unknown) => boolean>> = {
  filename: isText,
  sha256: isText,
  sizeBytes: Number.isSafeInteger,
  uploadedAt: isText,
  requiresPython: isOptionalText,
  metadataSha256: isOptionalText,
  yanked: (value) => typeof value === 'boolean' || isText(value),
};
