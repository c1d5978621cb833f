import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type SetDefaultVisibilityRequest,
  type SetVisibilityRequest,
  Visibilities as VisibilitiesContract,
} from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { readerIn } from './actor.js';
import { changeChannel } from './change-channel.js';
import { readChannel } from './channel-row.js';
import type { PackagesPorts } from './ports.js';
import { Readability } from './readability.js';
import { setDefaultVisibility } from './set-default-visibility.js';
import { setVisibility } from './set-visibility.js';
import { settleAccess } from './settle.js';
import { parseVisibility } from './update-package.js';

const DONE = 'The change is made';

/** Who may read many packages at once, and what the next ones shall be. */
@Serves(VisibilitiesContract)
export class Visibilities implements HandlerOf<typeof VisibilitiesContract> {
  constructor(
    @Inject(PORTS) private readonly ports: PackagesPorts,
    @Inject(Readability) private readonly readability: Readability,
  ) {}

  async set(request: SetVisibilityRequest, call: Call) {
    const { ports, readability } = this;
    const asked = { names: request.packages, visibility: parseVisibility(request.visibility) };
    const reader = await readerIn(ports, call, request.channel, 'upload');
    const channelId = reader.channel.id;
    const { changed, change } = await changeChannel(ports, reader, (tx, actor) =>
      setVisibility(tx, ports, reader, actor, asked),
    );
    const readable = await settleAccess(ports, readability, channelId, change, DONE);
    const generation = change?.generation ?? (await readChannel(ports.pool, 'id', channelId))?.generation ?? 0;
    return { changed: [...changed], generation: BigInt(generation), readable };
  }

  async setDefault(request: SetDefaultVisibilityRequest, call: Call) {
    const { ports, readability } = this;
    const visibility = parseVisibility(request.visibility);
    const reader = await readerIn(ports, call, request.channel, 'upload');
    const change = await changeChannel(ports, reader, (tx, actor) =>
      setDefaultVisibility(tx, ports, actor, visibility),
    );
    await settleAccess(ports, readability, reader.channel.id, change, DONE);
    return { visibility };
  }
}
