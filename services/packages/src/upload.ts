import { reached } from '@vivarium/boot/step';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Fault, type FaultCode, isFault, isFaultCode } from '@vivarium/fault/fault';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { type Entered, enter, enteredOf } from './enter-file.js';
import type { Inspection, Inspector } from './inspection.js';
import { judge } from './judge-upload.js';
import type { PackagesPorts } from './ports.js';
import { ask } from './query.js';
import type { Readability } from './readability.js';
import { findStage, type StageRow } from './stage-row.js';
import { store } from './store-bytes.js';
import { filenameOf } from './upload-path.js';

export interface UploadTools {
  readonly ports: PackagesPorts;
  readonly inspector: Inspector;
  readonly readability: Readability;
}

export interface Committed extends Entered {
  readonly readable: boolean;
}

// What would be said again of the same bytes and the same caller. The rest may pass: the stage stays, to be committed again.
const FINAL: ReadonlySet<FaultCode> = new Set(['invalid', 'too_large', 'conflict', 'forbidden', 'not_found']);

/**
 * Publishes what a stage received: inspect → judge → store → enter → announce → await. Each step may be repeated after a
 * crash, since the stage says how far it came: a committed one answers as it did, a failed one refuses as it did.
 */
export async function publish(tools: UploadTools, stage: StageRow, message: CallerMessage): Promise<Committed> {
  const { ports, readability } = tools;
  const entered = enteredOf(stage) ?? (await enterStage(tools, stage, message));
  announce(ports);
  await reached('announce');
  const change = { channelId: stage.channelId, generation: entered.generation, kinds: indexedKinds([stage.kind]) };
  const readable = await awaitReadable(ports, readability, change);
  await reached('await');
  return { ...entered, readable };
}

async function enterStage(tools: UploadTools, stage: StageRow, message: CallerMessage): Promise<Entered> {
  const { ports, inspector } = tools;
  refuseFailed(stage);
  try {
    const inspection = await inspect(inspector, stage);
    await reached('inspect');
    const file = judge(stage, inspection, ports.clock());
    await reached('judge');
    const stored = await store(ports.pool, ports.blobs, stage, file);
    const entered = await enter(ports, { stage, message, file, stored });
    await reached('enter-after-commit');
    await dropBytes(ports, stage);
    return entered;
  } catch (error) {
    // Another commit of this stage may have come first, and taken the bytes away: what it was told counts.
    const now = await findStage(ports.pool, stage.id);
    const entered = now === undefined ? undefined : enteredOf(now);
    if (entered !== undefined) return entered;
    if (now !== undefined) refuseFailed(now);
    if (isFault(error) && FINAL.has(error.code) && stage.state === 'received') await fail(ports, stage, error);
    throw error;
  }
}

async function inspect(inspector: Inspector, stage: StageRow): Promise<Inspection> {
  const { kind, stagingKey, basename, state, accountId } = stage;
  if (stagingKey === null || state === 'open') {
    throw new Fault('conflict', `The bytes of ${basename} have not arrived yet: send them, then commit.`);
  }
  return inspector.inspect({ kind, stagingKey, filename: filenameOf(basename), accountId });
}

function announce(ports: PackagesPorts): void {
  ports.invalidations.wake();
}

/** Ends a stage whose file was refused. Its bytes go; nothing else was changed. */
async function fail(ports: PackagesPorts, stage: StageRow, fault: Fault): Promise<void> {
  const failed = await ask(
    ports.pool,
    `WITH unpinned AS (DELETE FROM pins WHERE stage_id = $1)
     UPDATE stages SET state = 'failed', failure_code = $2, failure = $3 WHERE id = $1 AND state = 'received' RETURNING 1`,
    [stage.id, fault.code, fault.message],
  );
  if (failed.length > 0) await dropBytes(ports, stage);
}

function refuseFailed({ state, failureCode, failure }: StageRow): void {
  if (state !== 'failed') return;
  const code = isFaultCode(failureCode) ? failureCode : 'conflict';
  throw new Fault(code, failure ?? 'This upload was refused: start it again.');
}

/** What is left behind here is found when the stage expires. */
async function dropBytes({ blobs, log }: PackagesPorts, { stagingKey, id }: StageRow): Promise<void> {
  if (stagingKey === null) return;
  await blobs.delete(stagingKey).catch((error: unknown) => log.warn({ err: error, stage: id }, 'staging bytes stay'));
}
