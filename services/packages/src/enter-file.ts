import { randomBytes } from 'node:crypto';
import { addAudit } from '@vivarium/audit/audit';
import { reached } from '@vivarium/boot/step';
import type { Caller as CallerMessage } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { Callers } from '@vivarium/contracts/gen/vivarium/identity/v1/callers_pb';
import { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { clientOf } from '@vivarium/rpc/rpc';
import { actingOf } from './acting.js';
import { type Actor, actorToday } from './actor.js';
import { addPackage } from './add-package.js';
import type { JudgedFile } from './judge-upload.js';
import { addLabels, requireUnlocked } from './labels.js';
import { parsePackageName } from './names.js';
import { type Change, lockChannel, nextGeneration } from './next-generation.js';
import { findPackageFor, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { releaseFor } from './release-row.js';
import { requireRight, requireUpload } from './rights.js';
import { lockStage, type StageRow } from './stage-row.js';
import type { StoredBytes } from './store-bytes.js';

/** A stage that was committed: the answer to its commit, then and later. */
export interface Entered {
  readonly fileId: string;
  readonly generation: number;
  /** False: the same bytes were there already. */
  readonly created: boolean;
}

export interface Upload {
  readonly stage: StageRow;
  readonly message: CallerMessage;
  readonly file: JudgedFile;
  readonly stored: StoredBytes;
}

/**
 * Makes a stored file true, in one transaction under the channel's lock: decides again, by the rights and the token of now,
 * on the package that the archive's own name selects, then writes the file, its labels and the next generation.
 * The same bytes under the same name are no error: only the labels that the file lacks are added.
 */
export function enter(ports: PackagesPorts, upload: Upload): Promise<Entered> {
  return inTransaction(ports.pool, async (tx) => {
    const channel = await lockChannel(tx, upload.stage.channelId);
    const stage = await lockStage(tx, upload.stage.id);
    const before = stage === undefined ? undefined : enteredOf(stage);
    if (before !== undefined) return before;
    if (stage?.state !== 'received') throw new Fault('conflict', 'This upload has ended: start it again.');
    const actor = await actorToday(ports, upload.message, channel);
    const { file } = upload;
    const { labels } = stage;
    const row = await findPackageFor(tx, channel.id, spellingOf(stage, file));
    requireUpload(actor, row, { kind: file.kind, name: file.name, labels, subdir: file.subdir });
    await refuseOther(tx, channel, stage, row);
    await requireUnlocked(tx, channel, labels);
    const replaced = row === undefined ? undefined : await replaceFile(tx, actor, row, upload);
    const entered = await enterFile(tx, ports, actor, upload, row);
    await recordUpload(tx, ports, actor, upload, { ...entered, replaced });
    await ask(
      tx,
      `WITH unpinned AS (DELETE FROM pins WHERE stage_id = $1)
       UPDATE stages SET state = 'committed', file_id = $2, generation = $3, created = $4 WHERE id = $1`,
      [stage.id, entered.fileId, entered.generation, entered.created],
    );
    if (entered.created) await useToken(ports, actor);
    await reached('enter-before-commit');
    return entered;
  });
}

/** The answer that a stage had, if it is committed. */
export function enteredOf({ state, fileId, generation, created }: StageRow): Entered | undefined {
  if (state !== 'committed' || fileId === null || generation === null) return undefined;
  return { fileId, generation, created: created ?? false };
}

/**
 * Takes away the file whose place the new one shall take, if the publisher asked for that: as removing it would be allowed.
 * Gives the digest of its bytes; undefined where there is nothing to replace. The generation that shows the new file is
 * the first without the old one.
 */
async function replaceFile(
  tx: Tx,
  actor: Actor,
  row: PackageRow,
  { stage, file }: Upload,
): Promise<string | undefined> {
  if (stage.form?.replace !== 'yes') return undefined;
  const existing = await findExisting(tx, actor.channel.id, row, stage, file);
  if (existing === undefined || existing.sha256 === file.received.sha256) return undefined;
  const carried = await ask<{ label: string }>(tx, 'SELECT label FROM file_labels WHERE file_id = $1', [existing.id]);
  const labels = carried.map(({ label }) => label);
  requireRight(actor, row, 'write', { use: `upload:${file.kind}`, labels, subdir: file.subdir });
  await requireUnlocked(tx, actor.channel, labels);
  await ask(tx, 'UPDATE files SET removed_at = now() WHERE id = $1', [existing.id]);
  return existing.sha256;
}

async function enterFile(
  tx: Tx,
  ports: PackagesPorts,
  { channel, caller }: Actor,
  { stage, file, stored }: Upload,
  known: PackageRow | undefined,
): Promise<Entered> {
  const existing = known === undefined ? undefined : await findExisting(tx, channel.id, known, stage, file);
  if (existing !== undefined && existing.sha256 !== file.received.sha256) {
    throw new Fault(
      'conflict',
      `${file.basename} already exists in ${channel.login} with other bytes; upload with --force, or use another version or build number`,
    );
  }
  if (existing !== undefined && known !== undefined) {
    const added = await addLabels(tx, channel.id, [existing.id], stage.labels);
    if (added.length === 0) return { fileId: existing.id, generation: channel.generation, created: false };
    const generation = await nextGeneration(tx, ports.invalidations, channel.id, changeOf(known, file));
    return { fileId: existing.id, generation, created: false };
  }
  const row = known ?? (await addPackage(tx, channel.id, newPackageOf(stage, file, channel.defaultVisibility)));
  if (file.kind === 'pypi' && row.pypiName === null) {
    await ask(tx, 'UPDATE packages SET pypi_name = $2 WHERE id = $1', [row.id, file.name]);
  }
  if (file.summary !== '' && row.summary === '') {
    await ask(tx, 'UPDATE packages SET summary = $2 WHERE id = $1', [row.id, file.summary]);
  }
  const release = await releaseFor(tx, row.id, file);
  const generation = await nextGeneration(tx, ports.invalidations, channel.id, changeOf(row, file));
  const enteredAtMs = ports.clock();
  const fileId = fileIdOf(enteredAtMs);
  const { sha256, md5, sizeBytes } = file.received;
  await ask(
    tx,
    `INSERT INTO files (id, channel_id, package_id, release_id, kind, basename, sha256, md5, size_bytes, metadata_sha256,
       attributes, dependencies, description, record, uploaded_by, uploaded_at, about)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
    [
      fileId,
      channel.id,
      row.id,
      release.id,
      file.kind,
      file.basename,
      sha256,
      md5,
      sizeBytes,
      stored.metadataSha256,
      JSON.stringify(file.attributes),
      JSON.stringify(stage.dependencies),
      stage.description,
      file.recordJson(enteredAtMs),
      caller.kind === 'account' ? caller.accountId : '',
      new Date(enteredAtMs),
      file.about === null ? null : JSON.stringify(file.about),
    ],
  );
  await addLabels(tx, channel.id, [fileId], stage.labels);
  return { fileId, generation, created: true };
}

/** Bytes that were there already changed nothing, unless they got labels: then that is what is recorded. */
async function recordUpload(
  tx: Tx,
  ports: Pick<PackagesPorts, 'clock'>,
  actor: Actor,
  { stage, file }: Upload,
  { created, generation, replaced }: Entered & { readonly replaced: string | undefined },
): Promise<void> {
  if (!created && generation === actor.channel.generation) return;
  const { sha256, sizeBytes } = file.received;
  const entry = {
    ...actingOf(actor),
    action: created ? 'file.upload' : 'label.add',
    resource: `${actor.channel.login}/${file.displayName}/${file.version}/${file.basename}`,
    ...(replaced === undefined ? {} : { before: { sha256: replaced } }),
    after: { labels: stage.labels, ...(created ? { sha256, sizeBytes } : {}) },
  };
  await addAudit(tx, entry, ports.clock());
}

/**
 * Throws Fault('conflict') if the package that the upload began for is not in this channel any more. Its publisher means
 * that one: to make another of its name, which may be open to everybody, is for whoever begins anew. By packages_pkey.
 */
async function refuseOther(
  tx: Tx,
  channel: { readonly id: string; readonly login: string },
  stage: StageRow,
  row: PackageRow | undefined,
): Promise<void> {
  if (stage.packageId === null || stage.packageId === row?.id) return;
  const still = await ask(tx, 'SELECT 1 FROM packages WHERE id = $1 AND channel_id = $2 AND removed_at IS NULL', [
    stage.packageId,
    channel.id,
  ]);
  if (still.length > 0) return;
  throw new Fault(
    'conflict',
    `The package of ${stage.basename} was transferred or deleted while this upload to ${channel.login} was under way. Start the upload again.`,
  );
}

/** The file that has the name now: in the channel for kinds with an index, in the release for the others. */
async function findExisting(tx: Tx, channelId: string, row: PackageRow, stage: StageRow, file: JudgedFile) {
  const isIndexed = file.kind === 'conda' || file.kind === 'pypi';
  const [existing] = isIndexed
    ? await ask<{ id: string; sha256: string }>(
        tx,
        "SELECT id, sha256 FROM files WHERE channel_id = $1 AND basename = $2 AND removed_at IS NULL AND kind IN ('conda', 'pypi')",
        [channelId, file.basename],
      )
    : await ask<{ id: string; sha256: string }>(
        tx,
        `SELECT f.id, f.sha256 FROM files f JOIN releases r ON r.id = f.release_id
         WHERE r.package_id = $1 AND r.version = $2 AND f.basename = $3 AND f.removed_at IS NULL
           AND f.kind NOT IN ('conda', 'pypi')`,
        [row.id, stage.version, file.basename],
      );
  return existing;
}

/** How the publisher spells the package: decides only while no package holds the project. */
function spellingOf(stage: StageRow, file: JudgedFile): { readonly kind: string; readonly name: string } {
  return { kind: file.kind, name: stage.package === '' ? file.displayName : stage.package };
}

function newPackageOf(stage: StageRow, file: JudgedFile, visibility: PackageRow['visibility']) {
  const name = parsePackageName(spellingOf(stage, file).name);
  return { name, visibility, summary: file.summary, attributes: {} };
}

function changeOf(row: PackageRow, { kind, name }: JudgedFile): Change {
  return { packageIds: [row.id], names: kind === 'conda' || kind === 'pypi' ? [{ kind, name }] : [] };
}

/**
 * A new id of a file. The time first, so that ids ascend in the order of entering; it is told of the file anyway, where a
 * count of any kind would tell strangers how much else went on.
 */
export function fileIdOf(nowMs: number): string {
  return `${Math.floor(nowMs).toString(16).padStart(12, '0')}${randomBytes(10).toString('hex')}`;
}

/** The last statement before the commit: a use is spent by what is entered, not by what is refused. */
export async function useToken(ports: Pick<PackagesPorts, 'bus' | 'trust'>, { message }: Actor): Promise<void> {
  if (message?.limitedUses !== true || message.credentialKind !== 'token') return;
  const assertion = await ports.trust.assertionFor('identity');
  await clientOf(Callers, ports.bus, { assertion }).use({ tokenId: message.credentialId });
}
