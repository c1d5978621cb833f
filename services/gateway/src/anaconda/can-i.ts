import type { IncomingMessage } from 'node:http';
import { Controller, Get, Inject, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Decisions } from '@vivarium/contracts/gen/vivarium/authz/v1/decisions_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type ListQuery, textIn } from './list-query.js';

/** Why somebody may or may not do something. */
@Controller('api/can-i')
export class CanI {
  readonly #decisions: ClientOf<typeof Decisions>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#decisions = clientOf(Decisions, ports.bus);
  }

  /** `as`: a login, oneself if left out; `resource`: a channel, or a package as `channel/package`. */
  @Get()
  async explain(@Req() request: IncomingMessage, @Query() query: ListQuery) {
    const [as, verb, token] = [textIn(query, 'as'), textIn(query, 'verb'), textIn(query, 'token')];
    const [label, subdir, via] = [textIn(query, 'label'), textIn(query, 'subdir'), textIn(query, 'via')];
    const asked = { as, verb, token, label, subdir, via, address: textIn(query, 'address') };
    const resource = resourceIn(textIn(query, 'resource'));
    const caller = await this.identify.require(request, ['authz']);
    const { allow, reason } = await this.#decisions.explain({ ...asked, ...resource }, caller.for('authz'));
    return { allow, reason };
  }
}

/** Throws Fault('invalid') for what is neither a channel nor a package of one. */
function resourceIn(text: string): { readonly channel: string; readonly package: string } {
  const match = /^([^/\s]{1,63})(?:\/([^/\s]{1,256}))?$/.exec(text);
  const [, channel, name = ''] = match ?? [];
  if (channel !== undefined) return { channel, package: name };
  throw new Fault(
    'invalid',
    `"${text.slice(0, 100)}" is no resource: name a channel, or a package as channel/package.`,
  );
}
