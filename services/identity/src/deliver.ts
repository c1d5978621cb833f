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

/** Puts a message into an inbox, unless one of that key is there. False if it was, or there is no such account. */
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
  return true;
}
