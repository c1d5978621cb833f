import { randomBytes } from 'node:crypto';
import { type Grant, principalOf } from '@vivarium/access/audience';
import { decide } from '@vivarium/access/decide';
import type { FileKind } from '@vivarium/access/scope';
import { viewOf } from '@vivarium/access/view';
import { parseCondaFilename } from '@vivarium/conda/filename';
import type { OpenStageRequest, SubmitRequest } from '@vivarium/contracts/gen/vivarium/packages/v1/stages_pb';
import { Fault } from '@vivarium/fault/fault';
import { isProjectName } from '@vivarium/pypi/name';
import { deriveKey } from '@vivarium/token/secret';
import { signTicket } from '@vivarium/token/ticket';
import type { Reader } from './actor.js';
import { requireUnlocked } from './labels.js';
import { parseAttributes } from './names.js';
import { findPackageFor } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Queryable } from './query.js';
import { checkReceived, type ReceivedBytes } from './receive-stage.js';
import { requireUpload } from './rights.js';
import { basenameOf, parseKind, parseLabels, parseUploadPath } from './upload-path.js';

export const STAGE_LIFE_MS = 24 * 60 * 60 * 1000;

const SHA256 = /^(?:[0-9a-f]{64})?$/;
const DESCRIPTION_CHARACTERS = 64 * 1024;

/**
 * Throws unless the reader may upload something of this kind somewhere in the channel: asked before the first byte of a body.
 */
export async function admitUpload(db: Queryable, reader: Reader, kind: FileKind): Promise<void> {
  const { caller, standing, channel } = reader;
  const grants = await grantsOf(db, reader);
  const { id, login, defaultVisibility } = channel;
  const facts = { standing, grants, channel: { id, login, ownerId: id, defaultVisibility } };
  const decision = decide(caller, facts, 'write', { kind: 'channel', use: `upload:${kind}` });
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}

/** Makes the row of an upload and the ticket that lets its bytes in. */
export async function openStage(
  ports: PackagesPorts,
  reader: Reader,
  request: OpenStageRequest,
): Promise<{ readonly stageId: string; readonly ticket: string }> {
  const path = parseUploadPath(request);
  const labels = parseLabels(request.labels);
  if (!SHA256.test(request.sha256)) {
    throw new Fault('invalid', `"${request.sha256.slice(0, 80)}" is not a SHA-256 in lower-case hexadecimal digits.`);
  }
  const { channel } = reader;
  const row = await findPackageFor(ports.pool, channel.id, { kind: path.kind, name: request.package });
  requireUpload(reader, row, { kind: path.kind, name: path.name, labels, subdir: path.subdir });
  await requireUnlocked(ports.pool, channel, labels);
  if (await isTaken(ports.pool, channel.id, row?.id ?? '', request)) {
    throw new Fault(
      'conflict',
      `${request.basename} already exists in ${channel.login}; upload with --force, or use another version or build number`,
    );
  }
  const stageId = await insertStage(ports, reader, {
    ...request,
    packageId: row?.id ?? null,
    kind: path.kind,
    labels,
    form: null,
    attributes: parseAttributes(request.attributesJson, 'What is said of the file'),
    dependencies: parseAttributes(request.dependenciesJson, 'What is said of its dependencies'),
  });
  return { stageId, ticket: signTicket(stageId, deriveKey(ports.config.secret, 'upload tickets')) };
}

/** The stage of bytes that arrived in one request. The archive alone will say which package they belong to. */
export async function openSubmitted(ports: PackagesPorts, reader: Reader, request: SubmitRequest): Promise<string> {
  const kind = parseKind(request.kind);
  const { name, form } = submittedOf(kind, request);
  const known = name === undefined ? undefined : await findPackageFor(ports.pool, reader.channel.id, { kind, name });
  return insertStage(
    ports,
    reader,
    {
      packageId: known?.id ?? null,
      package: '',
      version: '',
      basename: request.basename,
      kind,
      labels: parseLabels(request.labels),
      sha256: '',
      description: '',
      attributes: {},
      dependencies: {},
      form,
    },
    checkReceived(request),
  );
}

