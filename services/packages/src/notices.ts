import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type CreateNoticeRequest,
  type FindNoticeRequest,
  type ListNoticesRequest,
  Notices as NoticesContract,
  type PublishedNoticesRequest,
  type UpdateNoticeRequest,
} from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { readerIn } from './actor.js';
import { serviceAmong } from './asking-service.js';
import { changeChannel } from './change-channel.js';
import { createNotice, deleteNotice, mayManageNotices, missingNotice, updateNotice } from './change-notices.js';
import { findNotice, listNotices, NOTICE_STATUSES, type NoticeRow, noticeMessage } from './notice-row.js';
import type { PackagesPorts } from './ports.js';

const LIMIT_MAX = 100;
const TOLD_MAX = 50;
const ANY_TIME = new Date(0);

/** What channels tell their readers. */
@Serves(NoticesContract)
export class Notices implements HandlerOf<typeof NoticesContract> {
  constructor(@Inject(PORTS) private readonly ports: PackagesPorts) {}

  async list({ channel, status, offset, limit }: ListNoticesRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const managed = mayManageNotices(reader);
    const found = await listNotices(this.ports.pool, reader.channel.id, {
      statuses: managed ? statusesOf(status) : statusesOf(status).filter((each) => each === 'published'),
      after: managed ? ANY_TIME : new Date(this.ports.clock()),
      offset: Math.max(0, offset),
      limit: limit > 0 ? Math.min(limit, LIMIT_MAX) : LIMIT_MAX,
    });
    return { notices: found.rows.map(noticeMessage), total: BigInt(found.total) };
  }

  async find({ channel, id }: FindNoticeRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const row = await findNotice(this.ports.pool, reader.channel.id, id);
    // A draft is as good as missing for those who do not write it.
    if (row === undefined || !(mayManageNotices(reader) || this.#isTold(row))) throw missingNotice(id);
    return { notice: noticeMessage(row) };
  }

  async create(request: CreateNoticeRequest, call: Call) {
    const reader = await readerIn(this.ports, call, request.channel, 'api');
    const asked = { ...request, expiresAtMs: Number(request.expiresAtMs) };
    const row = await changeChannel(this.ports, reader, (tx, actor) => createNotice(tx, this.ports, actor, asked));
    return { notice: noticeMessage(row) };
  }

  async update({ channel, id, message, level, expiresAtMs, status }: UpdateNoticeRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    const change = { message, level, status, expiresAtMs: expiresAtMs === undefined ? undefined : Number(expiresAtMs) };
    const row = await changeChannel(this.ports, reader, (tx, actor) => updateNotice(tx, this.ports, actor, id, change));
    return { notice: noticeMessage(row) };
  }

  async delete({ channel, id }: FindNoticeRequest, call: Call) {
    const reader = await readerIn(this.ports, call, channel, 'api');
    await changeChannel(this.ports, reader, (tx, actor) => deleteNotice(tx, this.ports, actor, id));
    return {};
  }

  async published({ channelId }: PublishedNoticesRequest, call: Call) {
    await serviceAmong(this.ports, call, ['gateway']);
    const after = new Date(this.ports.clock());
    const asked = { statuses: ['published'] as const, after, offset: 0, limit: TOLD_MAX };
    return { notices: (await listNotices(this.ports.pool, channelId, asked)).rows.map(noticeMessage) };
  }

  #isTold({ status, expiresAt }: NoticeRow): boolean {
    return status === 'published' && expiresAt.getTime() > this.ports.clock();
  }
}

function statusesOf(text: string) {
  if (text === '') return NOTICE_STATUSES.filter((each) => each !== 'deleted');
  const status = NOTICE_STATUSES.find((each) => each === text);
  if (status !== undefined) return [status];
  throw new Fault('invalid', `"${text.slice(0, 40)}" is no status: say ${NOTICE_STATUSES.join(', ')}.`);
}
