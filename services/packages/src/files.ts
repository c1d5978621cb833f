import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type DeleteFileRequest,
  type FileAtRequest,
  Files as FilesContract,
  type FindFileRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/files_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { audienceToProto, viewFromProto } from '@vivarium/trust/messages';
import { type Reader, readerIn } from './actor.js';
import { serviceAmong } from './asking-service.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { changeChannel } from './change-channel.js';
import { findFileAt } from './file-at.js';
import { type FileRow, fileMessage, findFile } from './file-row.js';
import { packageMessageOf } from './messages.js';
import type { PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import type { Queryable } from './query.js';
import { Readability } from './readability.js';
import { readableRelease } from './releases.js';
import { missing, removeFile } from './remove.js';
import { requireRead } from './rights.js';

@Serves(FilesContract)
export class Files implements HandlerOf<typeof FilesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async find(request: FindFileRequest, call: Call) {
    const { pool } = this.ports;
    const reader = await readerIn(this.ports, call, request.channel, 'upload');
    const { row, file } = await readableFile(pool, reader, request);
    if (request.bytes) requireBytes(reader, row, file);
    const message = await packageMessageOf(pool, reader.channel.login, row);
    return { file: fileMessage(file), package: message, blobKey: request.bytes ? file.blobKey : '' };
  }

  async delete(request: DeleteFileRequest, call: Call) {
    const { ports, readability } = this;
    const reader = await readerIn(ports, call, request.channel, 'upload');
    const { file, generation, kinds } = await changeChannel(ports, reader, async (tx, actor) => {
      const { row, file } = await readableFile(tx, reader, request);
      return { file, ...(await removeFile(tx, ports, actor, row, file)) };
    });
    const channelId = reader.channel.id;
    await awaitReadable(ports, readability, { channelId, generation, kinds: indexedKinds(kinds) });
    return { file: fileMessage(file) };
  }

  async at(request: FileAtRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    const { kind } = request;
    if (kind !== 'conda' && kind !== 'pypi') {
      throw new Fault('invalid', `"${kind.slice(0, 40)}" is not a kind of file that has an address of its own.`);
    }
    const { file, version } = await findFileAt(this.ports.pool, { ...request, kind }, viewFromProto(request.view));
    const versions = [{ tag: version.tag, version: BigInt(version.version) }];
    if (file === undefined) return { found: false, versions };
    return {
      found: true,
      blobKey: file.blobKey,
      sha256: file.sha256,
      sizeBytes: BigInt(file.sizeBytes),
      uploadedAtMs: BigInt(file.uploadedAtMs),
      audience: audienceToProto(file.audience),
      name: file.name,
      versions,
      fileId: file.id,
    };
  }
}

/**
 * Throws unless the reader may have the bytes, by the API or by the repository of their kind. What an upload may look at is
 * more, since it names its labels last.
 */
function requireBytes(reader: Reader, row: PackageRow, { basename, kind, labels }: FileRow): void {
  const name = kind === 'pypi' ? (row.pypiName ?? row.name) : row.name;
  const subdir = kind === 'conda' ? basename.slice(0, basename.indexOf('/')) : 'noarch';
  const uses = kind === 'conda' || kind === 'pypi' ? (['api', kind] as const) : (['api'] as const);
  requireRead(reader, row, { uses, labels, subdir, names: [name] });
}

async function readableFile(
  db: Queryable,
  reader: Reader,
  asked: { readonly package: string; readonly version: string; readonly basename: string },
): Promise<{ readonly row: PackageRow; readonly file: FileRow }> {
  const { row, release } = await readableRelease(db, reader, asked);
  const file = await findFile(db, row.id, release.id, asked.basename);
  if (file !== undefined) return { row, file };
  throw missing(`file "${reader.channel.login}/${row.name}/${release.version}/${asked.basename.slice(0, 200)}"`);
}
