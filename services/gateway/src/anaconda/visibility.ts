import type { IncomingMessage } from 'node:http';
import { Controller, HttpCode, Inject, Param, Post, Put, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Visibilities } from '@vivarium/contracts/gen/vivarium/packages/v1/transfers_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { readJson } from './json-body.js';
import { loginIn } from './place.js';

// A thousand packages may change at once, and the answer comes when every gateway has it.
const CHANGE_MS = 30_000;

/** Who may read many packages at once, and what a channel's next ones shall be. */
@Controller('api/packages/:owner')
export class Visibility {
  readonly #visibilities: ClientOf<typeof Visibilities>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#visibilities = clientOf(Visibilities, ports.bus);
  }

  @Post('visibility')
  @HttpCode(200)
  async set(@Req() request: IncomingMessage, @Param('owner') owner: string) {
    const channel = loginIn(owner);
    const body = await readJson(request);
    const packages = body.texts('packages');
    if (packages === undefined) throw new Fault('invalid', '"packages" is missing in the body.');
    const asked = { channel, packages, visibility: body.needText('visibility') };
    const caller = await this.identify.require(request, ['packages']);
    const set = await this.#visibilities.set(asked, { ...caller.for('packages'), timeoutMs: CHANGE_MS });
    return {
      visibility: asked.visibility,
      changed: set.changed,
      generation: Number(set.generation),
      index: set.readable ? 'ready' : 'pending',
    };
  }

  @Put('default-visibility')
  @HttpCode(200)
  async setDefault(@Req() request: IncomingMessage, @Param('owner') owner: string) {
    const channel = loginIn(owner);
    const visibility = (await readJson(request)).needText('visibility');
    const caller = await this.identify.require(request, ['packages']);
    const options = { ...caller.for('packages'), timeoutMs: CHANGE_MS };
    return { visibility: (await this.#visibilities.setDefault({ channel, visibility }, options)).visibility };
  }
}
