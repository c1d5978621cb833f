import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { Inbox as InboxContract, type InboxMessage } from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type ListQuery, pageIn } from './list-query.js';
import { timeOf } from './shapes.js';

/** What the caller is told about: groups that it was added to, tokens that end soon. */
@Controller('api/inbox')
export class Inbox {
  readonly #inbox: ClientOf<typeof InboxContract>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#inbox = clientOf(InboxContract, ports.bus);
  }

  @Get()
  async list(@Req() request: IncomingMessage, @Query() query: ListQuery) {
    const page = pageIn(query);
    const caller = await this.identify.require(request, ['identity']);
    const { messages, next, unread } = await this.#inbox.list(page, caller.for('identity'));
    return { items: messages.map(messageShape), next: next === '' ? null : next, unread: Number(unread) };
  }

  @Post(':id/read')
  @HttpCode(204)
  async markRead(@Req() request: IncomingMessage, @Param('id') id: string) {
    const caller = await this.identify.require(request, ['identity']);
    await this.#inbox.markRead({ id }, caller.for('identity'));
  }

  @Delete(':id')
  @HttpCode(204)
  async delete(@Req() request: IncomingMessage, @Param('id') id: string) {
    const caller = await this.identify.require(request, ['identity']);
    await this.#inbox.delete({ id }, caller.for('identity'));
  }
}

function messageShape({ id, kind, text, detailJson, createdAtMs, readAtMs }: InboxMessage) {
  return {
    id,
    kind,
    text,
    detail: detailJson === '' ? {} : JSON.parse(detailJson),
    created_at: timeOf(createdAtMs),
    read_at: readAtMs === 0n ? null : timeOf(readAtMs),
  };
}
