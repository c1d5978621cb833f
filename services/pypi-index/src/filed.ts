import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Audience } from '@vivarium/access/audience';
import type { FileRecord } from '@vivarium/contracts/gen/vivarium/packages/v1/feed_pb';
import { Fault } from '@vivarium/fault/fault';
import type { IndexingLog } from '@vivarium/indexing/loop';
import type { ProjectPages } from '@vivarium/pypi/manifest';
import { renderProjectHtml, renderProjectJson } from '@vivarium/pypi/simple';
import { audienceFromProto } from '@vivarium/trust/messages';
import { simpleFileOf, type ToldFile } from './feed-file.js';

/** The pages of a project in one label. */
export interface Filed {
  readonly label: string;
  readonly name: string;
  readonly packageId: string;
  readonly audience: Audience;
  readonly pages: ProjectPages;
  /** The bytes of the pages, in the order json, json gzipped, html, html gzipped. */
  readonly objects: readonly { readonly bytes: Uint8Array; readonly hash: string }[];
}

/**
 * Folds the files of some projects: name → label → its pages. What cannot be folded is left out with an error in the log: a
 * file alone, or a project where it is not clear who may read it. It must neither break a page nor hold the channel.
 */
export function filedOf(
  records: readonly FileRecord[],
  log: IndexingLog,
): ReadonlyMap<string, ReadonlyMap<string, Filed>> {
  const filed = new Map<string, ReadonlyMap<string, Filed>>();
  for (const [name, files] of Map.groupBy(records, (file) => file.name)) {
    try {
      filed.set(name, labelsOf(name, files, log));
    } catch (error) {
      log.error({ name, error }, 'A project cannot be indexed and is left out.');
    }
  }
  return filed;
}

function labelsOf(name: string, records: readonly FileRecord[], log: IndexingLog): ReadonlyMap<string, Filed> {
  const { packageId = '', audience: message } = records[0] ?? {};
  const audience = audienceFromProto(message);
  if (records.some((record) => record.packageId !== packageId || record.audience?.id !== audience.id)) {
    throw new Fault('internal', `The project ${name} has files of several packages.`);
  }
  const gathered = new Map<string, ToldFile[]>();
  for (const record of records) {
    const file = fileOrNothing(record, log);
    if (file === undefined) continue;
    for (const label of record.labels) gathered.set(label, [...(gathered.get(label) ?? []), file]);
  }
  return new Map(
    [...gathered].map(([label, files]) => [label, { label, name, packageId, audience, ...pagesOf(name, files) }]),
  );
}

function pagesOf(name: string, told: readonly ToldFile[]): Pick<Filed, 'pages' | 'objects'> {
  const project = { name, versions: told.map(({ version }) => version), files: told.map(({ file }) => file) };
  const json = renderProjectJson(project);
  const html = renderProjectHtml(project);
  const objects = [json, gzipped(json), html, gzipped(html)].map((bytes) => {
    return { bytes, hash: createHash('sha256').update(bytes).digest('hex') };
  });
  const [jsonHash = '', jsonGzip = '', htmlHash = '', htmlGzip = ''] = objects.map(({ hash }) => hash);
  return { objects, pages: { json: jsonHash, jsonGzip, html: htmlHash, htmlGzip } };
}

/** Equal bytes for equal content: no date, and no name of the operating system. Source: RFC 1952 §2.3.1. */
function gzipped(bytes: Uint8Array): Uint8Array {
  const member = gzipSync(bytes, { level: 6 });
  member[9] = 255;
  return member;
}

function fileOrNothing(record: FileRecord, log: IndexingLog): ToldFile | undefined {
  try {
    return simpleFileOf(record);
  } catch (error) {
    const { name, filename } = record;
    log.error({ name, filename, error }, 'A file cannot be indexed and is left out.');
    return undefined;
  }
}
