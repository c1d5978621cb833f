import type { IncomingMessage } from 'node:http';
import { Controller, HttpCode, Inject, Param, Post, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Transfers } from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { loginIn, type PackageParams, packageIn } from './place.js';
import { packageShape } from './shapes.js';

// Everything that a package holds moves in one transaction, and the answer comes when every gateway has it.
const CHANGE_MS = 60_000;

/** A package into another channel, with all it holds. */
@Controller('api/package/:owner/:package/transfer')
export class Transfer {
  readonly #transfers: ClientOf<typeof Transfers>;
  readonly #publicUrl: string;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#transfers = clientOf(Transfers, ports.bus);
    this.#publicUrl = ports.config.publicUrl;
  }

  @Post()
  @HttpCode(200)
  async transfer(@Req() request: IncomingMessage, @Param() params: PackageParams) {
    const place = packageIn(params);
    const to = loginIn((await readJson(request)).needText('to'));
    const caller = await this.identify.require(request, ['packages']);
    const options = { ...caller.for('packages'), timeoutMs: CHANGE_MS };
    const moved = await this.#transfers.transfer({ ...place, to }, options);
    if (moved.package === undefined) {
      throw new Fault('internal', 'Something went wrong on our side.', {
        cause: new Error('a transfer answered without the package'),
      });
    }
    return { ...packageShape(moved.package, this.#publicUrl), index: moved.readable ? 'ready' : 'pending' };
  }
}
