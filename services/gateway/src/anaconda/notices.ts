import type { IncomingMessage } from 'node:http';
import { Controller, Delete, Get, HttpCode, Inject, Param, Patch, Post, Query, Req } from '@nestjs/common';
import { PORTS, type RolePorts } from '@vivarium/boot/ports';
import { type Notice, Notices as NoticesContract } from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { Fault } from '@vivarium/fault/fault';
import { type ClientOf, clientOf } from '@vivarium/rpc/rpc';
import { Identify } from '../identify.js';
import { type JsonBody, readJson } from './json-body.js';
import { type ListQuery, textIn } from './list-query.js';
import { loginIn } from './place.js';

const LIMIT = 20;
const LEVEL = 'info';
const WITH_ZONE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/;

interface NoticeParams {
  readonly channel: string;
  readonly id: string;
}

/** Notices of a channel, which the client addresses directly below the root: no account is named as another route begins. */
@Controller('api/:channel/notices')
export class Notices {
  readonly #notices: ClientOf<typeof NoticesContract>;

  constructor(
    @Inject(PORTS) ports: RolePorts,
    @Inject(Identify) private readonly identify: Identify,
  ) {
    this.#notices = clientOf(NoticesContract, ports.bus);
  }

  @Get()
  async list(@Req() request: IncomingMessage, @Param('channel') text: string, @Query() query: ListQuery) {
    const asked = {
      channel: loginIn(text),
      status: textIn(query, 'status'),
      offset: numberIn(query, 'offset', 0),
      limit: numberIn(query, 'limit', LIMIT),
    };
    const caller = await this.identify.identify(request, ['packages']);
    const { notices, total } = await this.#notices.list(asked, caller.for('packages'));
    return { items: notices.map(noticeShape), total_count: Number(total) };
  }

  @Get(':id')
  async find(@Req() request: IncomingMessage, @Param() { channel, id }: NoticeParams) {
    const asked = { channel: loginIn(channel), id };
    const caller = await this.identify.identify(request, ['packages']);
    return shapeOf(await this.#notices.find(asked, caller.for('packages')));
  }

  @Post()
  @HttpCode(201)
  async create(@Req() request: IncomingMessage, @Param('channel') text: string) {
    const channel = loginIn(text);
    const body = await readJson(request);
    const expiresAtMs = expiryIn(body);
    if (expiresAtMs === undefined) throw new Fault('invalid', '"expires_at" is missing in the body.');
    const asked = { channel, message: body.needText('message'), level: body.text('level') ?? LEVEL, expiresAtMs };
    const caller = await this.identify.require(request, ['packages']);
    return shapeOf(await this.#notices.create(asked, caller.for('packages')));
  }

  @Patch(':id')
  async update(@Req() request: IncomingMessage, @Param() params: NoticeParams) {
    const body = await readJson(request);
    const [message, level, status, expiresAtMs] = [
      body.text('message'),
      body.text('level'),
      body.text('status'),
      expiryIn(body),
    ];
    return this.#update(request, params, {
      ...(message === undefined ? {} : { message }),
      ...(level === undefined ? {} : { level }),
      ...(status === undefined ? {} : { status }),
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    });
  }

  @Post(':id/publish')
  @HttpCode(200)
  publish(@Req() request: IncomingMessage, @Param() params: NoticeParams) {
    return this.#update(request, params, { status: 'published' });
  }

  @Post(':id/archive')
  @HttpCode(200)
  archive(@Req() request: IncomingMessage, @Param() params: NoticeParams) {
    return this.#update(request, params, { status: 'archived' });
  }

  @Delete(':id')
  @HttpCode(204)
  async remove(@Req() request: IncomingMessage, @Param() { channel, id }: NoticeParams) {
    const asked = { channel: loginIn(channel), id };
    const caller = await this.identify.require(request, ['packages']);
    await this.#notices.delete(asked, caller.for('packages'));
  }

  async #update(request: IncomingMessage, { channel, id }: NoticeParams, change: object) {
    const asked = { channel: loginIn(channel), id, ...change };
    const caller = await this.identify.require(request, ['packages']);
    return shapeOf(await this.#notices.update(asked, caller.for('packages')));
  }
}

function shapeOf({ notice }: { readonly notice?: Notice | undefined }) {
  if (notice !== undefined) return noticeShape(notice);
  throw new Fault('internal', 'Something went wrong on our side.', { cause: new Error('an answer without a notice') });
}

function noticeShape({ id, status, level, message, expiresAtMs, createdAtMs, updatedAtMs }: Notice) {
  const timeOf = (ms: bigint) => new Date(Number(ms)).toISOString();
  const times = { expires_at: timeOf(expiresAtMs), created_at: timeOf(createdAtMs), updated_at: timeOf(updatedAtMs) };
  return { id, status, level, message, ...times };
}

function expiryIn(body: JsonBody): bigint | undefined {
  const text = body.text('expires_at');
  if (text === undefined) return undefined;
  const ms = WITH_ZONE.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isFinite(ms)) return BigInt(ms);
  throw new Fault('invalid', '"expires_at" must be a time with its zone, as in 2026-09-16T12:00:00Z.');
}

function numberIn(query: ListQuery, name: string, absent: number): number {
  const text = textIn(query, name);
  if (text === '') return absent;
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new Fault('invalid', `"${name}" must be a whole number.`);
}
