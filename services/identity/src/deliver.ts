import type { Tx } from './db.js';
import type { Prisma } from './gen/prisma/client.js';

/** What an account is told. */
export interface Message {
  readonly accountId: string;
  /** Names the message for ever. */
  readonly key: string;
  /** noun.verb, as `group.added` */
  readonly kind: string;
  readonly text: string;
  readonly detail: Prisma.InputJsonObject;
}

// Who never looks keeps the newest.
const MESSAGES_MAX = 1_000;

// Anybody may add anybody to groups: a mailbox is not to be filled with it. The inbox has the others.
const MAILS_A_DAY = 20;
const DAY_MS = 86_400_000;

/** Puts a message into an inbox, and writes down that it is to be mailed, unless one of that key is there. False if it was, or there is no such account. */
export async function deliver(tx: Tx, message: Message, now: Date): Promise<boolean> {
  const { accountId, key, kind, text, detail } = message;
  // By inbox_key_key and accounts_pkey.
  const added = await tx.$executeRaw`
    INSERT INTO inbox (account_id, key, kind, text, detail, created_at)
    SELECT id, ${key}, ${kind}, ${text}, ${JSON.stringify(detail)}::jsonb, ${now} FROM accounts
    WHERE id = ${accountId} AND deleted_at IS NULL ON CONFLICT ON CONSTRAINT inbox_key_key DO NOTHING`;
  if (added === 0) return false;
  // By inbox_account.
  await tx.$executeRaw`
    DELETE FROM inbox WHERE account_id = ${accountId} AND id <= (
      SELECT id FROM inbox WHERE account_id = ${accountId} ORDER BY id DESC OFFSET ${MESSAGES_MAX} LIMIT 1)`;
  await post(tx, message, now);
  return true;
}

/** Only for an account that has an address, and up to twenty of a kind in a day. */
async function post(tx: Tx, { accountId, kind, text }: Message, now: Date): Promise<void> {
  // By accounts_pkey and inbox_account.
  await tx.$executeRaw`
    INSERT INTO mails (account_id, text, created_at, due_at)
    SELECT a.id, ${text}, ${now}, ${now} FROM accounts a
    WHERE a.id = ${accountId} AND a.email IS NOT NULL AND ${MAILS_A_DAY} >= (
      SELECT count(*) FROM inbox i
      WHERE i.account_id = a.id AND i.kind = ${kind} AND i.created_at > ${new Date(now.getTime() - DAY_MS)})`;
}
