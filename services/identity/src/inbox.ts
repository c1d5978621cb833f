import { Inject } from '@nestjs/common';
import { PORTS } from '@vivarium/boot/ports';
import {
  type DeleteInboxMessageRequest,
  type DeliverRequest,
  Inbox as InboxContract,
  type ListInboxRequest,
  type MarkReadRequest,
} from '@vivarium/contracts/gen/vivarium/identity/v1/inbox_pb';
import { retryConflicts } from '@vivarium/db/open';
import { Fault } from '@vivarium/fault/fault';
import { Serves } from '@vivarium/rpc/nest';
import type { Call, HandlerOf } from '@vivarium/rpc/rpc';
import { callerFromProto } from '@vivarium/trust/caller';
import { callerOf, lockCaller, needScope } from './acting.js';
import { ask, DB, type Db, type Tx } from './db.js';
import { deliver } from './deliver.js';
import type { IdentityPorts } from './ports.js';

const PAGE_MAX = 100;
const TEXT_LENGTH_MAX = 2_000;

interface Row {
  readonly id: bigint;
  readonly kind: string;
  readonly text: string;
  readonly detail: string;
  readonly createdAt: Date;
  readonly readAt: Date | null;
}

@Serves(InboxContract)
export class Inbox implements HandlerOf<typeof InboxContract> {
  constructor(
    @Inject(PORTS) private readonly ports: IdentityPorts,
    @Inject(DB) private readonly db: Db,
  ) {}

  async deliver({ accountId, key, kind, text, detailJson }: DeliverRequest, call: Call) {
    const service = await this.ports.trust.serviceOf(call);
    const detail = JSON.parse(detailJson === '' ? '{}' : detailJson);
    // Another service's keys are its own matter.
    const message = { accountId, key: `${service} ${key}`, kind, text: text.slice(0, TEXT_LENGTH_MAX), detail };
    await retryConflicts(() => this.db.$transaction((tx) => deliver(tx, message, new Date(this.ports.clock()))));
    return {};
  }

  async list({ after, limit }: ListInboxRequest, call: Call) {
    const accountId = await this.#reader(call);
    const count = limit > 0 ? Math.min(limit, PAGE_MAX) : PAGE_MAX;
    const before = after === '' ? null : parseId(after);
    // By inbox_account.
    const rows = await ask(this.db.$queryRaw<Row[]>`
      SELECT id, kind, text, detail::text, created_at AS "createdAt", read_at AS "readAt" FROM inbox
      WHERE account_id = ${accountId} AND (${before}::bigint IS NULL OR id < ${before}) ORDER BY id DESC LIMIT ${count + 1}`);
    const [unread] = await ask(this.db.$queryRaw<{ count: bigint }[]>`
      SELECT count(*) FROM inbox WHERE account_id = ${accountId} AND read_at IS NULL`);
    const page = rows.slice(0, count);
    return {
      messages: page.map(({ id, kind, text, detail, createdAt, readAt }) => ({
        id: String(id),
        kind,
        text,
        detailJson: detail,
        createdAtMs: BigInt(createdAt.getTime()),
        readAtMs: BigInt(readAt?.getTime() ?? 0),
      })),
      next: rows.length > count ? String(page.at(-1)?.id ?? '') : '',
      unread: unread?.count ?? 0n,
    };
  }

  async markRead({ id }: MarkReadRequest, call: Call) {
    const now = new Date(this.ports.clock());
    // By inbox_pkey.
    await this.#change(
      call,
      (tx, accountId) => tx.$executeRaw`
      UPDATE inbox SET read_at = coalesce(read_at, ${now}) WHERE id = ${parseId(id)} AND account_id = ${accountId}`,
    );
    return {};
  }

  async delete({ id }: DeleteInboxMessageRequest, call: Call) {
    // By inbox_pkey.
    await this.#change(
      call,
      (tx, accountId) => tx.$executeRaw`
      DELETE FROM inbox WHERE id = ${parseId(id)} AND account_id = ${accountId}`,
    );
    return {};
  }

  async #reader(call: Call): Promise<string> {
    const message = await callerOf(this.ports, call);
    needScope(callerFromProto(message), 'api:read', 'reading the inbox');
    return message.accountId;
  }

  /** Changes one message of the caller. Throws Fault('not_found') for any other. */
  async #change(call: Call, change: (tx: Tx, accountId: string) => Promise<number>): Promise<void> {
    const message = await callerOf(this.ports, call);
    await retryConflicts(() =>
      this.db.$transaction(async (tx) => {
        const { caller } = await lockCaller(tx, message, this.ports.clock());
        needScope(caller, 'api:write', 'changing the inbox');
        if ((await change(tx, caller.accountId)) === 0) throw new Fault('not_found', 'There is no such message.');
      }),
    );
  }
}

function parseId(text: string): bigint {
  if (/^[0-9]{1,18}$/.test(text)) return BigInt(text);
  throw new Fault('not_found', 'There is no such message.');
}
