import type { Notice } from '@vivarium/contracts/gen/vivarium/packages/v1/notices_pb';
import { ask, type Queryable } from './query.js';

export const NOTICE_LEVELS = ['info', 'warning', 'critical'] as const;
export const NOTICE_STATUSES = ['draft', 'published', 'archived', 'deleted'] as const;

export type NoticeStatus = (typeof NOTICE_STATUSES)[number];

export interface NoticeRow {
  readonly id: string;
  readonly status: NoticeStatus;
  readonly level: string;
  readonly message: string;
  readonly expiresAt: Date;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const COLUMNS = `id, status, level, message, expires_at AS "expiresAt", created_at AS "createdAt", updated_at AS "updatedAt"`;

/** One notice of a channel, whatever its state. By notices_pkey. */
export async function findNotice(db: Queryable, channelId: string, id: string): Promise<NoticeRow | undefined> {
  const sql = `SELECT ${COLUMNS} FROM notices WHERE id = $2 AND channel_id = $1`;
  return (await ask<NoticeRow>(db, sql, [channelId, id]))[0];
}

/** A page of a channel's notices in these states, the newest first; those that expired before `after` are left out. By notices_channel. */
export async function listNotices(
  db: Queryable,
  channelId: string,
  asked: {
    readonly statuses: readonly NoticeStatus[];
    readonly after: Date;
    readonly offset: number;
    readonly limit: number;
  },
): Promise<{ readonly rows: readonly NoticeRow[]; readonly total: number }> {
  const rows = await ask<NoticeRow & { readonly total: string }>(
    db,
    `SELECT ${COLUMNS}, count(*) OVER () AS total FROM notices
     WHERE channel_id = $1 AND status = ANY($2) AND expires_at > $3
     ORDER BY created_at DESC, id LIMIT $5 OFFSET $4`,
    [channelId, asked.statuses, asked.after, asked.offset, asked.limit],
  );
  if (rows.length > 0 || asked.offset === 0) return { rows, total: Number(rows[0]?.total ?? 0) };
  return { rows, total: (await listNotices(db, channelId, { ...asked, offset: 0, limit: 1 })).total };
}

export function noticeMessage(row: NoticeRow): Omit<Notice, '$typeName'> {
  const { id, status, level, message, expiresAt, createdAt, updatedAt } = row;
  const ms = (date: Date) => BigInt(date.getTime());
  const times = { expiresAtMs: ms(expiresAt), createdAtMs: ms(createdAt), updatedAtMs: ms(updatedAt) };
  return { id, status, level, message, ...times };
}