/** What is said of the bytes beside them, and the name of the package as far as it says one. */
function submittedOf(
  kind: FileKind,
  { basename, formName, formVersion, formFiletype, replace }: SubmitRequest,
): { readonly name: string | undefined; readonly form: Readonly<Record<string, string>> } {
  if (kind === 'conda') return { name: parseCondaFilename(basename).name, form: replace ? { replace: 'yes' } : {} };
  if (kind !== 'pypi') throw new Fault('invalid', `A file of kind ${kind} is not uploaded in one request.`);
  basenameOf(kind, basename);
  const form = { name: formName, version: formVersion, filetype: formFiletype };
  return { name: isProjectName(formName) ? formName : undefined, form };
}

interface NewStage {
  readonly packageId: string | null;
  readonly package: string;
  readonly version: string;
  readonly basename: string;
  readonly kind: FileKind;
  readonly labels: readonly string[];
  readonly sha256: string;
  readonly description: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, unknown>>;
  readonly form: Readonly<Record<string, string>> | null;
}

async function insertStage(
  ports: PackagesPorts,
  { caller, channel }: Reader,
  stage: NewStage,
  received?: ReceivedBytes,
): Promise<string> {
  if (caller.kind === 'anonymous') throw new Fault('unauthenticated', 'Sign in, or use a token, to upload.');
  const id = randomBytes(16).toString('hex');
  await ask(
    ports.pool,
    `INSERT INTO stages (id, account_id, credential_id, channel_id, package, version, basename, kind, labels, sha256,
       description, attributes, dependencies, form, expires_at, state, staging_key, received_sha256, received_md5, size_bytes,
       package_id)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
    [
      id,
      caller.accountId,
      caller.credential.id,
      channel.id,
      stage.package.toLowerCase(),
      stage.version,
      stage.basename,
      stage.kind,
      stage.labels,
      stage.sha256,
      stage.description.replaceAll('\u0000', '').slice(0, DESCRIPTION_CHARACTERS),
      JSON.stringify(stage.attributes),
      JSON.stringify(stage.dependencies),
      stage.form === null ? null : JSON.stringify(stage.form),
      new Date(ports.clock() + STAGE_LIFE_MS),
      received === undefined ? 'open' : 'received',
      received?.stagingKey ?? null,
      received?.sha256 ?? null,
      received?.md5 ?? null,
      received?.sizeBytes ?? null,
      stage.packageId,
    ],
  );
  return id;
}

/** By files_name for kinds with an index, by files_package for the others. */
async function isTaken(
  db: Queryable,
  channelId: string,
  packageId: string,
  { kind, version, basename }: OpenStageRequest,
): Promise<boolean> {
  const isIndexed = kind === 'conda' || kind === 'pypi';
  const rows = isIndexed
    ? await ask(
        db,
        "SELECT 1 FROM files WHERE channel_id = $1 AND basename = $2 AND removed_at IS NULL AND kind IN ('conda', 'pypi')",
        [channelId, basename],
      )
    : await ask(
        db,
        `SELECT 1 FROM files f JOIN releases r ON r.id = f.release_id WHERE f.package_id = $1 AND f.removed_at IS NULL
           AND r.version = $2 AND f.basename = $3 AND f.kind NOT IN ('conda', 'pypi')`,
        [packageId, version, basename],
      );
  return rows.length > 0;
}

/** The grants that name the reader or its groups, on any package here. By grants_principal. */
async function grantsOf(db: Queryable, { caller, standing, channel }: Reader): Promise<readonly Grant[]> {
  const { principals } = viewOf(caller, standing, channel.id);
  const rows = await ask<Grant>(
    db,
    `SELECT DISTINCT g.kind, g.principal_id AS id, g.permission FROM grants g JOIN packages p ON p.id = g.package_id
     WHERE (g.kind, g.principal_id) IN (SELECT kind, id FROM unnest($2::text[], $3::text[]) AS mine (kind, id))
       AND p.channel_id = $1 AND p.removed_at IS NULL`,
    [
      channel.id,
      principals.map((principal) => principal.slice(0, principal.indexOf(':'))),
      principals.map((principal) => principal.slice(principal.indexOf(':') + 1)),
    ],
  );
  return rows.filter((grant) => principals.includes(principalOf(grant)));
}
