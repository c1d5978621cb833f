import type { FileKind } from '@vivarium/access/scope';
import { type About, aboutOf } from '@vivarium/conda/about';
import { judgeConda } from '@vivarium/conda/judge';
import { recordOf } from '@vivarium/conda/record';
import { Fault } from '@vivarium/fault/fault';
import { judgePypi, projectFileOf } from '@vivarium/pypi/judge';
import { normalizeProjectName } from '@vivarium/pypi/name';
import { versionsEqual } from '@vivarium/pypi/version';
import type { Inspection } from './inspection.js';
import type { StageRow } from './stage-row.js';
import { basenameOf, filenameOf } from './upload-path.js';

/** What the gateway measured of the bytes. */
export interface Received {
  readonly stagingKey: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
}

/** A file that may be entered, with what it says of itself. */
export interface JudgedFile {
  readonly kind: FileKind;
  /** As the kind normalises it: it alone selects the package. */
  readonly name: string;
  /** A new package is called so. */
  readonly displayName: string;
  readonly version: string;
  readonly basename: string;
  readonly subdir: string | undefined;
  readonly received: Received;
  /** Of a wheel: METADATA, to be served beside it. */
  readonly metadata: Uint8Array | undefined;
  readonly summary: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** conda: what channeldata.json shows of it. */
  readonly about: About | null;
  /** The line of an index, as JSON, for a file entered at this time; null for kinds without an index. */
  recordJson(enteredAtMs: number): string | null;
}

// A page of the change feed must hold at least one record, and travels in one message.
const RECORD_LIMIT_BYTES = 256 * 1024;
const SUMMARY_CHARACTERS = 1_000;

/**
 * Refuses what must not be entered: bytes other than announced, an archive that poisons an index, and one that is not the
 * file that URL, form and ticket named. Throws Fault('invalid') with what to mend.
 */
export function judge(stage: StageRow, inspection: Inspection, nowMs: number): JudgedFile {
  const received = receivedOf(stage);
  if (stage.sha256 !== '' && stage.sha256 !== received.sha256) {
    throw new Fault(
      'invalid',
      `${stage.basename} arrived with the SHA-256 ${received.sha256}, and ${stage.sha256} was announced. Upload it again.`,
    );
  }
  const judged = judgeKind(stage, inspection, received, nowMs);
  if (stage.form === null) requireSamePath(stage, judged);
  const record = judged.recordJson(nowMs);
  if (record !== null && Buffer.byteLength(record) > RECORD_LIMIT_BYTES) {
    throw new Fault('invalid', `${stage.basename} says too much for an index: more than ${RECORD_LIMIT_BYTES} bytes.`);
  }
  return judged;
}

function judgeKind(stage: StageRow, inspection: Inspection, received: Received, nowMs: number): JudgedFile {
  const { kind, attributes } = stage;
  const { sha256, md5, sizeBytes } = received;
  if (inspection.kind === 'conda') {
    const { index, about, runExports } = inspection.archive;
    const basename = condaBasenameOf(stage, index);
    const named = basenameOf('conda', basename);
    const subdir = named?.subdir ?? '';
    judgeConda({ filename: filenameOf(basename), subdir, inspection: inspection.archive, nowMs });
    const record = (indexedAtMs: number) =>
      recordOf(index, { sha256, md5, sizeBytes, subdir, indexedAtMs, runExports });
    const { name, version, build, build_number, license, noarch, timestamp } = record(nowMs);
    return {
      kind,
      name,
      displayName: name,
      version,
      basename,
      subdir,
      received,
      metadata: undefined,
      summary: textOf(about?.summary),
      about: aboutOf(about),
      attributes: { ...attributes, subdir, build, build_number, license, noarch, timestamp },
      recordJson: (indexedAtMs) => JSON.stringify(record(indexedAtMs)),
    };
  }
  const { basename } = stage;
  if (inspection.kind === 'pypi') {
    const { archive } = inspection;
    const judged = judgePypi({ filename: basename, inspection: archive, form: stage.form ?? {} });
    const { filetype, requiresPython } = judged;
    return {
      kind,
      name: judged.name,
      displayName: judged.displayName,
      version: judged.version,
      basename,
      subdir: undefined,
      received,
      metadata: archive.filetype === 'bdist_wheel' ? archive.metadataBytes : undefined,
      summary: textOf(archive.metadata.summary),
      about: null,
      attributes: { ...attributes, packagetype: filetype, ...(requiresPython !== undefined && { requiresPython }) },
      recordJson: (enteredAtMs) =>
        JSON.stringify(projectFileOf(archive, { sha256, sizeBytes, uploadedAt: new Date(enteredAtMs).toISOString() })),
    };
  }
  basenameOf(kind, basename);
  const name = stage.package.toLowerCase();
  const { version } = stage;
  const facts = { kind, name, displayName: name, version, basename, subdir: undefined, received, attributes };
  return { ...facts, metadata: undefined, summary: '', about: null, recordJson: () => null };
}

/** With the directory, which the archive says where nothing else does. */
function condaBasenameOf({ form, basename }: StageRow, { subdir }: Readonly<Record<string, unknown>>): string {
  if (form === null) return basename;
  if (typeof subdir === 'string') return `${subdir}/${basename}`;
  throw new Fault(
    'invalid',
    `${basename} names no subdir in its info/index.json: say where it belongs, or build it again.`,
  );
}

function requireSamePath(stage: StageRow, judged: JudgedFile): void {
  const isSame =
    judged.kind === 'pypi'
      ? normalizeProjectName(stage.package) === judged.name && versionsEqual(stage.version, judged.version)
      : stage.package.toLowerCase() === judged.name && stage.version === judged.version;
  if (isSame) return;
  throw new Fault(
    'invalid',
    `${stage.basename} says that it is ${judged.name} ${judged.version}, and was uploaded as ${stage.package} ${stage.version}.`,
  );
}

function receivedOf({ stagingKey, receivedSha256, receivedMd5, sizeBytes, basename }: StageRow): Received {
  if (stagingKey === null || receivedSha256 === null || receivedMd5 === null || sizeBytes === null) {
    throw new Fault('conflict', `The bytes of ${basename} have not arrived yet: send them, then commit.`);
  }
  return { stagingKey, sha256: receivedSha256, md5: receivedMd5, sizeBytes };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value.replaceAll('\u0000', '').slice(0, SUMMARY_CHARACTERS) : '';
}
