import { parseJsonObject } from '@vivarium/conda/json';
import type { CondaRecord } from '@vivarium/conda/record';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';

/**
 * The record of a file as the feed gives it. One record that clients cannot read makes a whole channel unusable for them, so
 * what every client relies on is looked at once more. Throws Fault('invalid').
 */
export function condaRecordOf(file: FileRecord): CondaRecord {
  const record = parseJsonObject(Buffer.from(file.recordJson), `The record of ${file.filename}`);
  const wrong = Object.entries(FIELDS).find(([field, isRight]) => !isRight(record[field], file));
  if (wrong !== undefined) {
    throw new Fault('invalid', `The record of ${file.subdir}/${file.filename} has a wrong "${wrong[0]}".`);
  }
  if (!file.filename.endsWith('.conda') && !file.filename.endsWith('.tar.bz2')) {
    throw new Fault('invalid', `${file.filename} is neither .conda nor .tar.bz2.`);
  }
  // The fields were looked at above; the others are those that the record was made with.
  return record as unknown as CondaRecord;
}

const FIELDS: Readonly<Record<string, (value: unknown, file: FileRecord) => boolean>> = {
  name: (value, file) => value === file.name,
  subdir: (value, file) => value === file.subdir,
  version: isText,
  build: (value) => typeof value === 'string',
  build_number: Number.isSafeInteger,
  depends: (value) => Array.isArray(value) && value.every((each) => typeof each === 'string'),
  md5: (value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value),
  sha256: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
  size: Number.isSafeInteger,
  indexed_timestamp: Number.isSafeInteger,
};

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}
