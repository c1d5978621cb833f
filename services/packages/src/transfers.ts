import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import { reached } from '@vivarium/boot/step';
import {
  type TransferRequest,
  Transfers as TransfersContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { inTransaction } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { untilForgotten } from '@vivarium/invalidation/forgotten';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { actorIn, actorToday, admitted, type Reader, readablePackage, readerIn } from './actor.js';
import { awaitReadable, indexedKinds } from './await-readable.js';
import { packageMessageOf } from './messages.js';
import { lockChannels } from './next-generation.js';
import { findPackage } from './package-row.js';
import type { PackagesPorts } from './ports.js';
import { Readability } from './readability.js';
import { requireTransfer, type Transferred, transferPackage } from './transfer-package.js';

/** Packages from one channel into another. */
@Serves(TransfersContract)
export class Transfers implements HandlerOf<typeof TransfersContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async transfer({ channel, package: name, to }: TransferRequest, call: Call) {
    const { ports } = this;
    const reader = await readerIn(ports, call, channel, 'upload');
    // Before anything is said of the other channel.
    const row = readablePackage(reader, await findPackage(ports.pool, reader.channel.id, name), name);
    const target = admitted(await actorIn(ports, call, to), 'upload');
    requireTransfer(reader, target, row);
    const moved = await this.#move(reader, target, name);
    await reached('transfer-after-commit');
    const readable = await this.#settle(reader, target, moved);
    const message = await packageMessageOf(ports.pool, target.channel.login, moved.row);
    return { package: message, generation: BigInt(moved.came), readable };
  }

  #move(reader: Reader, { channel }: Reader, name: string): Promise<Transferred> {
    const { ports } = this;
    return inTransaction(ports.pool, async (tx) => {
      const channels = await lockChannels(tx, [reader.channel.id, channel.id]);
      const [from, into] = [channels.get(reader.channel.id), channels.get(channel.id)];
      if (from === undefined || into === undefined)
        throw new Fault('not_found', 'This channel does not exist any more.');
      const source = await actorToday(ports, reader.message, from);
      const target = await actorToday(ports, reader.message, into);
      const moved = await transferPackage(tx, ports, { reader, source, target }, name);
      await reached('transfer-before-commit');
      return moved;
    });
  }

  /** Until no gateway serves it at its old address, and until both indexes say where it is now. */
  async #settle(reader: Reader, target: Reader, { left, came, kinds }: Transferred): Promise<boolean> {
    const { ports, readability } = this;
    const wait = (channelId: string, generation: number) =>
      awaitReadable(ports, readability, { channelId, generation, kinds: indexedKinds(kinds) });
    const [isGone, isThere] = await Promise.all([
      wait(reader.channel.id, left),
      wait(target.channel.id, came),
      untilForgotten(ports.invalidations, 'The package is transferred'),
    ]);
    return isGone && isThere;
  }
}
