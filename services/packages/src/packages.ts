import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreatePackageRequest,
  type DeletePackageRequest,
  type FindPackageRequest,
  type ListPackagesRequest,
  Packages as PackagesContract,
  type UpdatePackageRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/packages_pb';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { missingPackage, readablePackage, readerIn } from './actor.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { changeChannel } from './change-channel.js';
import { createPackage } from './create-package.js';
import { fileMessage, readFiles } from './file-row.js';
import { listPackages } from './list-packages.js';
import { packageMessageOf, packageMessages } from './messages.js';
import { findPackage } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { Readability } from './readability.js';
import { removePackage } from './remove.js';
import { updatePackage } from './update-package.js';

@Serves(PackagesContract)
export class Packages implements HandlerOf<typeof PackagesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async find({ channel, name, withFiles, afterFile }: FindPackageRequest, call: Call) {
    const { pool } = this.ports;
    const reader = await readerIn(this.ports, call, channel, 'upload');
    const row = readablePackage(reader, await findPackage(pool, reader.channel.id, name), name);
    const message = await packageMessageOf(pool, reader.channel.login, row);
    if (!withFiles) return { package: message, moreFiles: false };
    const { files, more } = await readFiles(pool, row.id, afterFile);
    return { package: { ...message, files: files.map(fileMessage) }, moreFiles: more };
  }

  async list({ channel, after, limit }: ListPackagesRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const { rows, more } = await listPackages(this.ports.pool, reader, { after, limit });
    return { packages: [...(await packageMessages(this.ports.pool, reader.channel.login, rows))], more };
  }

  async create(request: CreatePackageRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, request.channel, 'upload');
    const { row, created } = await changeChannel(ports, reader, (tx, actor) =>
      createPackage(tx, ports, actor, request),
    );
    // The channel may have an audience that it had not before.
    if (created) await untilForgotten(ports.invalidations, `The package ${row.name} is made`);
    return { package: await packageMessageOf(ports.pool, reader.channel.login, row), created };
  }

  async update(request: UpdatePackageRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, request.channel, 'upload');
    const change = await changeChannel(ports, reader, (tx, actor) => updatePackage(tx, ports, actor, request));
    const [readable] = await Promise.all([
      change === undefined || this.#settled(reader.channel.id, change),
      // Also when it was so before: who asks again may have been told that it was not known to all.
      request.visibility === '' || untilForgotten(ports.invalidations, 'The change is made'),
    ]);
    const row = await findPackage(ports.pool, reader.channel.id, request.name);
    if (row === undefined) throw missingPackage(reader.channel.login, request.name);
    return { package: await packageMessageOf(ports.pool, reader.channel.login, row), readable };
  }

  async delete({ channel, name }: DeletePackageRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, channel, 'upload');
    const removal = await changeChannel(ports, reader, async (tx, actor) => {
      const row = readablePackage(reader, await findPackage(tx, actor.channel.id, name), name);
      return removePackage(tx, ports, actor, row);
    });
    await this.#settled(reader.channel.id, removal);
    return {};
  }

  async #settled(channelId: string, change: { readonly generation: number; readonly kinds: readonly string[] }) {
    const { ports, readability } = this;
    const kinds = indexedKinds(change.kinds);
    return awaitReadable(ports, readability, { channelId, generation: change.generation, kinds });
  }
}
