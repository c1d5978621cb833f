import { randomUUID } from 'node:crypto';
import { decide } from '@vivarium/access/decide';
import { addAudit } from '@vivarium/audit/audit';
import { Fault } from '@vivarium/fault/fault';
import { actingOf } from './acting.js';
import type { Actor } from './actor.js';
import { findNotice, NOTICE_LEVELS, type NoticeRow, type NoticeStatus } from './notice-row.js';
import type { PackagesPorts } from './ports.js';
import { ask, type Tx } from './query.js';
import { channelFactsOf } from './rights.js';

/** What a notice may be changed to. */
export interface NoticeChange {
  readonly message?: string | undefined;
  readonly level?: string | undefined;
  readonly expiresAtMs?: number | undefined;
  readonly status?: string | undefined;
}

type Ports = Pick<PackagesPorts, 'clock'>;

// As the client has it.
const MESSAGE_CHARACTERS = 600;
const KEPT_MAX = 500;
const YEARS_MAX_MS = 10 * 366 * 24 * 60 * 60 * 1_000;

/** True if the actor sees and changes every notice of the channel. */
export function mayManageNotices(actor: Actor): boolean {
  return decisionOf(actor).allow;
}

/** Makes a draft. */
export async function createNotice(
  tx: Tx,
  ports: Ports,
  actor: Actor,
  { message, level, expiresAtMs }: { readonly message: string; readonly level: string; readonly expiresAtMs: number },
): Promise<NoticeRow> {
  const { channel } = actor;
  requireAdmin(actor);
  const now = new Date(ports.clock());
  const kept = await ask<{ count: string }>(
    tx,
    "SELECT count(*) FROM notices WHERE channel_id = $1 AND status <> 'deleted'",
    [channel.id],
  );
  if (Number(kept[0]?.count) >= KEPT_MAX) {
    throw new Fault('conflict', `${channel.login} has ${KEPT_MAX} notices already: delete some that are over.`);
  }
  const row: NoticeRow = {
    id: randomUUID(),
    status: 'draft',
    level: parseLevel(level),
    message: parseMessage(message),
    expiresAt: parseExpiry(expiresAtMs, now.getTime()),
    createdAt: now,
    updatedAt: now,
  };
  await ask(
    tx,
    `INSERT INTO notices (id, channel_id, status, level, message, expires_at, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
    [row.id, channel.id, row.status, row.level, row.message, row.expiresAt, now],
  );
  await record(tx, ports, actor, 'notice.create', undefined, row);
  return row;
}

/** Changes what is given; a notice that is so already stays as it was. */
export async function updateNotice(
  tx: Tx,
  ports: Ports,
  actor: Actor,
  id: string,
  change: NoticeChange,
): Promise<NoticeRow> {
  const before = await changeable(tx, actor, id);
  const nowMs = ports.clock();
  const row: NoticeRow = {
    ...before,
    message: change.message === undefined ? before.message : parseMessage(change.message),
    level: change.level === undefined ? before.level : parseLevel(change.level),
    expiresAt: change.expiresAtMs === undefined ? before.expiresAt : parseExpiry(change.expiresAtMs, nowMs),
    status: change.status === undefined ? before.status : statusAfter(before.status, change.status),
    updatedAt: new Date(nowMs),
  };
  const isSame = JSON.stringify({ ...row, updatedAt: before.updatedAt }) === JSON.stringify(before);
  if (isSame) return before;
  await ask(
    tx,
    'UPDATE notices SET status = $2, level = $3, message = $4, expires_at = $5, updated_at = $6 WHERE id = $1',
    [id, row.status, row.level, row.message, row.expiresAt, row.updatedAt],
  );
  const verb = row.status === before.status ? 'update' : row.status === 'published' ? 'publish' : 'archive';
  await record(tx, ports, actor, `notice.${verb}`, before, row);
  return row;
}

/** Takes a notice away; its text is kept for those who look up what was said. */
export async function deleteNotice(tx: Tx, ports: Ports, actor: Actor, id: string): Promise<void> {
  const before = await changeable(tx, actor, id);
  const now = new Date(ports.clock());
  await ask(tx, "UPDATE notices SET status = 'deleted', updated_at = $2 WHERE id = $1", [id, now]);
  await record(tx, ports, actor, 'notice.delete', before, undefined);
}

export function missingNotice(id: string): Fault {
  return new Fault('not_found', `there is no notice "${id.slice(0, 40)}" here`);
}

async function changeable(tx: Tx, actor: Actor, id: string): Promise<NoticeRow> {
  requireAdmin(actor);
  const row = await findNotice(tx, actor.channel.id, id);
  if (row === undefined || row.status === 'deleted') throw missingNotice(id);
  return row;
}

function requireAdmin(actor: Actor): void {
  const decision = decisionOf(actor);
  if (!decision.allow) throw new Fault(decision.code, decision.reason);
}

function decisionOf({ caller, standing, channel }: Actor) {
  return decide(caller, { standing, channel: channelFactsOf(channel) }, 'admin', { kind: 'channel', use: 'api' });
}

function statusAfter(before: NoticeStatus, asked: string): NoticeStatus {
  if (asked === 'published') return asked;
  if (asked !== 'archived') {
    throw new Fault('invalid', `"${asked.slice(0, 40)}" is no status to change to: say published or archived.`);
  }
  if (before !== 'draft') return asked;
  throw new Fault('invalid', 'A draft was never shown, so it cannot be archived: publish it, or delete it.');
}

/** On one line, without what a terminal would take for a command. */
function parseMessage(text: string): string {
  const message = text.replace(/\s+/g, ' ').trim();
  if (message === '') throw new Fault('invalid', 'A notice needs a message.');
  if (/\p{Cc}/u.test(message)) throw new Fault('invalid', 'The message holds a control character: remove it.');
  if ([...message].length <= MESSAGE_CHARACTERS) return message;
  throw new Fault('invalid', `The message is longer than ${MESSAGE_CHARACTERS} characters.`);
}

function parseLevel(text: string): string {
  const level = NOTICE_LEVELS.find((each) => each === text);
  if (level !== undefined) return level;
  throw new Fault('invalid', `"${text.slice(0, 40)}" is no level: say ${NOTICE_LEVELS.join(', ')}.`);
}

function parseExpiry(ms: number, nowMs: number): Date {
  if (ms > nowMs && ms - nowMs <= YEARS_MAX_MS) return new Date(ms);
  throw new Fault('invalid', 'A notice must expire in the future, within ten years.');
}

async function record(
  tx: Tx,
  { clock }: Ports,
  actor: Actor,
  action: string,
  before: NoticeRow | undefined,
  after: NoticeRow | undefined,
): Promise<void> {
  const factsOf = (row: NoticeRow | undefined) =>
    row && { status: row.status, level: row.level, message: row.message, expires: row.expiresAt.toISOString() };
  const resource = `notice ${(after ?? before)?.id} of ${actor.channel.login}`;
  await addAudit(tx, { ...actingOf(actor), action, resource, before: factsOf(before), after: factsOf(after) }, clock());
}
