import type { FileKind } from '@vivarium/access/scope';
import type { PypiForm } from '@vivarium/pypi/judge';
import { ask, type Queryable, type Tx } from './query.js';

/** What came with bytes that were uploaded in one request. */
export interface SubmittedForm extends PypiForm {
  /** There if the file is to take the place of one of its name. */
  readonly replace?: 'yes';
}

/** One upload under way. */
export interface StageRow {
  readonly id: string;
  readonly accountId: string;
  readonly channelId: string;
  /** Id of the package that the upload began for; null if there was none. */
  readonly packageId: string | null;
  /** As the URL said; empty if the bytes came in one request. */
  readonly package: string;
  readonly version: string;
  readonly basename: string;
  readonly kind: FileKind;
  readonly form: SubmittedForm | null;
  readonly labels: readonly string[];
  readonly sha256: string;
  readonly description: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, unknown>>;
  readonly state: 'open' | 'received' | 'committed' | 'failed';
  readonly stagingKey: string | null;
  readonly receivedSha256: string | null;
  readonly receivedMd5: string | null;
  readonly sizeBytes: number | null;
  readonly fileId: string | null;
  readonly generation: number | null;
  readonly created: boolean | null;
  readonly failureCode: string | null;
  readonly failure: string | null;
  readonly expiresAt: Date;
}

interface Stored extends Omit<StageRow, 'sizeBytes' | 'generation'> {
  readonly sizeBytes: string | null;
  readonly generation: string | null;
}

const COLUMNS = `id, account_id AS "accountId", channel_id AS "channelId", package_id AS "packageId",
  package, version, basename, kind, form, labels,
  sha256, description, attributes, dependencies, state, staging_key AS "stagingKey", received_sha256 AS "receivedSha256",
  received_md5 AS "receivedMd5", size_bytes AS "sizeBytes", file_id AS "fileId", generation, created,
  failure_code AS "failureCode", failure, expires_at AS "expiresAt"`;

/** The stage of this id. By stages_pkey. */
export async function findStage(db: Queryable, id: string): Promise<StageRow | undefined> {
  return stageOf(await ask<Stored>(db, `SELECT ${COLUMNS} FROM stages WHERE id = $1`, [id]));
}

/** The same, locked until the transaction ends. */
export async function lockStage(tx: Tx, id: string): Promise<StageRow | undefined> {
  return stageOf(await ask<Stored>(tx, `SELECT ${COLUMNS} FROM stages WHERE id = $1 FOR UPDATE`, [id]));
}

function stageOf([row]: readonly Stored[]): StageRow | undefined {
  if (row === undefined) return undefined;
  const numberOf = (text: string | null) => (text === null ? null : Number(text));
  return { ...row, sizeBytes: numberOf(row.sizeBytes), generation: numberOf(row.generation) };
}
