import { Inject } from '@nestjs/common';
import { addAudit } from '@vivarium/audit/audit';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreateReleaseRequest,
  type DeleteReleaseRequest,
  type FindReleaseRequest,
  Releases as ReleasesContract,
  type UpdateReleaseRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actingOf } from './acting.js';
import { type Actor, type Reader, readablePackage, readerIn } from './actor.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { changeChannel } from './change-channel.js';
import { fileMessage, readReleaseFiles } from './file-row.js';
import { packageMessageOf, releaseMessage } from './messages.js';
import { parseAttributes, parseVersion } from './names.js';
import { findPackage, type PackageRow } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Queryable, type Tx } from './query.js';
import { Readability } from './readability.js';
import { addRelease, findRelease, type ReleaseRow } from './release-row.js';
import { missing, removeRelease } from './remove.js';
import { requireRight } from './rights.js';

const WHAT = 'What is said of the release';

@Serves(ReleasesContract)
export class Releases implements HandlerOf<typeof ReleasesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async find(request: FindReleaseRequest, call: Call) {
    const { pool } = this.ports;
    const reader = await readerIn(this.ports, call, request.channel, 'upload');
    const { row, release } = await readableRelease(pool, reader, request);
    const files = await readReleaseFiles(pool, release.id);
    return {
      release: releaseMessage(release, files.map(fileMessage)),
      package: await packageMessageOf(pool, reader.channel.login, row),
    };
  }

  async create(request: CreateReleaseRequest, call: Call) {
    const version = parseVersion(request.version);
    const attributes = parseAttributes(request.attributesJson, WHAT);
    const release = await this.#change(request, call, async (tx, actor, reader) => {
      const row = await writablePackage(tx, actor, reader, request.package);
      const known = await findRelease(tx, row.id, version);
      if (known !== undefined) return known;
      await this.#record(tx, actor, 'release.create', `${row.name}/${version}`);
      return addRelease(tx, row.id, version, attributes);
    });
    return { release: releaseMessage(release, []) };
  }

  async update(request: UpdateReleaseRequest, call: Call) {
    const said = parseAttributes(request.attributesJson, WHAT);
    const release = await this.#change(request, call, async (tx, actor, reader) => {
      const row = await writablePackage(tx, actor, reader, request.package);
      const { release } = await readableRelease(tx, reader, request);
      const attributes = { ...release.attributes, ...said };
      await ask(tx, 'UPDATE releases SET attributes = $2 WHERE id = $1', [release.id, JSON.stringify(attributes)]);
      await this.#record(tx, actor, 'release.update', `${row.name}/${release.version}`);
      return { ...release, attributes };
    });
    const files = await readReleaseFiles(this.ports.pool, release.id);
    return { release: releaseMessage(release, files.map(fileMessage)) };
  }

  async delete(request: DeleteReleaseRequest, call: Call) {
    const { ports, readability } = this;
    const { channelId, generation, kinds } = await this.#change(request, call, async (tx, actor, reader) => {
      const { row, release } = await readableRelease(tx, reader, request);
      return { channelId: actor.channel.id, ...(await removeRelease(tx, ports, actor, row, release)) };
    });
    await awaitReadable(ports, readability, { channelId, generation, kinds: indexedKinds(kinds) });
    return {};
  }

  #record(tx: Tx, actor: Actor, action: string, place: string): Promise<void> {
    const resource = `${actor.channel.login}/${place}`;
    return addAudit(tx, { ...actingOf(actor), action, resource }, this.ports.clock());
  }

  async #change<T>(
    { channel }: { readonly channel: string },
    call: Call,
    change: (tx: Tx, actor: Actor, reader: Reader) => Promise<T>,
  ): Promise<T> {
    const reader = await readerIn(this.ports, call, channel, 'upload');
    return changeChannel(this.ports, reader, (tx, actor) => change(tx, actor, reader));
  }
}

/** The release, if its package is there for the reader. Throws Fault('not_found'). */
export async function readableRelease(
  db: Queryable,
  reader: Reader,
  asked: { readonly package: string; readonly version: string },
): Promise<{ readonly row: PackageRow; readonly release: ReleaseRow }> {
  const found = await findPackage(db, reader.channel.id, asked.package);
  const row = readablePackage(reader, found, asked.package);
  const release = await findRelease(db, row.id, asked.version);
  if (release !== undefined) return { row, release };
  throw missing(`release "${reader.channel.login}/${row.name}/${asked.version.slice(0, 100)}"`);
}

async function writablePackage(tx: Tx, actor: Actor, reader: Reader, name: string): Promise<PackageRow> {
  const row = readablePackage(reader, await findPackage(tx, actor.channel.id, name), name);
  requireRight(actor, row, 'write', { use: 'upload' });
  return row;
}
