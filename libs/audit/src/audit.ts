import { randomBytes } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type ListAuditRequest,
  type ListAuditResponse,
  ListAuditResponseSchema,
} from '@vivarium/contracts/gen/vivarium/common/v1/audit_pb';
import type { Caller } from '@vivarium/contracts/gen/vivarium/common/v1/facts_pb';
import { databaseFaultOf } from '@vivarium/db/database-fault';
import type { Transaction } from '@vivarium/db/outbox';
import type { Pool } from 'pg';

/** What somebody did. Nothing in it may be a secret: names, ids and settings only. */
export interface AuditEntry {
  /** The caller as identity described it, the service that acted by itself, or a login that nobody proved to be. */
  readonly actor: Caller | { readonly service: string } | { readonly login: string; readonly address: string };
  /** `noun.verb`, as in `token.create` or `package.visibility`. */
  readonly action: string;
  /** Id of the account whose owners may read of it; empty: superusers only. */
  readonly ownerId: string;
  /** Id of another account whose owners may read of it too: where something goes from the one to the other. */
  readonly otherOwnerId?: string;
  /** In words: `acme/secret`, `token ci of acme`. At most 500 characters are kept. */
  readonly resource: string;
  /** What it was before, as far as it changed; absent: nothing. */
  readonly before?: AuditFacts | undefined;
  readonly after?: AuditFacts | undefined;
}

export type AuditFacts = { readonly [name: string]: AuditFact };
export type AuditFact = string | number | boolean | null | readonly string[] | AuditFacts;

const PAGE_MAX = 500;
// Three services' pages together fit into one message.
const PAGE_BYTES = 256 * 1024;
// What an event takes beside its facts, at most.
const ROW_BYTES = 800;
const RESOURCE_LENGTH_MAX = 500;
// More than any change that a person makes; bulk changes name the first of their packages.
const FACTS_LENGTH_MAX = 16_384;

/**
 * Writes one event into the transaction that makes the change: both are committed, or neither.
 * The table is that of `sql/`.
 */
export async function addAudit(tx: Transaction, entry: AuditEntry, nowMs: number): Promise<void> {
  const { actor, actorId, credential, address } = actorOf(entry.actor);
  const values = [
    eventId(nowMs),
    new Date(nowMs),
    actor,
    actorId,
    credential,
    address,
    entry.action,
    entry.ownerId,
    entry.resource.slice(0, RESOURCE_LENGTH_MAX),
    factsText(entry.before),
    factsText(entry.after),
    entry.otherOwnerId ?? '',
  ];
  const sql = `INSERT INTO audit (id, at, actor, actor_id, credential, address, action, owner_id, resource, before, after, other_owner_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb, $12)`;
  if ('$executeRawUnsafe' in tx) await tx.$executeRawUnsafe(sql, ...values);
  else await tx.query(sql, values);
}

interface Row {
  readonly id: string;
  readonly at: Date;
  readonly actor: string;
  readonly actor_id: string;
  readonly credential: string;
  readonly address: string;
  readonly action: string;
  readonly owner_id: string;
  readonly resource: string;
  readonly before: AuditFacts | null;
  readonly after: AuditFacts | null;
}

/**
 * A page of one service's events, newest first: at most 500, or fewer if `limit` says so or no more fit into a message. Throws Fault('unavailable').
 * Relies on the indexes audit_owner, audit_other_owner and audit_pkey.
 */
export async function listAudit(pool: Pick<Pool, 'query'>, request: ListAuditRequest): Promise<ListAuditResponse> {
  const limit = request.limit > 0 ? Math.min(request.limit, PAGE_MAX) : PAGE_MAX;
  // Ids begin with digits of a time: `g` is behind them all.
  const values = [limit + 1, request.beforeId === '' ? 'g' : request.beforeId];
  const page = (where: string) => `SELECT * FROM audit WHERE ${where} id < $2 ORDER BY id DESC LIMIT $1`;
  const sql = request.everything
    ? page('')
    : `SELECT * FROM ((${page('owner_id = $3 AND')}) UNION ALL (${page(`other_owner_id = $3 AND other_owner_id <> '' AND`)})) AS events
       ORDER BY id DESC LIMIT $1`;
  try {
    const { rows } = await pool.query<Row>(sql, request.everything ? values : [...values, request.ownerId]);
    const events = fitting(rows.slice(0, limit).map(eventOf));
    return create(ListAuditResponseSchema, { events, more: rows.length > events.length });
  } catch (error) {
    throw databaseFaultOf(error);
  }
}

type EventInit = NonNullable<MessageInitShape<typeof ListAuditResponseSchema>['events']>[number];

/** The first few, as many as fit into a message beside those of other services; one at least. */
function fitting(events: readonly EventInit[]): EventInit[] {
  let sizeBytes = 0;
  const end = events.findIndex((event, at) => {
    const { beforeJson = '', afterJson = '', resource = '' } = event;
    sizeBytes += ROW_BYTES + Buffer.byteLength(beforeJson) + Buffer.byteLength(afterJson) + Buffer.byteLength(resource);
    return at > 0 && sizeBytes > PAGE_BYTES;
  });
  return end < 0 ? [...events] : events.slice(0, end);
}

function eventOf(row: Row): EventInit {
  return {
    id: row.id,
    atMs: BigInt(row.at.getTime()),
    actor: row.actor,
    actorId: row.actor_id,
    credential: row.credential,
    address: row.address,
    action: row.action,
    ownerId: row.owner_id,
    resource: row.resource,
    beforeJson: row.before === null ? '' : JSON.stringify(row.before),
    afterJson: row.after === null ? '' : JSON.stringify(row.after),
  };
}

function actorOf(actor: AuditEntry['actor']) {
  if ('service' in actor) return { actor: `service:${actor.service}`, actorId: '', credential: '', address: '' };
  if (!('accountId' in actor)) return { actor: actor.login, actorId: '', credential: '', address: actor.address };
  const { login, accountId, credentialKind, tokenName, address } = actor;
  const credential = credentialKind === 'token' ? `token ${tokenName}` : credentialKind;
  return { actor: login, actorId: accountId, credential, address };
}

/** Milliseconds first, so that ids sort by time; then chance, so that no two services make the same. */
function eventId(nowMs: number): string {
  return `${Math.floor(nowMs).toString(16).padStart(12, '0')}${randomBytes(10).toString('hex')}`;
}

function factsText(facts: AuditFacts | undefined): string | null {
  if (facts === undefined) return null;
  const text = JSON.stringify(facts);
  return text.length <= FACTS_LENGTH_MAX ? text : JSON.stringify({ omitted: `${text.length} characters` });
}
